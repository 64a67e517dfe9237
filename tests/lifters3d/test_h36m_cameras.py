"""Cameras of Human3.6M, held against the papers' own code, OpenCV and SciPy."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lifters3d.data.h36m_cameras import (
    camera_to_world,
    cameras,
    project,
    project_linear,
    to_pixels,
    uvd_to_xyz,
    world_to_camera,
)
from weights.errors import Pose3dError

DATA = Path(__file__).parents[1] / "data"
SUBJECTS = ["S1", "S5", "S6", "S7", "S8", "S9", "S11"]


@pytest.fixture(scope="module")
def golden():
    """Ten poses before the first camera of S1."""
    with np.load(DATA / "camera.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def camera():
    return cameras("S1")[0]


def close(value, expected, atol):
    np.testing.assert_allclose(value, expected, rtol=0, atol=atol)


def test_camera_is_the_papers(golden, camera):
    close(camera.orientation, golden["quat"], 1e-8)
    close(camera.position, golden["trans"], 1e-6)
    close(camera.intrinsics, golden["intrinsic"], 1e-6)
    assert (camera.name, camera.size) == ("54138969", (1000, 1002))


def test_world_and_camera_axes_equal_the_papers_code(golden, camera):
    close(world_to_camera(golden["world"], camera), golden["camera"], 2e-6)
    close(camera_to_world(golden["camera"], camera), golden["back"], 2e-6)


def test_projections_equal_the_papers_code(golden):
    points, intrinsics = golden["camera"], golden["intrinsic"]
    close(project(points, intrinsics), golden["projected"], 2e-7)
    close(project_linear(points, intrinsics), golden["projected_linear"], 2e-7)


def test_uvd_to_xyz_equals_the_papers_code(golden):
    uvd, depth = golden["uvd"], golden["uvd_root"][..., 0, 2]
    assert (uvd[..., 0, 2] != 0).all()  # the root's own must not be read
    close(uvd_to_xyz(uvd, depth, golden["intrinsic"]), golden["uvd_xyz"], 1e-6)


def test_to_pixels_undoes_the_papers_normalisation():
    with np.load(DATA / "screen_normalisation.npz") as file:
        for size in ((1000, 1002), (1920, 1080)):
            screen = file[f"normalized_{size[0]}x{size[1]}"]
            close(to_pixels(screen, size), file["pixels"], 2e-4)


def test_results_are_of_the_points_type(golden, camera):
    for dtype in (np.float32, np.float64):
        points = golden["camera"].astype(dtype)
        screen = project(points, camera.intrinsics)
        uvd = np.concatenate([screen, points[..., 2:]], -1)
        results = [
            world_to_camera(points, camera),
            camera_to_world(points, camera),
            screen,
            project_linear(points, camera.intrinsics),
            uvd_to_xyz(uvd, points[:, 0, 2], camera.intrinsics),
            to_pixels(screen, camera.size),
        ]
        assert {result.dtype for result in results} == {np.dtype(dtype)}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_orientation_is_scipys(subject):
    points = np.random.default_rng(0).normal(size=(6, 17, 3))
    for camera in cameras(subject):
        turn = Rotation.from_quat(camera.orientation[[1, 2, 3, 0]])
        expected = turn.inv().apply(points.reshape(-1, 3) - camera.position).reshape(6, 17, 3)
        moved = world_to_camera(points, camera)
        close(moved, expected, 1e-12)
        close(camera_to_world(moved, camera), points, 1e-12)


@pytest.mark.parametrize("index", range(4))
def test_radial_distortion_is_opencvs(golden, index):
    camera = cameras("S9")[index]
    points = golden["camera"].astype(np.float64)
    k1, k2, k3 = camera.intrinsics[4:7]
    intrinsics = np.concatenate([camera.intrinsics[:7], [0, 0]])
    (fx, fy), (cx, cy) = intrinsics[:2], intrinsics[2:4]
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    expected, _ = cv2.projectPoints(
        points.reshape(-1, 1, 3), np.zeros(3), np.zeros(3), matrix, np.array([k1, k2, 0, 0, k3])
    )
    close(project(points, intrinsics).reshape(-1, 2), expected[:, 0], 1e-12)
    # The papers' tangential terms are nearly OpenCV's (a factor of 2 is left out), under 2 px.
    assert 0 < np.abs(project(points, camera.intrinsics) - project(points, intrinsics)).max() < 4e-3


def test_far_outside_of_the_picture_the_rays_are_held(camera):
    wide, edge = np.array([[9.0, 0.3, 1.0], [1.0, 0.3, 1.0]])
    for function in (project, project_linear):
        close(function(wide, camera.intrinsics), function(edge, camera.intrinsics), 0)
        near = function(edge - [0.1, 0, 0], camera.intrinsics)
        assert near[0] != function(edge, camera.intrinsics)[0]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_all_cameras_see_a_person_upright_in_the_middle_of_the_room(subject):
    four = cameras(subject)
    assert [camera.name for camera in four] == ["54138969", "55011271", "58860488", "60457274"]
    person = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.9], [0.0, 0.0, 1.8]])
    for camera in four:
        inside = world_to_camera(person, camera)
        assert (inside[:, 2] > 3).all()
        assert (inside[:, 2] < 7).all()
        pixels = to_pixels(project(inside, camera.intrinsics), camera.size)
        assert (pixels > 0).all()
        assert (pixels < camera.size).all()
        feet, hip, head = pixels[:, 1]
        assert feet - 150 > hip > head + 150
        assert np.ptp(pixels[:, 0]) < 60


def test_uvd_undoes_the_linear_projection(golden, camera):
    points = golden["camera"].astype(np.float64)
    root = points[:, 0, 2]
    depth = points[..., 2:] - root[:, None, None]
    uvd = np.concatenate([project_linear(points, camera.intrinsics), depth], -1)
    close(uvd_to_xyz(uvd, root, camera.intrinsics), points - points[:, :1], 1e-12)
    # In pixels: a lens of the published focal length and principal point.
    focal, centre = np.array([1145.0494, 1143.7811]), np.array([512.5415, 515.4515])
    expected = focal * points[..., :2] / points[..., 2:] + centre
    close(to_pixels(uvd[..., :2], camera.size), expected, 1e-3)


def test_a_quaternion_that_is_not_quite_of_length_one_is_mended(golden, camera):
    longer = replace(camera, orientation=camera.orientation * 1.001)
    points = golden["world"].astype(np.float64)
    close(world_to_camera(points, longer), world_to_camera(points, camera), 1e-12)


def test_unknown_subject_is_one_clear_line():
    with pytest.raises(Pose3dError, match=r"no cameras for subject 'S2'; it has S1, S5, .*S11$"):
        cameras("S2")
