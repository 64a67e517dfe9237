"""MMPose's predictions of a video.

The demos' (``--save-predictions``): ``meta_info`` (``keypoint_id2name``, ...) and
``instance_info``: a list of ``frame_id``, from 1, and ``instances``. The inferencer's
(``pred_out_dir``): that list alone, from 0, without names. An instance has ``keypoints``
((x, y) of each joint), ``keypoint_scores`` and perhaps ``bbox``. Of a picture both have the
instances in place of the frames.
"""

from __future__ import annotations

import numpy as np

from lifters3d.data.clips import told
from pipeline.keypoint_files.content import Content, numbers, whole
from pipeline.keypoint_files.names import names_by_count
from pipeline.keypoint_files.people import Found, Sighting
from weights.errors import Pose3dError


def recognises(content: Content) -> bool:
    """A list of frames with instances, or of instances with scores; alone or as instance_info."""
    listed = _listed(content.value) if content.kind == "json" else None
    if not isinstance(listed, list) or not listed or not isinstance(listed[0], dict):
        return False
    return "instances" in listed[0] or {"keypoints", "keypoint_scores"} <= listed[0].keys()


def read(content: Content) -> Found:
    """People of all frames; the first that is listed is the first of the recording."""
    listed = _listed(content.value)
    if "instances" not in listed[0]:
        listed = [{"frame_id": 0, "instances": listed}]
    frames = [whole(frame.get("frame_id")) for frame in listed if isinstance(frame, dict)]
    if len(frames) < len(listed) or None in frames or len(set(frames)) < len(frames):
        raise Pose3dError(f"{content.path}: frames without a frame_id of their own")
    names, sightings = _names(content.value), []
    for frame, entry in zip(frames, listed, strict=True):
        where = f"{content.path}: frame_id {frame}"
        for person in entry.get("instances") or ():
            points, scores = _joints(person, where)
            names = names or names_by_count(len(points), where)
            if len(points) != len(names):
                raise Pose3dError(f"{where}: {len(points)} joints a person, not {len(names)}")
            own = whole(person.get("track_id"))
            sightings.append(Sighting(frame - min(frames), own, points, scores))
    if not sightings:
        raise Pose3dError(f"{content.path}: MMPose found nobody in any frame")
    return Found(names, sightings, frame_count=1 + max(frames) - min(frames))


def _listed(value: object) -> object:
    return value.get("instance_info") if isinstance(value, dict) else value


def _names(value: object) -> tuple[str, ...]:
    """The joints' names of ``meta_info``, or none."""
    meta = value.get("meta_info") if isinstance(value, dict) else None
    names = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if not isinstance(names, dict):
        return ()
    return tuple(str(names.get(str(index), "")) for index in range(len(names)))


def _joints(person: object, where: str) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(person, dict) or "keypoints" not in person:
        raise Pose3dError(f"{where}: an instance without keypoints: {told(person)}")
    points = numbers(person["keypoints"], where)
    if points.ndim == 2 and points.shape[1] == 3:
        raise Pose3dError(f"{where}: keypoints in 3D; give the 2D predictions, before lifting")
    if points.ndim != 2 or points.shape[1] != 2:
        raise Pose3dError(f"{where}: expected (x, y) of every joint, found {points.shape}")
    scores = numbers(person.get("keypoint_scores", np.ones(len(points))), where)
    if scores.shape != (len(points),):
        raise Pose3dError(f"{where}: {len(points)} joints, but scores {scores.shape}")
    return points, scores
