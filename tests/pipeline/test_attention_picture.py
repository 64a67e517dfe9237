import sys
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch

import lifters3d
from lifters3d.normalisation import frame, person, screen
from lifters3d.skeleton import HEAD, HIP, derive_trunk
from pipeline.attention import attention_windows
from pipeline.rendering.attention import draw_attention
from pipeline.result import PoseResult
from weights.errors import Pose3dError

T = 9
SIZE = (640, 480)


def lifter(normalisation="person", joints="h36m", frame_rate=30.0):
    network = lifters3d.build("mixste", frames=T, width=8, depth=1, heads=2)
    network.convention = lifters3d.Convention(normalisation, joints, frame_rate)
    return network


def motion(time_s, seed=0):
    """(n, 17, 2) px: joints on slow waves, exact at any time."""
    rng = np.random.default_rng(seed)
    at, size, phase = rng.uniform(150, 350, (17, 2)), rng.uniform(5, 20, (17, 2)), rng.random(17)
    return at + size * np.sin(2 * time_s[:, None, None] + phase[:, None])


def result(people, time_s):
    """A result of people (F, 17, 2) px each."""
    keypoints = np.stack(people, axis=1)
    shape = keypoints.shape[:2]
    return PoseResult(
        time_s=time_s,
        ids=np.arange(len(people)),
        keypoints2d=keypoints,
        scores2d=np.ones((*shape, 17)),
        joints3d=np.zeros((*shape, 17, 3)),
        root=np.zeros((*shape, 3)),
        uncertainty=np.zeros((*shape, 17)),
        status=np.full(shape, "ok"),
        picture_size=SIZE,
        frame_rate=Fraction(30),
    )


def clock(frames, rate=30.0):
    return np.arange(frames) / rate


def test_windows_are_spread_and_normalised_as_the_lifter_was_trained():
    points = motion(clock(T + 9))
    points32 = torch.as_tensor(points, dtype=torch.float32)
    starts = [0, 3, 6, 9]  # a third of a window apart, to the end
    slices = torch.stack([points32[start : start + T] for start in starts])
    expected = {
        "person": person(slices),
        "screen": screen(slices, SIZE),
        "frame": torch.stack([frame(points32[None], T)[0, s : s + T] for s in starts]),
    }
    for normalisation, windows in expected.items():
        found, repeated = attention_windows(result([points], clock(T + 9)), lifter(normalisation))
        assert repeated == 0
        torch.testing.assert_close(found, windows, atol=1e-4, rtol=1e-4)


def test_at_the_most_sixteen_windows():
    points = motion(clock(400))
    windows, _ = attention_windows(result([points], clock(400)), lifter("screen"))
    assert windows.shape == (16, T, 17, 2)
    for window, at in ((windows[0], points[:T]), (windows[-1], points[-T:])):
        expected = screen(torch.as_tensor(at, dtype=torch.float32), SIZE)
        torch.testing.assert_close(window, expected, atol=1e-5, rtol=1e-4)
    assert len(attention_windows(result([points], clock(400)), lifter(), most=5)[0]) == 5


@pytest.mark.parametrize("rate", [15.0, 60.0])
def test_frames_are_taken_at_the_lifters_rate(rate):
    seconds = 1.0
    there = clock(int(seconds * rate) + 1, rate)
    windows, _ = attention_windows(result([motion(there)], there), lifter("screen"))
    expected = screen(torch.as_tensor(motion(clock(T)), dtype=torch.float32), SIZE)
    # Straight lines between the frames of 15 a second: not quite the waves.
    torch.testing.assert_close(windows[0], expected, atol=5e-4, rtol=0)
    as_they_are, _ = attention_windows(
        result([motion(there)], there), lifter("screen", frame_rate=None)
    )
    assert (as_they_are[0] - expected).abs().max() > 5e-3


def test_no_window_reaches_over_a_gap_or_a_jump():
    time_s = clock(40)
    points = motion(time_s)
    points[12:16] = np.nan  # out of sight
    points[30:] += 300  # somebody else
    own = {"out of sight": range(12, 16), "somebody else": (29, 30)}
    windows, _ = attention_windows(result([points], time_s), lifter("screen", frame_rate=None))
    allowed = [screen(torch.as_tensor(points[s : s + T]).float(), SIZE) for s in range(40 - T + 1)]
    assert len(windows)
    for window in windows:
        (start,) = [s for s, other in enumerate(allowed) if torch.allclose(window, other)]
        covered = set(range(start, start + T))
        assert not covered & set(own["out of sight"])
        assert not covered >= set(own["somebody else"])


def test_all_people_count():
    time_s = clock(T)
    people = [motion(time_s, seed) for seed in (1, 2)]
    windows, _ = attention_windows(result(people, time_s), lifter("screen"))
    assert len(windows) == 2
    for seed in (1, 2):
        expected = screen(torch.as_tensor(motion(time_s, seed)).float(), SIZE)
        assert any(torch.allclose(window, expected, atol=1e-5) for window in windows)


def test_a_short_clip_is_held_at_its_ends():
    points = motion(clock(4))
    windows, repeated = attention_windows(result([points], clock(4)), lifter("screen"))
    assert (len(windows), repeated) == (1, T - 4)
    held = points[[0, 0, 0, 1, 2, 3, 3, 3, 3]]
    torch.testing.assert_close(windows[0], screen(torch.as_tensor(held).float(), SIZE))


def test_missing_joints_and_derived_ones():
    points = motion(clock(T))
    seen = result([points], clock(T))
    seen.keypoints2d[3, 0, HEAD] = np.nan
    window = attention_windows(seen, lifter("screen"))[0][0]
    assert torch.equal(window[3, HEAD], window[3, HIP])
    derived = attention_windows(seen, lifter("screen", joints="derived"))[0][0]
    expected = screen(torch.as_tensor(derive_trunk(points)).float(), SIZE)
    torch.testing.assert_close(derived, expected)


def test_nobody():
    absent = np.full((5, 17, 2), np.nan)
    with pytest.raises(Pose3dError, match="nobody was found in any frame"):
        attention_windows(result([absent], clock(5)), lifter())
    nobody = result([motion(clock(5))], clock(5))
    nobody.keypoints2d = nobody.keypoints2d[:, :0]
    nobody.ids = nobody.ids[:0]
    with pytest.raises(Pose3dError, match="nobody"):
        attention_windows(nobody, lifter())


# The picture -------------------------------------------------------------------------------------

DARK, BRIGHT = (68, 1, 84), (253, 231, 36)  # the ends of viridis


def share(picture, colour):
    """Number of pixels of (nearly) a colour."""
    return int((np.abs(picture.astype(int) - colour).max(axis=-1) <= 2).sum())


@pytest.mark.parametrize("length", [4, 10])
def test_bright_is_much_and_dark_is_nothing(tmp_path, length):
    path = tmp_path / "identity.png"
    maps = {"temporal": torch.eye(length).expand(1, 2, length, length)}
    draw_attention(maps, "Title with $ _ and \N{SNOWMAN}", path)
    picture = cv2.imread(str(path))[..., ::-1]
    # Two heads and a mean: in each one of `length` columns is bright.
    ratio = share(picture, BRIGHT) / share(picture, DARK)
    assert ratio == pytest.approx(1 / (length - 1), rel=0.1)
    assert [file.name for file in tmp_path.iterdir()] == ["identity.png"]


def test_every_part_has_its_section(tmp_path):
    even = torch.full((1, 1, 17, 17), 1 / 17)
    heights = []
    parts = {"temporal": even, "spatial": even, "strided 1": even[:1]}
    for count in range(1, 4):
        draw_attention(dict(list(parts.items())[:count]), "title", tmp_path / "p.png")
        heights.append(cv2.imread(str(tmp_path / "p.png")).shape[0])
    assert heights[0] + 200 < heights[1] < heights[2] - 200


def test_a_folder_that_is_not_there(tmp_path):
    maps = {"temporal": torch.eye(3).expand(1, 1, 3, 3)}
    with pytest.raises(Pose3dError, match=r"p\.png: cannot be written"):
        draw_attention(maps, "title", tmp_path / "absent" / "p.png")


def test_no_window_system_is_touched(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # an import would fail
    draw_attention({"temporal": torch.eye(3).expand(1, 1, 3, 3)}, "title", tmp_path / "p.png")
    assert (tmp_path / "p.png").is_file()
