"""Windowed lifting, with lifters whose right answer is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import lifters3d
from lifters3d.normalisation import viewing_rotation
from lifters3d.registry import Convention
from lifters3d.skeleton import HIP, MIRROR, derive_trunk
from pipeline.lifting import focal_length, lift_sequence, window_starts

WALK = Path(__file__).parents[2] / "demos" / "walk.npz"
SIZE = (640, 480)
LENGTHS = [1, 2, 8, 9, 26, 27, 28, 53, 54, 55, *range(80, 201, 7), 200]


class FakeLifter(nn.Module):
    """A sequence lifter that answers by a function of its normalised input (B, T, 17, 2)."""

    def __init__(self, answer, frames=27, **convention):
        super().__init__()
        self.device_holder = nn.Parameter(torch.zeros(1))
        self.answer = answer
        self.frames = frames
        self.convention = Convention(**convention)
        self.calls = []

    def forward(self, keypoints):
        assert keypoints.shape[1:] == (self.frames, 17, 2)
        assert torch.isfinite(keypoints).all()
        self.calls.append(keypoints.shape[0])
        return self.answer(keypoints)


def lopsided(keypoints):
    """(..., 17, 3) by frame; neither linear nor mirrored in its input."""
    x, y = keypoints.unbind(-1)
    return torch.stack([x + y**2, y - x**3, torch.sin(3 * x + 1)], dim=-1)


def wandering(length, seed=0):
    """(n, 17, 2) px: every joint on its own way through the picture."""
    random = np.random.default_rng(seed)
    return random.uniform(0, SIZE[0], (length, 17, 2))


def evenly(length, rate=30.0):
    return np.arange(length) / rate


def on_screen(keypoints):
    """Screen coordinates of px, written out anew."""
    width, height = SIZE
    return np.stack(
        [keypoints[..., 0] / width * 2 - 1, (keypoints[..., 1] * 2 - height) / width], axis=-1
    )


def rooted(joints):
    return joints - joints[..., HIP : HIP + 1, :]


def accelerations(joints):
    """(n - 2,) mean over the joints of the size of the second difference."""
    return np.linalg.norm(np.diff(joints, 2, axis=0), axis=-1).mean(-1)


def near_window_edges(length, frames):
    """Indices of second differences over frames in which a window begins or ends."""
    margin = frames // 3
    starts = np.array(window_starts(length + 2 * margin, frames)) - margin
    edges = np.unique([starts, starts + frames])
    edges = edges[(edges > 1) & (edges < length - 1)]
    return np.unique([edges - 2, edges - 1])


# Windows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 2, 3, 27, 81])
def test_windows_cover_everything(frames):
    for length in range(frames, 4 * frames + 3):
        starts = window_starts(length, frames)
        assert starts[0] == 0
        assert starts[-1] == length - frames
        assert (np.diff(starts) > 0).all()
        assert (np.diff(starts) <= max(1, frames // 3)).all()


@pytest.mark.parametrize("length", LENGTHS)
def test_each_frame_comes_back_in_its_place(length):
    keypoints = wandering(length)
    lifted = lift_sequence(
        FakeLifter(lopsided), keypoints, evenly(length), SIZE, flip_average=False
    )
    expected = rooted(lopsided(torch.tensor(on_screen(keypoints))).numpy())
    assert lifted.shape == (length, 17, 3)
    assert lifted.dtype == np.float32
    np.testing.assert_allclose(lifted, expected, atol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 9, 81, 243])
def test_any_receptive_field(frames):
    for length in (1, 5, 100):
        keypoints = wandering(length)
        lifter = FakeLifter(lopsided, frames)
        lifted = lift_sequence(lifter, keypoints, evenly(length), SIZE, flip_average=False)
        expected = rooted(lopsided(torch.tensor(on_screen(keypoints))).numpy())
        np.testing.assert_allclose(lifted, expected, atol=1e-4)


def test_nothing_gives_nothing():
    lifted = lift_sequence(FakeLifter(lopsided), np.zeros((0, 17, 2)), np.zeros(0), SIZE)
    assert lifted.shape == (0, 17, 3)


def test_ends_are_padded_with_the_end_frames():
    seen = []

    def record(keypoints):
        seen.append(keypoints.clone())
        return lopsided(keypoints)

    keypoints = wandering(5)
    lift_sequence(FakeLifter(record), keypoints, evenly(5), SIZE, flip_average=False)
    (window,) = torch.cat(seen).numpy()
    frames = on_screen(keypoints)
    order = [int(np.abs(frames - shown).sum((1, 2)).argmin()) for shown in window]
    assert order == [0] * 11 + [0, 1, 2, 3, 4] + [4] * 11


@pytest.mark.parametrize("length", [1, 20, 27, 60])
def test_every_frame_is_seen_well_inside_of_some_window(length):
    """A sequence lifter is at its worst at the ends of its window."""
    best = np.zeros(length)

    def record(keypoints):
        for window in keypoints.numpy():
            for place, shown in enumerate(window):
                frame = int(np.abs(frames - shown).sum((1, 2)).argmin())
                best[frame] = max(best[frame], min(place, 26 - place))
        return lopsided(keypoints)

    keypoints = wandering(length)
    frames = on_screen(keypoints)
    lift_sequence(FakeLifter(record), keypoints, evenly(length), SIZE, flip_average=False)
    assert best.min() >= 9


@pytest.mark.parametrize("length", [5, 27, 100])
def test_batch_size_changes_nothing(length):
    def blurred(keypoints):
        return lopsided(keypoints) + lopsided(keypoints).mean(dim=1, keepdim=True)

    keypoints = wandering(length)
    results = []
    for batch in (1, 3, 1000, None):
        lifter = FakeLifter(blurred)
        results.append(lift_sequence(lifter, keypoints, evenly(length), SIZE, batch=batch))
        assert max(lifter.calls) <= (batch or 1000)
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], atol=1e-5)


def test_pixels_and_times_are_left_alone():
    keypoints, time_s = wandering(30), evenly(30, 60)
    keypoints[3, 5] = np.nan
    before = keypoints.copy(), time_s.copy()
    lift_sequence(FakeLifter(lopsided, joints="derived", frame_rate=30.0), keypoints, time_s, SIZE)
    np.testing.assert_array_equal(keypoints, before[0])
    np.testing.assert_array_equal(time_s, before[1])


# Flip averaging ----------------------------------------------------------------------------------


def test_flip_averaging_of_a_symmetric_lifter_changes_nothing():
    def symmetric(keypoints):
        x, y = keypoints.unbind(-1)
        return torch.stack([x**3 + x * y, y, x**2 - y], dim=-1)

    keypoints, time_s = wandering(60), evenly(60)
    plain = lift_sequence(FakeLifter(symmetric), keypoints, time_s, SIZE, flip_average=False)
    averaged = lift_sequence(FakeLifter(symmetric), keypoints, time_s, SIZE)
    np.testing.assert_allclose(averaged, plain, atol=1e-6)


def test_flip_averaging_cancels_what_is_not_symmetric():
    def sided(keypoints):
        """z is odd in x: the mirror image gives the opposite; joint 3 differs from 6."""
        x, y = keypoints.unbind(-1)
        only_right = torch.zeros(17)
        only_right[3] = 1.0
        return torch.stack([x, y + only_right, x], dim=-1)

    keypoints, time_s = wandering(40), evenly(40)
    lifted = lift_sequence(FakeLifter(sided), keypoints, time_s, SIZE)
    screen = on_screen(keypoints)
    expected = np.concatenate([screen, np.zeros((40, 17, 1))], axis=-1)
    expected[:, [3, MIRROR[3]], 1] += 0.5
    np.testing.assert_allclose(lifted, rooted(expected), atol=1e-5)


# Missing joints ----------------------------------------------------------------------------------


@pytest.mark.parametrize("joints", ["derived", "h36m"])
@pytest.mark.parametrize("normalisation", ["person", "screen"])
@pytest.mark.parametrize(
    "lost",
    [
        (slice(None), 16),
        (slice(10, 20), slice(None)),
        (slice(5, 9), HIP),
        (slice(5, 9), [0, 1]),
        (slice(5, 9), [0, 1, 4]),
        (0, slice(None)),
        (-1, slice(1, None)),
        (slice(None), slice(None)),
    ],
)
def test_missing_joints_do_not_spread(joints, normalisation, lost):
    convention = {"joints": joints, "normalisation": normalisation, "frame_rate": 30.0}
    for rate in (30.0, 60.0):
        keypoints = wandering(40)
        keypoints[lost] = np.nan
        keypoints[2, 2, 0] = np.nan  # half a point is none
        lifter = FakeLifter(lopsided, **convention)  # which asserts that its input is finite
        lifted = lift_sequence(lifter, keypoints, evenly(40, rate), SIZE)
        assert lifted.shape == (40, 17, 3)
        assert np.isfinite(lifted).all()


def test_missing_joints_stand_on_the_hip_and_change_no_others():
    keypoints = wandering(40)
    whole = on_screen(keypoints)
    keypoints[7:12, 15] = np.nan
    lifted = lift_sequence(FakeLifter(lopsided), keypoints, evenly(40), SIZE, flip_average=False)
    whole[7:12, 15] = whole[7:12, HIP]
    np.testing.assert_allclose(lifted, rooted(lopsided(torch.tensor(whole)).numpy()), atol=1e-5)


# Time --------------------------------------------------------------------------------------------


def swinging(time_s):
    """(n, 17, 2) px: the joints swing at 1 Hz, each in its own phase."""
    phase = np.arange(17) / 17 * 2 * np.pi
    angle = 2 * np.pi * np.asarray(time_s)[:, None] + phase
    return np.stack([320 + 100 * np.cos(angle), 240 + 80 * np.sin(angle)], axis=-1)


def linear(keypoints):
    return torch.cat([keypoints, keypoints.sum(-1, keepdim=True)], dim=-1)


def irregular(seed=0):
    steps = np.random.default_rng(seed).choice([1 / 60, 1 / 30, 1 / 15, 0.1], 150)
    return np.cumsum(steps)


@pytest.mark.parametrize(
    "time_s",
    [
        evenly(240, 60),
        evenly(60, 10),
        evenly(3, 60),
        evenly(2, 120),
        evenly(90, 60000 / 1001) + 17.3,
        irregular(),
    ],
)
def test_other_rates_come_back_at_their_own_times(time_s):
    lifted = lift_sequence(
        FakeLifter(linear, frame_rate=30.0), swinging(time_s), time_s, SIZE, flip_average=False
    )
    expected = rooted(linear(torch.tensor(on_screen(swinging(time_s)))).numpy())
    assert lifted.shape == (len(time_s), 17, 3)
    # The swing is 0.3 wide: within a few percent of it.
    np.testing.assert_allclose(lifted, expected, atol=0.02)


@pytest.mark.parametrize("rate", [60.0, 10.0, 120.0])
def test_the_lifter_sees_its_own_rate(rate):
    steps = []

    def watch(keypoints):
        x, y = keypoints.unbind(-1)
        angle = torch.atan2(y / 80, x / 100)
        steps.append(torch.diff(angle[0, 9:18, 0]))
        return linear(keypoints)

    time_s = evenly(round(2 * rate), rate)
    lift_sequence(
        FakeLifter(watch, frame_rate=30.0), swinging(time_s), time_s, SIZE, flip_average=False
    )
    turned = torch.remainder(torch.stack(steps), 2 * torch.pi)
    # One turn a second seen 30 times a second (the held frames of the margin apart).
    assert torch.median(turned).item() == pytest.approx(2 * np.pi / 30, rel=0.05)


@pytest.mark.parametrize("rate", [24000 / 1001, 25, 30000 / 1001, 30])
def test_usual_rates_are_not_resampled(rate):
    """Exact even where the keypoints jump, which no resampling survives."""
    keypoints = wandering(50)
    lifted = lift_sequence(
        FakeLifter(lopsided, frame_rate=30.0),
        keypoints,
        evenly(50, rate),
        SIZE,
        flip_average=False,
    )
    expected = rooted(lopsided(torch.tensor(on_screen(keypoints))).numpy())
    np.testing.assert_allclose(lifted, expected, atol=1e-4)


# Axes --------------------------------------------------------------------------------------------


def test_focal_length():
    assert focal_length((1000, 500), 90) == pytest.approx(500)
    assert focal_length((500, 1000), 90) == pytest.approx(250)
    assert focal_length((1920, 1080)) == focal_length((1080, 1920)) == pytest.approx(1.2 * 1920)


@pytest.mark.parametrize("place", [(0, 0, 4), (1.6, 0.4, 4), (-2.0, -0.9, 5), (0.3, 1.2, 3)])
def test_looking_axes_are_turned_back_to_the_camera(place):
    """A lifter that tells the truth as seen when looking at the hip: the answer is the truth."""
    fov = 70.0
    focal = SIZE[0] / 2 / np.tan(np.radians(fov) / 2)
    random = np.random.default_rng(1)
    drift = np.linspace(0, 0.5, 50)[:, None, None] * random.normal(size=3)
    body = 0.3 * random.normal(size=(50, 17, 3)) * [1, 2, 1] + np.array(place) + drift
    body = derive_trunk(body)
    keypoints = focal * body[..., :2] / body[..., 2:] + np.array(SIZE) / 2
    # The midpoint of two projected hips is not the projection of their midpoint: put the hip there.
    keypoints = derive_trunk(keypoints)
    direction = torch.tensor((keypoints[:, HIP] - np.array(SIZE) / 2) / focal)
    seen = torch.einsum("tij,tkj->tki", viewing_rotation(direction), torch.tensor(rooted(body)))
    shapes = torch.tensor(keypoints - keypoints[:, HIP : HIP + 1]).flatten(1).float()
    shapes = shapes / shapes.norm(dim=1, keepdim=True)

    def truth(window):
        shown = window.flatten(2) / window.flatten(2).norm(dim=2, keepdim=True)
        return seen[(shown @ shapes.T).argmax(-1)].float()

    lifter = FakeLifter(truth, joints="derived", normalisation="person")
    lifted = lift_sequence(lifter, keypoints, evenly(50), SIZE, fov_degrees=fov, flip_average=False)
    np.testing.assert_allclose(lifted, rooted(body), atol=1e-5)
    # The turn is real: off the centre the lifter's own axes are others.
    if place[:2] != (0, 0):
        assert np.abs(seen.numpy() - rooted(body)).max() > 0.05


@pytest.mark.parametrize(("normalisation", "same"), [("person", True), ("screen", False)])
def test_person_normalisation_knows_neither_place_nor_scale(normalisation, same):
    def shown(keypoints):
        windows = []

        def record(window):
            windows.append(window)
            return linear(window)

        lifter = FakeLifter(record, normalisation=normalisation)
        lift_sequence(lifter, keypoints, evenly(40), SIZE)
        return torch.cat(windows).numpy()

    keypoints = wandering(40)
    moved = shown(keypoints / 7 + [[[111, 5]]])
    assert np.allclose(moved, shown(keypoints), atol=1e-4) == same


# Seams -------------------------------------------------------------------------------------------


def circling(length):
    """(n, 17, 2) px: the same speed and acceleration in every frame."""
    angle = 2 * np.pi * np.arange(length) / 25 + np.arange(17)[:, None]
    return np.stack([320 + 90 * np.cos(angle.T), 240 + 90 * np.sin(angle.T)], axis=-1)


@pytest.mark.parametrize("shape", ["ramp", "ends", "offset"])
def test_no_seam_from_what_depends_on_the_place_in_the_window(shape):
    """The error of real sequence lifters depends on where in the window a frame stands."""
    place = torch.linspace(-1, 1, 27)
    error = {"ramp": 0.05 * place, "ends": 0.08 * place**8, "offset": 0.05 * torch.sin(9 * place)}
    windows = []

    def biased(keypoints):
        windows.extend(keypoints)
        bias = torch.zeros(27, 17, 3)
        bias[:, :, 2] = error[shape][:, None]
        bias[:, HIP] = 0
        return linear(keypoints) + bias

    length = 150
    lifted = lift_sequence(
        FakeLifter(biased), circling(length), evenly(length), SIZE, flip_average=False
    )
    size = accelerations(lifted)
    assert len(windows) > 10
    assert size[near_window_edges(length, 27)].max() <= 1.5 * np.median(size)


def test_no_seam_with_the_shipped_lifter():
    truth = np.load(WALK)
    lifter = lifters3d.load("mixste")
    keypoints = truth["joints2d"][:165, 0]
    lifted = lift_sequence(
        lifter, keypoints, evenly(len(keypoints)), tuple(truth["size"]), flip_average=False
    )
    size = accelerations(lifted)
    edges = near_window_edges(len(keypoints), lifter.frames)
    assert len(edges) >= 4
    assert size[edges].mean() <= 1.5 * np.median(size)
