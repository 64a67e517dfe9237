"""Windows of a data set's clips, by hand: the number of a frame is in its coordinates."""

import numpy as np
import pytest
import torch

from lifters3d.data.clips import H36M, Clip
from lifters3d.data.humaneva import HUMANEVA15
from lifters3d.data.training_windows import ClipWindows
from lifters3d.normalisation import person
from lifters3d.skeleton import MIRROR, derive_trunk
from weights.errors import Pose3dError


def clip(first: int, frames: int, count: int = 17, **other) -> Clip:
    """Frame n is named by x of the joints: the 2D is n px + joint, the 3D n m right of the root."""
    rng = np.random.default_rng(first)
    number = np.arange(first, first + frames, dtype=np.float32)[:, None]
    keypoints = rng.uniform(200, 800, (frames, count, 2)).astype(np.float32)
    positions = rng.normal(0, 0.3, (frames, count, 3)).astype(np.float32)
    positions[..., 2] += 5
    positions[:, 1:, 0] = positions[:, :1, 0] + number
    values = {
        "name": f"clip {first}",
        "subject": "S1",
        "action": "Walking",
        "camera": "1",
        "keypoints": keypoints,
        "joints": positions.astype(np.float32),
        "size": (1000, 1002),
        "frame_rate": 50.0,
        "valid": np.ones(frames, bool),
    }
    return Clip(**values | other)


def numbers(target: torch.Tensor) -> list[list[int]]:
    """The frames that windows are made of."""
    return target[:, :, 2, 0].round().int().tolist()


def all_of(windows: ClipWindows) -> tuple[torch.Tensor, torch.Tensor]:
    return windows.pick(torch.arange(len(windows)))


def test_a_window_for_every_frame_with_its_ends_held():
    windows = ClipWindows([clip(10, 3), clip(20, 2)], H36M, 5, "center", mirrored=False)
    keypoints, target = all_of(windows)
    assert keypoints.shape == (5, 5, 17, 2)
    assert numbers(target) == [
        [10, 10, 10, 11, 12],
        [10, 10, 11, 12, 12],
        [10, 11, 12, 12, 12],
        [20, 20, 20, 21, 21],
        [20, 20, 21, 21, 21],
    ]
    assert torch.equal(target[:, :, 0], torch.zeros(5, 5, 3))


def test_windows_of_the_last_frame():
    windows = ClipWindows([clip(10, 3)], H36M, 3, "last", mirrored=False)
    assert numbers(all_of(windows)[1]) == [[10, 10, 10], [10, 10, 11], [10, 11, 12]]


def test_windows_of_sequences_lie_side_by_side():
    """Ten frames in windows of four: two more, one at each end."""
    windows = ClipWindows([clip(10, 10), clip(30, 4)], H36M, 4, "sequence", mirrored=False)
    assert numbers(all_of(windows)[1]) == [
        [10, 10, 11, 12],
        [13, 14, 15, 16],
        [17, 18, 19, 19],
        [30, 31, 32, 33],
    ]


def test_invalid_frames_are_seen_but_not_asked_for():
    valid = np.array([True, False, True])
    windows = ClipWindows([clip(10, 3, valid=valid)], H36M, 3, "center", mirrored=False)
    assert numbers(all_of(windows)[1]) == [[10, 10, 11], [11, 12, 12]]


def test_2d_is_the_papers_and_belongs_to_the_3d():
    one = clip(10, 4)
    keypoints, target = all_of(ClipWindows([one], H36M, 3, "center", mirrored=False))
    x, y = one.keypoints[2, 5]
    expected = [x / 1000 * 2 - 1, y / 1000 * 2 - 1002 / 1000]
    assert keypoints[2, 1, 5].tolist() == pytest.approx(expected, abs=1e-6)
    relative = one.joints[2, 5] - one.joints[2, 0]
    assert target[2, 1, 5].tolist() == pytest.approx(relative.tolist(), abs=1e-6)


@pytest.mark.parametrize(("skeleton", "left", "right"), [(H36M, 13, 16), (HUMANEVA15, 10, 13)])
def test_every_window_comes_mirrored_as_well(skeleton, left, right):
    windows = ClipWindows([clip(10, 4, len(skeleton.names))], skeleton, 3, "center")
    assert len(windows) == 8
    for poses in all_of(windows):
        plain, turned = poses[:4], poses[4:]
        assert torch.equal(turned[..., left, 0], -plain[..., right, 0])
        assert torch.equal(turned[..., left, 1:], plain[..., right, 1:])
        assert torch.equal(turned[..., skeleton.root, 1:], plain[..., skeleton.root, 1:])


def test_ours_from_a_data_set():
    """Person normalisation of the derived joints; targets in axes that look at the hip."""
    one = clip(0, 4)
    windows = ClipWindows([one], H36M, 3, "center", "person", "derived")
    keypoints, target = windows.pick(torch.tensor([1, 5]))
    derived = derive_trunk(torch.from_numpy(one.keypoints[:3]))[None]
    torch.testing.assert_close(keypoints[:1], person(derived), atol=1e-5, rtol=1e-5)
    mirrored = keypoints[0][:, list(MIRROR)] * torch.tensor([-1.0, 1.0])
    torch.testing.assert_close(keypoints[1], mirrored, atol=1e-5, rtol=1e-5)
    # A turn about the hip: distances stay, and the hip's own ray becomes straight ahead.
    relative = torch.from_numpy(one.joints[:3] - one.joints[:3, :1])
    torch.testing.assert_close(target[0].norm(dim=-1), relative.norm(dim=-1))
    ray = torch.from_numpy(one.joints[:3, 0])
    depth = (relative * (ray / ray.norm(dim=-1, keepdim=True))[:, None]).sum(-1)
    torch.testing.assert_close(target[0][..., 2], depth, atol=1e-5, rtol=1e-5)


def test_what_cannot_be_trained_on():
    with pytest.raises(Pose3dError, match="no clips of its training subjects"):
        ClipWindows([], H36M, 3, "center")
    with pytest.raises(Pose3dError, match="clip 0 has no 3D"):
        ClipWindows([clip(0, 4, joints=None)], H36M, 3, "center")
    with pytest.raises(Pose3dError, match=r"need the 17 joints of Human3\.6M, not 15"):
        ClipWindows([clip(0, 4, 15)], HUMANEVA15, 3, "center", "person", "derived")
