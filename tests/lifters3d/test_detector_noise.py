"""Synthetic detector errors on a walker whose height and joints are known."""

import pytest
import torch
from walkers import HEIGHT, walker

from lifters3d.data.detector_noise import corrupt
from lifters3d.normalisation import person_size
from lifters3d.skeleton import MIRROR


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


PIXELS = 100.0  # a metre


@pytest.fixture(scope="module")
def detected():
    """A walker seen from the side, 2000 times, in pixels: exact and as a detector gives it."""
    exact = torch.from_numpy(walker(18)).float()[..., [0, 2]] * torch.tensor([PIXELS, -PIXELS])
    exact = exact.expand(2000, -1, -1, -1)
    return exact, corrupt(exact, seeded(5))


def test_errors_are_those_of_detectors(detected):
    exact, noisy = detected
    error = (noisy - exact).norm(dim=-1) / (HEIGHT * PIXELS)
    assert 0.01 < error.median() < 0.025
    assert 0.9 < (error < 0.05).float().mean() < 0.98
    # MediaPipe on rendered people: hips are worst (it means another point), then the wrists.
    wrists, hips, nose = (error[..., j].median() for j in ([13, 16], [1, 4], 9))
    assert hips > wrists > nose
    untouched = (error == 0).float().mean((1, 2)) > 0.5
    assert 0.07 < untouched.float().mean() < 0.13


def test_errors_hang_together_in_time(detected):
    exact, noisy = detected
    error = (noisy - exact)[:, :, 9]  # the nose is neither swapped nor merged
    step = error.diff(dim=1).abs().median() / error.abs().median()
    assert 0.2 < step < 0.8  # independent errors: 1.4


def test_legs_are_swapped_in_some_windows(detected):
    exact, noisy = detected
    # Frame 9 and around it the feet are apart: swapped ones lie on the other side's place.
    own = (noisy - exact)[:, :, [2, 3, 5, 6]].norm(dim=-1).mean(2)
    other = (noisy - exact[:, :, list(MIRROR)])[:, :, [2, 3, 5, 6]].norm(dim=-1).mean(2)
    apart = (exact[0, :, 3] - exact[0, :, 6]).norm(dim=-1) > 0.3 * PIXELS
    assert apart.sum() >= 4
    swapped = (other < 0.5 * own)[:, apart]
    assert 0.02 < swapped.any(1).float().mean() < 0.12
    assert swapped.float().mean() < 0.05


def test_gaps_are_bridged_by_straight_lines(detected):
    bend = detected[1].diff(n=2, dim=1).abs().amax((2, 3))
    straight = bend < 1e-3  # jitter bends every joint by half a pixel
    assert 0.08 < straight.any(1).float().mean() < 0.2
    assert straight.sum(1).max() <= 6  # at most a third of the window


def test_lost_limbs_lie_on_the_hip(detected):
    noisy = detected[1]
    hip = (noisy[:, :, [1]] + noisy[:, :, [4]]) / 2
    limbs = [[2, 3], [5, 6], [12, 13], [15, 16]]
    lost = torch.stack([(noisy[:, :, k] - hip).abs().amax((1, 2, 3)) < 1e-2 for k in limbs], 1)
    assert 0.02 < lost.any(1).float().mean() < 0.06
    assert lost.sum(1).max() == 1
    assert (lost.sum(0) > 0).all()


def test_single_joints_jump_now_and_then(detected):
    exact, noisy = detected
    # The nose: neither swapped nor merged. Its other errors hardly change between two frames.
    jump = (noisy - exact)[:, :, 9].diff(dim=1).norm(dim=-1) / (HEIGHT * PIXELS)
    assert 0.005 < (jump > 0.1).any(1).float().mean() < 0.03


def test_hidden_arms_are_drawn_to_the_other_side():
    """Seen from the front, both elbows and wrists come nearer to each other."""
    exact = torch.from_numpy(walker(9, stride=0.0)).float()[..., [1, 2]].expand(2000, -1, -1, -1)
    noisy = corrupt(exact, seeded(9))

    def apart(poses: torch.Tensor) -> torch.Tensor:
        return (poses[:, :, [12, 13]] - poses[:, :, [15, 16]]).norm(dim=-1)

    near = (apart(noisy) < 0.65 * apart(exact)).all(-1)
    lost = (noisy[:, :, [12, 15]] == noisy[:, :, [13, 16]]).all(-1).any(-1)
    assert 0.03 < (near & ~lost).any(1).float().mean() < 0.12


def test_errors_scale_with_the_person():
    exact = torch.from_numpy(walker(12)).float()[None, ..., [0, 2]].repeat(8, 1, 1, 1)
    small, large = corrupt(exact, seeded(6)) - exact, corrupt(50 * exact, seeded(6)) - 50 * exact
    torch.testing.assert_close(50 * small, large, rtol=0, atol=1e-3)


@pytest.mark.parametrize("frames", [1, 2, 9])
def test_any_length_and_no_harm_to_the_input(frames):
    exact = torch.randn(64, frames, 17, 2)
    before = exact.clone()
    noisy = corrupt(exact, seeded())
    assert noisy.shape == exact.shape
    assert noisy.isfinite().all()
    assert torch.equal(exact, before)


def test_person_size_stands_for_the_height():
    """The noise takes 3.6 sizes for a person's height."""
    standing = torch.from_numpy(walker(5, stride=0.0)).float()[None, ..., [1, 2]]
    assert 3.6 * person_size(standing).item() == pytest.approx(HEIGHT, rel=0.1)


def test_seeds_reproduce_the_errors():
    exact = torch.randn(5, 9, 17, 2)
    assert torch.equal(corrupt(exact, seeded(1)), corrupt(exact, seeded(1)))
    assert not torch.equal(corrupt(exact, seeded(1)), corrupt(exact, seeded(2)))
