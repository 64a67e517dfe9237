"""2D keypoints that other programs wrote: read, recognised from content, checked, described.

A module a format; what they have in common is ``people.Found``. ``read`` gives people over time,
``describe`` says which of the file's joints the 17 of Human3.6M are made of, ``checks`` what looks
wrong, and ``lift.lift_file`` lifts them.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from lifters3d.data.clips import told
from lifters3d.data.object_arrays import listed
from pipeline.keypoint_files import (
    alphapose,
    coco,
    deeplabcut,
    mediapipe,
    mmpose,
    openpose,
    own,
    videopose3d,
)
from pipeline.keypoint_files.content import Content, load
from pipeline.keypoint_files.people import KeypointFile, Track, build
from pipeline.keypoint_files.skeletons import JointSource, describe_layout
from weights.errors import Pose3dError

__all__ = [
    "FORMATS",
    "JointSource",
    "KeypointFile",
    "Track",
    "describe",
    "read",
    "recognise",
]

FORMATS: dict[str, ModuleType] = {
    "pose3d": own,
    "openpose": openpose,
    "alphapose": alphapose,
    "coco": coco,
    "mmpose": mmpose,
    "mediapipe": mediapipe,
    "videopose3d": videopose3d,
    "deeplabcut": deeplabcut,
}


def recognise(path: str | Path) -> str:
    """The name of a file's (or folder's) format, from its content.

    Raises Pose3dError, with what was found, if it is none of ``FORMATS``.
    """
    return _format_of(load(path))


def read(path: str | Path, file_format: str | None = None) -> KeypointFile:
    """The people of a keypoint file over time, in the file's unit (``checks.in_pixels``).

    Parameters
    ----------
    path : a file, or OpenPose's folder
    file_format : one of ``FORMATS``; recognised if None

    Raises
    ------
    Pose3dError
        One line: no such file, another format, damaged, joints that cannot be lifted, nobody.
    """
    if file_format is not None and file_format not in FORMATS:
        raise Pose3dError(f"unknown format '{file_format}': choose one of {', '.join(FORMATS)}")
    content = load(path)
    name = file_format or _format_of(content)
    if file_format is not None and not FORMATS[name].recognises(content):
        raise Pose3dError(f"{path}: not of format {name}: found {_told(content)}")
    try:
        found = FORMATS[name].read(content)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        # Only the beginning was recognised.
        reason = " ".join(str(error).split())[:80]
        raise Pose3dError(f"{path}: not {name} throughout, or damaged ({reason})") from None
    return build(found, content.path, name)


def describe(file: KeypointFile) -> list[JointSource]:
    """Where each of the 17 Human3.6M joints comes from; ``str`` of one is a line of a table."""
    return describe_layout(file.layout)


def _format_of(content: Content) -> str:
    name = next((name for name, module in FORMATS.items() if module.recognises(content)), None)
    if name is None:
        raise Pose3dError(
            f"{content.path}: no keypoints that are known: found {_told(content)}; known are "
            f"{', '.join(FORMATS)}"
        )
    return name


def _told(content: Content) -> str:
    """What was found in place of keypoints, in a few words."""
    value = content.value
    if content.kind == "npz":
        if "joints3d" in value:
            return "a result of pose3d, which is lifted already"
        return f"an archive of {listed(value)}"
    if content.kind == "folder":
        return f"{len(value)} .json files, none of the first {openpose.FIRST} with people"
    if content.kind == "csv":
        return f"a table whose first row is {listed(value[0])}"
    if isinstance(value, dict) and "people" in value:
        return "one frame of OpenPose's; give the folder"
    if isinstance(value, dict) and "annotations" in value:
        return "COCO annotations; give results, a list with an entry for every person"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return f"a list of {told(value[0])}"
    return told(value)
