"""Training losses; poses are (B, T, J, 3) in metres, losses are tensors of one number."""

from __future__ import annotations

from torch import Tensor

from lifters3d.skeleton import NOSE

# As MixSTE's authors weigh the 17 joints: the further out on a limb, the more.
MIXSTE_JOINT_WEIGHTS: tuple[float, ...] = (
    *(1.0, 1.0, 2.5, 2.5, 1.0, 2.5, 2.5),  # Hip and legs
    *(1.0, 1.0, 1.0, 1.5),  # Spine, Thorax, Neck/Nose, Head
    *(1.5, 4.0, 4.0, 1.5, 4.0, 4.0),  # arms
)
# The same weights by the names of HumanEva's joints. (The authors' 15 numbers stand in Human3.6M's
# order, which gives a hip the weight of a knee: not followed.)
HUMANEVA_JOINT_WEIGHTS: tuple[float, ...] = (
    *(1.0, 1.0),  # Pelvis, Thorax
    *(1.5, 4.0, 4.0, 1.5, 4.0, 4.0),  # arms
    *(1.0, 2.5, 2.5, 1.0, 2.5, 2.5),  # legs
    1.5,  # Head
)


def mpjpe_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean distance of the joints."""
    return (predicted - target).norm(dim=-1).mean()


def velocity_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean distance of the joints' frame-to-frame movements (MPJVE; MixSTE, eq. 12).

    Nothing moves in a single frame: 0.
    """
    if predicted.shape[1] < 2:
        return predicted.new_zeros(())
    return (predicted.diff(dim=1) - target.diff(dim=1)).norm(dim=-1).mean()


def weighted_mpjpe_loss(predicted: Tensor, target: Tensor, squared: bool = False) -> Tensor:
    """Mean distance of the joints, each times its weight (WMPJPE).

    As MixSTE's authors train; their paper's eq. 10 squares the distance (``squared``).
    """
    distance = (predicted - target).norm(dim=-1)
    return ((distance.square() if squared else distance) * _weights(predicted)).mean()


def temporal_consistency_loss(predicted: Tensor) -> Tensor:
    """Mean squared frame-to-frame movement of the joints, weighted (TC), in square metres.

    The mean is over frames, joints and x, y, z. It knows no target: it holds all movement back.
    Nothing moves in a single frame: 0.
    """
    if predicted.shape[1] < 2:
        return predicted.new_zeros(())
    return (predicted.diff(dim=1).square() * _weights(predicted)[:, None]).mean()


def mixste_loss(predicted: Tensor, target: Tensor, squared: bool = False) -> Tensor:
    """What MixSTE is trained on: WMPJPE + 0.5 TC + 2 MPJVE.

    Its authors also scale every step's gradient by the loss itself (``backward(loss.detach())``),
    which is the gradient of half the square of this; that is the training loop's business.
    """
    return (
        weighted_mpjpe_loss(predicted, target, squared)
        + 0.5 * temporal_consistency_loss(predicted)
        + 2.0 * velocity_loss(predicted, target)
    )


def full_to_single_loss(centre: Tensor, full: Tensor, target: Tensor) -> Tensor:
    """What Strided Transformer is trained on: MPJPE of the sequence plus that of its centre frame.

    Parameters
    ----------
    centre : (B, 1, J, 3), the strided encoder's pose of frame T // 2
    full : (B, T, J, 3), the vanilla encoder's poses
    target : (B, T, J, 3)

    Raises ValueError for other shapes, which would be broadcast to a wrong loss.
    """
    if full.shape != target.shape or centre.shape != target[:, :1].shape:
        raise ValueError(
            "centre must be (B, 1, J, 3), full and target (B, T, J, 3), "
            f"not {tuple(centre.shape)}, {tuple(full.shape)} and {tuple(target.shape)}"
        )
    middle = target.shape[1] // 2
    return mpjpe_loss(full, target) + mpjpe_loss(centre, target[:, middle : middle + 1])


def _weights(poses: Tensor) -> Tensor:
    """(J,) of poses (..., J, 3): 17 joints, the 16 without Neck/Nose, or HumanEva's 15."""
    joints = poses.shape[-2]
    weights = list(MIXSTE_JOINT_WEIGHTS)
    if joints == 16:
        del weights[NOSE]
    elif joints == 15:
        weights = list(HUMANEVA_JOINT_WEIGHTS)
    elif joints != 17:
        raise ValueError(f"no weights for {joints} joints")
    return poses.new_tensor(weights)
