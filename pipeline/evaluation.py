"""A lifter on the test sets of the field: lifted clip by clip, the way whole videos are lifted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lifters3d.data.clips import Clip, ClipSet
from lifters3d.data.human36m import load_human36m
from lifters3d.data.mpi_inf_3dhp import load_mpi_inf_3dhp
from lifters3d.evaluation.protocols import Results, Root, evaluate_clips
from lifters3d.skeleton import derive_trunk
from pipeline.compute import products_in
from pipeline.lifting import lift_sequences
from pipeline.windows import lift_windows
from weights.errors import Pose3dError

HUMAN36M, MPI_INF_3DHP = "data_3d_h36m.npz", "data_test_3dhp.npz"


def open_test_set(folder: str | Path, keypoints: str = "gt") -> tuple[ClipSet, str]:
    """The test set whose prepared files lie in a folder, and its protocol.

    Parameters
    ----------
    folder : holds ``data_3d_h36m.npz`` and ``data_2d_h36m_*.npz``, or ``data_test_3dhp.npz``
    keypoints : which 2D of Human3.6M: "gt", or what a file's name begins with, as "cpn" of
        ``data_2d_h36m_cpn_ft_h36m_dbb.npz``

    Returns
    -------
    the clips, and "h36m" or "3dhp" (``lifters3d.evaluation.protocols``)
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise Pose3dError(f"{folder}: no such folder; give the one with the prepared files")
    if (folder / HUMAN36M).exists():
        found = sorted(folder.glob("data_2d_h36m_*.npz"))
        names = [path.stem.removeprefix("data_2d_h36m_") for path in found]
        chosen = [name for name in names if name == keypoints]
        chosen = chosen or [name for name in names if name.startswith(keypoints)]
        if len(chosen) != 1:
            there = ", ".join(names) or "none"
            raise Pose3dError(f"{folder}: which 2D is '{keypoints}'? There are: {there}")
        return load_human36m(folder / HUMAN36M, folder / f"data_2d_h36m_{chosen[0]}.npz"), "h36m"
    if (folder / MPI_INF_3DHP).exists():
        return load_mpi_inf_3dhp(None, folder / MPI_INF_3DHP), "3dhp"
    raise Pose3dError(f"{folder}: neither {HUMAN36M} nor {MPI_INF_3DHP} is there")


def evaluate_lifter(
    lifter: nn.Module,
    clips: ClipSet,
    protocol: str,
    *,
    root: Root,
    flip_average: bool = True,
    precision: str = "fp32",
) -> Results:
    """Errors of a lifter on the test clips of a data set.

    Lifters with ``screen`` normalisation answer in camera axes, and their predicted root is what
    ``root`` says it is; what others predict is turned to camera axes about their root, which leaves
    nothing of it: ``root`` must be "subtract".
    """
    if not clips.test:
        raise Pose3dError(f"{clips.name}: no test subjects in the files")
    joints = len(clips.skeleton.names)
    if joints != 17 or lifter.joints != 17:
        raise Pose3dError(
            f"the lifter takes {lifter.joints} joints and the 2D of {clips.name} has {joints}; "
            "both must have the 17 of Human3.6M"
        )
    if lifter.convention.normalisation != "screen" and root != "subtract":
        raise Pose3dError(
            f"this lifter's root cannot be told ({lifter.convention.normalisation} normalisation): "
            "use --root subtract"
        )
    predictions: Iterator[np.ndarray] = (
        _lift(lifter, clip, root, flip_average, precision) for clip in clips.test
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
    lifter: nn.Module, clip: Clip, root: Root, flip_average: bool, precision: str
) -> np.ndarray:
    """Joints (F, 17, 3) metres in camera axes, with the predicted root unless it is subtracted."""
    if root == "subtract":
        time_s = np.arange(len(clip.keypoints)) / (clip.frame_rate or 50.0)
        (joints,) = lift_sequences(
            lifter,
            [(clip.keypoints, time_s)],
            clip.size,
            flip_average=flip_average,
            precision=precision,
        )
        return joints
    device = next(lifter.parameters()).device
    keypoints = torch.as_tensor(clip.keypoints, dtype=torch.float32, device=device)
    if lifter.convention.joints == "derived":
        keypoints = derive_trunk(keypoints)
    with products_in(precision, device):
        (poses,) = lift_windows(lifter, [keypoints], clip.size, flip_average=flip_average)
    return poses.float().cpu().numpy()
