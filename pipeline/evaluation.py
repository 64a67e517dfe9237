"""A lifter on the test sets of the field: lifted clip by clip, by the windows of whole videos."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from lifters3d.data.clips import H36M, Clip, ClipSet, Skeleton
from lifters3d.evaluation.protocols import Results, Root, evaluate_clips
from lifters3d.skeleton import derive_trunk
from pipeline.compute import products_in
from pipeline.lifting import lift_sequences
from pipeline.windows import lift_windows
from weights.errors import Pose3dError


def evaluate_lifter(
    lifter: nn.Module,
    clips: ClipSet,
    protocol: str,
    *,
    root: Root,
    flip_average: bool = True,
    precision: str = "fp32",
) -> Results:
    """Errors of a lifter on the test clips of a data set, which has the joints it was trained for.

    Lifters with ``screen`` normalisation answer in camera axes, and their predicted root is what
    ``root`` says it is; what others predict is turned to camera axes about their root, which leaves
    nothing of it: ``root`` must be "subtract", and the joints Human3.6M's 17.
    """
    if not clips.test:
        raise Pose3dError(f"{clips.name}: no test subjects in the files")
    joints, convention = len(clips.skeleton.names), lifter.convention
    if lifter.joints != joints:
        raise Pose3dError(
            f"the lifter takes {lifter.joints} joints and the 2D of {clips.name} has {joints}; "
            f"measure one that was trained for these {joints}"
        )
    as_they_are = convention.normalisation == "screen" and convention.joints == "h36m"
    if clips.skeleton != H36M and not as_they_are:
        raise Pose3dError(
            f"the 2D of {clips.name} has not the 17 joints of Human3.6M, of which this lifter's "
            f"input is made ({convention.normalisation} normalisation, {convention.joints} "
            "joints); measure one with screen normalisation that takes joints as they are"
        )
    if convention.normalisation != "screen" and root != "subtract":
        raise Pose3dError(
            f"this lifter's root cannot be told ({convention.normalisation} normalisation): "
            "use --root subtract"
        )
    predictions: Iterator[np.ndarray] = (
        _lift(lifter, clip, clips.skeleton, root, flip_average, precision) for clip in clips.test
    )
    return evaluate_clips(
        predictions,
        clips.test,
        root=root,
        protocol=protocol,
        joint_names=clips.skeleton.names,
        root_joint=clips.skeleton.root,
    )


@torch.inference_mode()
def _lift(
    lifter: nn.Module,
    clip: Clip,
    skeleton: Skeleton,
    root: Root,
    flip_average: bool,
    precision: str,
) -> np.ndarray:
    """Joints (F, J, 3) metres in camera axes, with the predicted root if it is to be kept."""
    # As videos are lifted: that is for the 17 joints of Human3.6M, and takes the root away.
    if root == "subtract" and skeleton == H36M:
        time_s = np.arange(len(clip.keypoints)) / (clip.frame_rate or 50.0)
        (lifted,) = lift_sequences(
            lifter,
            [(clip.keypoints, time_s)],
            clip.size,
            flip_average=flip_average,
            precision=precision,
        )
        return lifted.joints
    device = next(lifter.parameters()).device
    keypoints = torch.as_tensor(clip.keypoints, dtype=torch.float32, device=device)
    if lifter.convention.joints == "derived":
        keypoints = derive_trunk(keypoints)
    with products_in(precision, device):
        (lifted,) = lift_windows(
            lifter, [keypoints], clip.size, flip_average=flip_average, mirror=skeleton.mirror
        )
    return lifted.joints.float().cpu().numpy()
