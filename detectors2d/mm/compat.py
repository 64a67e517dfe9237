"""What OpenMMLab's packages of 2023 and 2024 need to run beside today's, all in this one place.

Nothing is imported or changed before ``prepare`` or ``import_torchvision`` is called, and every
mend first looks whether it is needed. What needs none: networks are built without mmengine's
downloads, and their weights read with ``weights.reading`` (mmengine's own reading fails since torch
2.6, or runs what a file says).
"""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import importlib.util
import sys
import types
import warnings

import torch
from torch import Tensor

from detectors2d.mm.ops import nms, roi_align
from weights.errors import Pose3dError

INSTALL = 'pip install "pose3d[mm]"'
PACKAGES = ("mmengine", "mmcv", "mmdet", "mmpose")


@functools.cache
def prepare() -> None:
    """Make mmengine, mmcv, mmdet and mmpose ready to be imported.

    Raises
    ------
    Pose3dError
        if one of them is not installed or cannot be imported.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise Pose3dError(f"OpenMMLab's networks need {', '.join(missing)}: {INSTALL}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _mend_mmcv_operations()
            _mend_mmdet_version()
            _mend_xtcocotools()
            _mend_pkg_resources()
        except ImportError as error:
            reason = " ".join(str(error).split())
            raise Pose3dError(
                f"OpenMMLab's packages cannot be imported ({reason}): {INSTALL}"
            ) from None


class _Operations(types.ModuleType):
    """Stands for ``mmcv._ext``, the compiled part of mmcv that mmcv-lite lacks."""

    def __getattr__(self, name: str) -> object:
        # mmcv asks for all of its operations by name when it is imported, and calls few.
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: object, **__: object) -> None:
            raise Pose3dError(
                f"this network needs mmcv's compiled operation {name}, which mmcv-lite lacks: "
                "build mmcv 2.1.0 in its place (with MMCV_WITH_OPS=1) or choose another network"
            )

        return missing


def _mend_mmcv_operations() -> None:
    """Both mmdet and mmpose import mmcv.ops, whose every module asks for ``mmcv._ext``."""
    if importlib.util.find_spec("mmcv._ext") is not None:
        return
    operations = _Operations("mmcv._ext")
    operations.__spec__ = importlib.machinery.ModuleSpec("mmcv._ext", None)
    operations.nms = nms
    operations.roi_align_forward = _roi_align_forward
    sys.modules["mmcv._ext"] = operations


def _roi_align_forward(
    features: Tensor,
    rois: Tensor,
    output: Tensor,
    *_: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    if pool_mode != 1:
        raise Pose3dError("roi_align by the maximum needs compiled mmcv; by the mean it does not")
    size = (aligned_height, aligned_width)
    output.copy_(roi_align(features, rois, size, spatial_scale, sampling_ratio, aligned))


def _mend_mmdet_version() -> None:
    """mmdet 3.3.0 refuses mmcv from 2.2.0 on, by its number alone."""
    import mmcv

    try:
        import mmdet
    except AssertionError:
        number, mmcv.__version__ = mmcv.__version__, "2.1.0"
        try:
            import mmdet  # noqa: F401
        finally:
            mmcv.__version__ = number


def _mend_xtcocotools() -> None:
    """mmpose imports it; its wheels are compiled for numpy 1. It is a copy of pycocotools."""
    try:
        import xtcocotools.mask  # noqa: F401
    except (ImportError, ValueError):  # ValueError: numpy.dtype size changed
        _forget("xtcocotools")
        for part in ("", ".mask", ".coco", ".cocoeval"):
            sys.modules[f"xtcocotools{part}"] = importlib.import_module(f"pycocotools{part}")


def _mend_pkg_resources() -> None:
    """mmengine finds packages by it for configs based on another package's; gone in setuptools 82.

    (All of its functions that use it are imported by name into ``mmengine.config``.)
    """
    if importlib.util.find_spec("pkg_resources") is None:
        config = importlib.import_module("mmengine.config.config")
        config.is_installed = lambda name: importlib.util.find_spec(name) is not None
        config.get_installed_path = lambda name: importlib.util.find_spec(
            name
        ).submodule_search_locations[0]


# The library's operations are there as long as this object is.
_torchvision_library: list[torch.library.Library] = []


@functools.cache
def import_torchvision() -> types.ModuleType:
    """torchvision, also where its compiled part cannot be loaded: PyPI's beside a CPU's PyTorch.

    Raises
    ------
    Pose3dError
        if it is not installed.
    """
    if importlib.util.find_spec("torchvision") is None:
        raise Pose3dError(f"torchvision is not installed: {INSTALL}")
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    _forget("torchvision")
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", lambda boxes, scores, threshold: nms(boxes, scores, threshold), "CPU")
    _torchvision_library.append(library)
    torchvision = importlib.import_module("torchvision")
    # It asks before nms whether there is a compiled part. For roi_align without one it compiles its
    # own Python, which takes minutes and a C++ compiler.
    torchvision.ops.boxes._assert_has_ops = lambda: None
    sys.modules["torchvision.ops.roi_align"]._roi_align = _torchvision_roi_align
    return torchvision


def _torchvision_roi_align(
    features: Tensor,
    rois: Tensor,
    scale: float,
    rows: int,
    columns: int,
    samples: int,
    aligned: bool,
) -> Tensor:
    return roi_align(features, rois, (rows, columns), scale, max(samples, 0), aligned)


def _forget(package: str) -> None:
    """Forget what was imported of a package before its import failed."""
    for name in list(sys.modules):
        if name.partition(".")[0] == package:
            del sys.modules[name]
