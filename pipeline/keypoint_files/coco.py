"""COCO's results format for keypoints: a list with an entry for every person.

``image_id`` (a number: frames in its order, gaps are frames without people), ``category_id``,
``keypoints`` (x, y, score of 17, 26, 133 or 136 joints in a row), ``score``, and PoseTrack's
``track_id`` if there is one.
"""

from __future__ import annotations

from pipeline.keypoint_files.alphapose import read_entries
from pipeline.keypoint_files.content import Content
from pipeline.keypoint_files.people import Found


def recognises(content: Content) -> bool:
    """People with the number of an image."""
    if content.kind != "json" or not isinstance(content.value, list) or not content.value:
        return False
    first = content.value[0]
    return (
        isinstance(first, dict) and isinstance(first.get("image_id"), int) and "keypoints" in first
    )


def read(content: Content) -> Found:
    """People of all frames, by the images' numbers. (AlphaPose ``--eval`` writes them, too.)"""
    return read_entries(content, ("track_id", "idx"))
