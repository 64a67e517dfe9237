"""VideoPose3D's files of one's own videos."""

import numpy as np
import pytest
from prepared import COCO_METADATA, H36M_METADATA, message_of, pixels, write_2d

from lifters3d.data.clips import H36M
from lifters3d.data.custom import COCO, load_custom

POSITIONS = {"walk.mp4": {"custom": [pixels(4, 17)]}, "tänzer": {"custom": [pixels(2, 17, 1)]}}
SIZES = {"walk.mp4": {"w": 1920, "h": 1080}, "tänzer": {"w": 576, "h": 1024}}


def load(folder, positions_2d, metadata):
    return load_custom(write_2d(folder / "data_2d_custom_mine.npz", positions_2d, metadata))


@pytest.mark.parametrize(("metadata", "skeleton"), [(COCO_METADATA, COCO), (H36M_METADATA, H36M)])
def test_videos(tmp_path, metadata, skeleton):
    found = load(tmp_path, POSITIONS, metadata | {"video_metadata": SIZES})
    assert (found.name, found.skeleton, found.train) == ("custom", skeleton, [])
    walk, dancer = found.test
    assert (walk.name, walk.size, dancer.name, dancer.size) == (
        "walk.mp4",
        (1920, 1080),
        "tänzer",
        (576, 1024),
    )
    np.testing.assert_array_equal(walk.keypoints, pixels(4, 17))
    for clip in found.test:
        assert clip.joints is None
        assert clip.frame_rate is None
        assert clip.valid.all()
        assert len(clip.valid) == len(clip.keypoints)


def test_sides_of_coco():
    for left, right in zip(COCO.left, COCO.right, strict=True):
        assert COCO.names[left].replace("left", "right") == COCO.names[right]


def test_errors_say_where_and_what(tmp_path):
    whole = COCO_METADATA | {"video_metadata": SIZES}
    sizes = SIZES | {"walk.mp4": {"w": 0, "h": "1080"}}
    message = message_of(load, tmp_path, POSITIONS, whole | {"video_metadata": sizes})
    assert "walk.mp4: expected the video's w and h in px, found a dict of 'w', 'h'" in message
    message = message_of(load, tmp_path, POSITIONS, COCO_METADATA)
    assert "metadata: has no 'video_metadata'" in message
    message = message_of(load, tmp_path, POSITIONS | {"new": {"custom": [pixels(2, 17)]}}, whole)
    assert "video_metadata: has no 'new'; found" in message
    message = message_of(load, tmp_path, {"walk.mp4": {"custom": [pixels(3, 16)]}}, whole)
    assert "walk.mp4: expected numbers (frames, 17, 2), found an array (3, 16, 2)" in message
    message = message_of(load, tmp_path, POSITIONS, whole | {"keypoints_symmetry": [[1], [2]]})
    assert "an unknown order of 17 joints, left [1] and right [2]" in message
    assert "holds no videos" in message_of(load, tmp_path, {}, whole)
    message = message_of(load, tmp_path, {"S1": {"Walking": [pixels(3, 17)] * 4}}, whole)
    assert "S1: has no 'custom'; found 'Walking'" in message
