"""The field's data sets, recognised by the names of their prepared files."""

from __future__ import annotations

from pathlib import Path

from lifters3d.data.clips import ClipSet
from lifters3d.data.human36m import load_human36m
from lifters3d.data.humaneva import load_humaneva
from lifters3d.data.mpi_inf_3dhp import load_mpi_inf_3dhp
from weights.errors import Pose3dError

HUMAN36M, HUMANEVA = "data_3d_h36m.npz", "data_3d_humaneva15.npz"
MPI_INF_3DHP, MPI_INF_3DHP_TRAIN = "data_test_3dhp.npz", "data_train_3dhp.npz"
SETS = (HUMAN36M, HUMANEVA, MPI_INF_3DHP)


def is_set(path: Path) -> bool:
    """Whether a path is meant for ``open_set``: a folder, there or not, or a data set's file."""
    return path.is_dir() or path.name in SETS or not path.suffix


def open_set(path: str | Path, keypoints: str = "gt", train: bool = False) -> tuple[ClipSet, str]:
    """The data set whose prepared files lie in a folder, and its protocol.

    Parameters
    ----------
    path : a folder with ``data_3d_h36m.npz`` and ``data_2d_h36m_*.npz``, or
        ``data_3d_humaneva15.npz`` and ``data_2d_humaneva15_*.npz``, or ``data_test_3dhp.npz`` (and
        ``data_train_3dhp.npz``); of a folder with several sets, the file of the one that is meant
    keypoints : which 2D of Human3.6M or HumanEva-I: "gt", or what a file's name begins with, as
        "cpn" of ``data_2d_h36m_cpn_ft_h36m_dbb.npz``
    train : whether the training clips are wanted too

    Returns
    -------
    the clips, and "h36m", "humaneva" or "3dhp" (``lifters3d.evaluation.protocols``)

    Raises
    ------
    Pose3dError
        If there is no data set, or more than one, or if its files are damaged.
    """
    path = Path(path)
    found = [path] if path.name in SETS else [path / name for name in SETS]
    found = [file for file in found if file.is_file()]
    if not found:
        if not path.is_dir():
            raise Pose3dError(f"{path}: no such folder; give the one with the prepared files")
        raise Pose3dError(f"{path}: none of {', '.join(SETS)} is there")
    if len(found) > 1:
        raise Pose3dError(f"{path}: several data sets; which? {' or '.join(map(str, found))}")
    (file,) = found
    if file.name == MPI_INF_3DHP:
        return load_mpi_inf_3dhp(
            file.with_name(MPI_INF_3DHP_TRAIN) if train else None, file
        ), "3dhp"
    if file.name == HUMANEVA:
        return load_humaneva(file, _keypoints_file(file, keypoints)), "humaneva"
    return load_human36m(file, _keypoints_file(file, keypoints)), "h36m"


def _keypoints_file(file_3d: Path, keypoints: str) -> Path:
    """The ``data_2d_*.npz`` beside a ``data_3d_*.npz`` that the user means."""
    folder, prefix = file_3d.parent, file_3d.stem.replace("3d", "2d") + "_"
    names = [path.stem.removeprefix(prefix) for path in sorted(folder.glob(f"{prefix}*.npz"))]
    chosen = [name for name in names if name == keypoints]
    chosen = chosen or [name for name in names if name.startswith(keypoints)]
    if len(chosen) != 1:
        there = ", ".join(names) or "none"
        raise Pose3dError(f"{folder}: which 2D is '{keypoints}'? There are: {there}")
    return folder / f"{prefix}{chosen[0]}.npz"
