from pathlib import Path

import numpy as np
import pytest
import torch

from lifters3d.normalisation import person, person_size, screen, viewing_rotation
from lifters3d.skeleton import flip

DATA = Path(__file__).parents[1] / "data" / "screen_normalisation.npz"


@pytest.fixture
def windows():
    """Three windows of 11 frames, px, of very different size and place."""
    torch.manual_seed(0)
    poses = torch.randn(3, 11, 17, 2, dtype=torch.float64)
    size = torch.tensor([12.0, 90.0, 400.0])[:, None, None, None]
    return poses * size + torch.tensor([640.0, 360.0])


@pytest.mark.parametrize("size", [(1000, 1002), (1920, 1080)])
def test_screen_is_the_papers(size):
    with np.load(DATA) as golden:
        pixels = torch.from_numpy(golden["pixels"])
        expected = golden[f"normalized_{size[0]}x{size[1]}"]
    np.testing.assert_allclose(screen(pixels, size).numpy(), expected, rtol=0, atol=5e-7)


def test_screen_of_corners_and_flip():
    corners = torch.tensor([[0.0, 0.0], [1280.0, 720.0], [640.0, 360.0]])
    expected = torch.tensor([[-1, -0.5625], [1, 0.5625], [0, 0]])
    torch.testing.assert_close(screen(corners, (1280, 720)), expected)
    # A mirrored picture is the mirrored input.
    pose = torch.rand(17, 2) * 700
    mirrored = pose[[0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13]].clone()
    mirrored[:, 0] = 1280 - mirrored[:, 0]
    torch.testing.assert_close(
        screen(mirrored, (1280, 720)), flip(screen(pose, (1280, 720))), rtol=0, atol=1e-6
    )


def test_person_ignores_place_and_size_in_the_picture(windows):
    expected = person(windows)
    moved = windows * 0.173 + torch.tensor([-250.0, 77.0])
    torch.testing.assert_close(person(moved), expected)
    # The place may change from frame to frame, as under a moving camera.
    shaken = windows + 300 * torch.randn(3, 11, 1, 2, dtype=torch.float64)
    torch.testing.assert_close(person(shaken), expected)


def test_person_is_centred_and_of_size_one(windows):
    normalised = person(windows)
    assert (normalised[:, :, 0] == 0).all()
    torch.testing.assert_close(person_size(normalised), torch.ones(3, dtype=torch.float64))


def test_person_keeps_the_change_of_size_within_a_window(windows):
    approaching = torch.linspace(0.5, 1.5, 11, dtype=torch.float64)[:, None, None]
    same_pose = windows[:, :1].expand(-1, 11, -1, -1)
    normalised = person(same_pose * approaching)
    torch.testing.assert_close(normalised[:, 10], 3 * normalised[:, 0])


def test_person_size_is_the_median_of_known_radii():
    """Limb joints on a circle of a frame's radius about the hip."""
    radii = torch.tensor([3.0, 5.0, 4.0])
    angle = torch.arange(17.0)
    circle = torch.stack([angle.cos(), angle.sin()], -1)
    window = radii[:, None, None] * circle + 50
    window[:, 0] = 50
    assert person_size(window[None]).item() == pytest.approx(4)


def test_person_withstands_one_wild_frame(windows):
    wild = windows.clone()
    wild[:, 4] = 1e6 * torch.randn(3, 17, 2, dtype=torch.float64)
    others = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]
    ratio = person_size(wild) / person_size(windows)
    # The median moves to a neighbour among eleven sizes that scatter by a seventh.
    assert (ratio - 1).abs().max() < 0.1
    rest, expected = person(wild)[:, others], person(windows)[:, others]
    torch.testing.assert_close(rest * ratio[:, None, None, None], expected)


def test_person_without_extent_is_finite():
    assert (person(torch.full((1, 5, 17, 2), 7.0)) == 0).all()


@pytest.fixture
def rays():
    torch.manual_seed(0)
    return 1.5 * torch.randn(200, 4, 2, dtype=torch.float64)


def test_viewing_rotation_is_a_rotation(rays):
    rotation = viewing_rotation(rays)
    assert rotation.shape == (200, 4, 3, 3)
    eye = torch.eye(3, dtype=torch.float64).expand_as(rotation)
    torch.testing.assert_close(rotation @ rotation.mT, eye)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(200, 4, dtype=torch.float64))


def test_viewing_rotation_turns_the_ray_forward(rays):
    ray = torch.cat([rays, torch.ones_like(rays[..., :1])], -1)
    turned = (viewing_rotation(rays) @ ray[..., None])[..., 0]
    torch.testing.assert_close(turned[..., :2], torch.zeros_like(rays), rtol=0, atol=1e-12)
    torch.testing.assert_close(turned[..., 2], ray.norm(dim=-1))


def test_viewing_rotation_has_no_roll(rays):
    right, down, _ = viewing_rotation(rays).unbind(-2)
    assert right[..., 1].abs().max() == 0  # in the camera's horizontal plane
    assert (right[..., 0] > 0).all()
    assert (down[..., 1] > 0).all()


def test_viewing_rotation_of_the_centre_is_none():
    assert torch.equal(viewing_rotation(torch.zeros(2)), torch.eye(3))


def test_viewing_rotation_of_a_pan_and_a_tilt():
    """45 degrees to the right, 45 degrees down: known matrices."""
    half = 0.5**0.5
    pan, tilt = viewing_rotation(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    torch.testing.assert_close(pan, torch.tensor([[half, 0, -half], [0, 1, 0], [half, 0, half]]))
    torch.testing.assert_close(tilt, torch.tensor([[1, 0, 0], [0, half, -half], [0, half, half]]))
