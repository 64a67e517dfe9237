"""pose3d: video of people to 3D skeletons.

from pose3d import estimate
result = estimate("clip.mp4", lifter="mixste")
result.joints3d  # (frames, people, 17, 3) metres

from pose3d import lift
joints = lift(keypoints, size=(1920, 1080), layout="coco")  # (T, 17, 2) px -> (T, 17, 3) metres
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.progress import Progress
from pipeline.settings import Settings, make_settings
from pipeline.version import VERSION
from weights.errors import Pose3dError

if TYPE_CHECKING:
    from pipeline.lifting import lift
    from pipeline.result import PoseResult, load_result

__all__ = [
    "Pose3dError",
    "PoseResult",
    "Settings",
    "__version__",
    "estimate",
    "lift",
    "load_result",
]


__version__ = VERSION

_LAZY = {
    "PoseResult": "pipeline.result",
    "lift": "pipeline.lifting",
    "load_result": "pipeline.result",
}


def __getattr__(name: str) -> object:
    # The networks' libraries take seconds to import: not for ``pose3d --help`` or a wrong flag.
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def estimate(
    video: str | Path,
    *,
    config: str | Path | None = None,
    progress: Progress | None = None,
    **settings: object,
) -> PoseResult:
    """Estimate the 3D poses in a video, as ``pose3d video`` does, without rendering.

    Parameters
    ----------
    video : path of a video file
    config : a TOML file with settings
    progress : told how far the work is; see ``pipeline.progress.Progress``
    settings : names and values of ``Settings``, over those of ``config``:
        ``estimate("clip.mp4", lifter="mixste", start=2.0, end=7.5, device="cpu")``

    Returns
    -------
    PoseResult with every frame of the video; ``result.save("clip.npz")`` writes it.

    Raises
    ------
    Pose3dError
        One line for whatever the caller can mend: no such file, unknown lifter, ...
    """
    from pipeline.process import estimate as run

    return run(video, make_settings(config, **settings), progress)
