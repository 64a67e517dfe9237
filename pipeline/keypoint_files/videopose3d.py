"""VideoPose3D's npz of one's own videos (``data_2d_custom_NAME.npz``), with one video in it."""

from __future__ import annotations

import numpy as np

from lifters3d.data.custom import load_custom
from lifters3d.data.object_arrays import listed
from pipeline.keypoint_files.content import Content
from pipeline.keypoint_files.people import Found, Sighting
from weights.errors import Pose3dError


def recognises(content: Content) -> bool:
    """An archive with VideoPose3D's two entries."""
    return content.kind == "npz" and {"positions_2d", "metadata"} <= set(content.value)


def read(content: Content) -> Found:
    """The person of the only video; COCO's or Human3.6M's joints, as the file says."""
    clips = load_custom(content.path)
    if len(clips.test) > 1:
        raise Pose3dError(
            f"{content.path}: holds {len(clips.test)} videos "
            f"({listed([clip.name for clip in clips.test])}); write a file for each"
        )
    (clip,) = clips.test
    scores = np.ones(clip.keypoints.shape[1])
    sightings = [Sighting(frame, 1, pose, scores) for frame, pose in enumerate(clip.keypoints)]
    names = clips.skeleton.names
    return Found(names, sightings, size=clip.size, frame_count=len(clip.keypoints))
