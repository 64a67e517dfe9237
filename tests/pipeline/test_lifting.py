"""Lifting of a sequence, with lifters whose right answer is known."""

import numpy as np
import pytest
import torch

from lifters3d.normalisation import viewing_rotation
from lifters3d.skeleton import HIP, MIRROR, derive_trunk
from pipeline.lifting import focal_length
from tests.pipeline.lifters import (
    SIZE,
    FakeLifter,
    evenly,
    lift_sequence,
    linear,
    lopsided,
    on_screen,
    rooted,
    wandering,
)

pytestmark = pytest.mark.usefixtures("one_thread")


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


def test_missing_joints_are_guessed_and_change_no_others():
    keypoints = wandering(40)
    whole = on_screen(keypoints)
    keypoints[7:12, 15] = np.nan
    lifted = lift_sequence(FakeLifter(lopsided), keypoints, evenly(40), SIZE, flip_average=False)
    # An elbow hangs below its shoulder, by 0.55 of the trunk.
    whole[7:12, 15] = whole[7:12, 14] + 0.55 * (whole[7:12, 0] - whole[7:12, 8])
    np.testing.assert_allclose(lifted, rooted(lopsided(torch.tensor(whole)).numpy()), atol=1e-5)


# Time --------------------------------------------------------------------------------------------


def swinging(time_s):
    """(n, 17, 2) px: the joints swing at 1 Hz, each in its own phase."""
    phase = np.arange(17) / 17 * 2 * np.pi
    angle = 2 * np.pi * np.asarray(time_s)[:, None] + phase
    return np.stack([320 + 100 * np.cos(angle), 240 + 80 * np.sin(angle)], axis=-1)


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


def test_equal_time_stamps_are_lifted():
    keypoints, time_s = wandering(40), evenly(40)
    doubled = np.repeat(time_s[:20], 2)  # every stamp twice: uneven, so it is resampled
    lifted = lift_sequence(FakeLifter(linear, frame_rate=30.0), keypoints, doubled, SIZE)
    assert lifted.shape == (40, 17, 3)
    assert np.isfinite(lifted).all()
