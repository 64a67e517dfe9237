"""What a lifter is trained on: the loss of a batch by the name that a recipe gives it.

``mpjpe``
    The pose or poses that the lifter is for (PoseFormer, LiftFormer).
``mixste``, ``mixste-paper``
    WMPJPE + 0.5 TC + 2 MPJVE of a sequence, as MixSTE's code has it or with the squares of eq. 10.
``full-to-single``
    The centre frame's pose and those of all frames (Strided Transformer, section III-D).
``spatial-auxiliary``
    The centre frame's pose and a pose of every frame from the spatial module alone (eq. 13 of the
    paper of poseformer-sta), both weighted by 1, which the paper leaves open.
``every-frame``
    Ours: ``mpjpe``, and for the poses of all frames MPJPE and MPJVE; poseformer-sta with its
    auxiliary poses. A window teaches as many poses as it has frames, which short trainings need.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from lifters3d.training.losses import full_to_single_loss, mixste_loss, mpjpe_loss, velocity_loss
from lifters3d.training.recipes import Recipe
from weights.errors import Pose3dError

# Normalised keypoints (B, T, J, 2) to the poses that are trained: (B, T, J, 3) of a sequence
# lifter; else those of one frame (B, 1, J, 3), of every frame, and maybe the spatial ones.
Network = Callable[[Tensor], tuple[Tensor, ...]]


def trained_network(lifter: nn.Module) -> Network:
    """The call whose answers the losses are computed from."""
    if lifter.output == "sequence":
        return lambda keypoints: (lifter(keypoints),)
    return lifter.forward_training


def wanted_frame(lifter: nn.Module) -> int:
    """Index of the frame whose pose a lifter of one frame gives."""
    return lifter.frames - 1 if lifter.output == "last" else lifter.frames // 2


def check_loss(lifter: nn.Module, recipe: Recipe) -> None:
    """Raise Pose3dError for a loss that the lifter has no poses for."""
    sequence = lifter.output == "sequence"
    if recipe.loss.startswith("mixste") and not sequence:
        reason = "is for lifters of whole sequences"
    elif recipe.loss == "full-to-single" and (sequence or lifter.output == "last"):
        reason = "is for lifters of the centre frame"
    elif recipe.loss == "spatial-auxiliary" and recipe.lifter != "poseformer-sta":
        reason = "is for poseformer-sta"
    else:
        return
    raise Pose3dError(f"loss {recipe.loss} {reason}, not for {recipe.lifter}: choose another")


def losses_of(
    network: Network, lifter: nn.Module, keypoints: Tensor, target: Tensor, recipe: Recipe
) -> tuple[Tensor, Tensor]:
    """The loss of a batch, and the MPJPE of what the lifter is for, in metres.

    Parameters
    ----------
    network : ``trained_network`` of the lifter, or the same compiled
    keypoints : (B, T, J, 2) normalised
    target : (B, T, J, 3) metres, relative to the root
    """
    poses = network(keypoints)
    if lifter.output == "sequence":
        (full,) = poses
        position = mpjpe_loss(full, target)
        if recipe.loss.startswith("mixste"):
            return mixste_loss(full, target, squared=recipe.loss == "mixste-paper"), position
        if recipe.loss == "every-frame":
            return position + recipe.velocity_weight * velocity_loss(full, target), position
        return position, position
    single, full, *spatial = poses
    position = mpjpe_loss(single[:, 0], target[:, wanted_frame(lifter)])
    if recipe.loss == "full-to-single":
        return full_to_single_loss(single, full, target), position
    auxiliary = sum(mpjpe_loss(of_module, target) for of_module in spatial)
    if recipe.loss == "spatial-auxiliary":
        return position + auxiliary, position
    if recipe.loss == "every-frame":
        every = mpjpe_loss(full, target) + recipe.velocity_weight * velocity_loss(full, target)
        return position + recipe.every_weight * every + auxiliary, position
    return position, position
