"""The small detector of people: its answers, what they mean, and the weights that are shipped."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import demos
from detectors2d.people import build_people
from detectors2d.people.centernet import (
    CenterNet,
    CenterNetPeople,
    decode,
    input_size,
    load_people,
    overlaps,
    save_people,
)
from weights.errors import Pose3dError

SMALL = {"widths": (8, 8, 8, 8), "blocks": (1, 1, 1, 1), "neck": 8}


def maps_with(*cells):
    """Maps (1, 5, 8, 10) of 80 x 64 px: (column, row, logit, left, top, right, low) each."""
    maps = torch.full((1, 5, 8, 10), 1.0)
    maps[:, 0] = -9.0
    for column, row, *values in cells:
        maps[0, :, row, column] = torch.tensor(values, dtype=torch.float32)
    return maps


def test_a_peak_is_a_person():
    """The middle of the cell at column 5, row 3 is at 44, 28 px."""
    ((boxes, scores),) = decode(maps_with((5, 3, np.log(4), 10, 20, 14, 30)))
    np.testing.assert_allclose(boxes, [[34, 8, 58, 58]])
    np.testing.assert_allclose(scores, [0.8], rtol=1e-6)


def test_cells_beside_a_peak_are_nobody():
    peak, beside = (5, 3, 1.0, 10, 20, 14, 30), (6, 4, 0.9, 1, 1, 1, 1)
    assert len(decode(maps_with(peak, beside))[0][0]) == 1
    # Two cells away it is a peak of its own.
    assert len(decode(maps_with(peak, (7, 3, 0.9, 1, 1, 1, 1)))[0][0]) == 2


def test_of_two_boxes_in_one_place_the_better_stays():
    """The second one is the same 24 x 50 px, 2 px further: 22 / 26 are common."""
    better, worse = (5, 3, 2.0, 10, 20, 14, 30), (3, 3, 1.0, -4, 20, 28, 30)
    ((boxes, scores),) = decode(maps_with(worse, better))
    np.testing.assert_allclose(boxes, [[34, 8, 58, 58]])
    assert len(scores) == 1


def test_the_best_come_first_and_the_worst_not_at_all():
    cells = [(1, 1, -1.0, 4, 4, 4, 4), (5, 5, 1.0, 4, 4, 4, 4), (8, 1, -3.5, 4, 4, 4, 4)]
    ((_, scores),) = decode(maps_with(*cells))
    np.testing.assert_allclose(scores, 1 / (1 + np.exp([-1.0, 1.0])), rtol=1e-6)


def test_overlaps():
    boxes = np.array([[0, 0, 10, 10], [20, 20, 20, 20]], np.float32)
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [2, 2, 4, 7]], np.float32)
    np.testing.assert_allclose(overlaps(boxes, others)[0], [1, 1 / 3, 0, 0.1])
    assert not overlaps(boxes, others)[1].any()


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((1920, 1080), (416, 224)),  # 413 x 232 have 96 000 px
        ((1080, 1920), (224, 416)),
        ((640, 640), (320, 320)),  # 310
        ((10_000, 10), (1280, 32)),
    ],
)
def test_input_sizes(size, wanted):
    assert input_size(size, 96_000) == wanted


class _Corners(torch.nn.Module):
    """Finds one person in every picture: the left upper quarter."""

    pixels = 64 * 96

    def forward(self, images):
        height, width = images.shape[2:]
        maps = torch.full((len(images), 5, height // 8, width // 8), -9.0)
        row, column = height // 32, width // 32
        x, y = (column + 0.5) * 8, (row + 0.5) * 8
        maps[:, :, row, column] = torch.tensor([3, x, y, width / 2 - x, height / 2 - y])
        return maps


def test_boxes_are_px_of_the_pictures(tmp_path):
    people = _people(tmp_path)
    people.network, people.pixels = _Corners(), _Corners.pixels
    pictures = [np.zeros((h, w, 3), np.uint8) for h, w in ((300, 200), (100, 180), (300, 200))]
    found = people.detect(pictures)
    for picture, (boxes, scores) in zip(pictures, found, strict=True):
        height, width = picture.shape[:2]
        np.testing.assert_allclose(boxes, [[0, 0, width / 2, height / 2]], rtol=1e-6)
        assert boxes.dtype == scores.dtype == np.float32
    assert people.detect([]) == []


def _people(folder: Path) -> CenterNetPeople:
    torch.manual_seed(0)
    save_people(CenterNet(**SMALL), folder / "small.safetensors", {})
    return CenterNetPeople(folder / "small.safetensors")


def test_a_network_comes_back_from_its_file(tmp_path):
    torch.manual_seed(0)
    network = CenterNet(**SMALL, pixels=50_000).eval()
    save_people(network, tmp_path / "w.safetensors", {"steps": 3}, half=False)
    again = load_people(tmp_path / "w.safetensors")
    images = torch.randn(1, 3, 64, 96)
    assert again.pixels == 50_000
    with torch.inference_mode():
        assert torch.equal(network(images), again(images))
        assert network(images).shape == (1, 5, 8, 12)
    with pytest.raises(ValueError, match="multiples of 32"):
        network(images[..., :90])


def test_weights_that_are_not_of_this_network(tmp_path):
    path = tmp_path / "w.safetensors"
    _people(tmp_path)
    wrong = CenterNet(**SMALL)
    wrong.config["neck"] = 16
    save_people(wrong, path, {})
    with pytest.raises(Pose3dError, match=r"w.safetensors: weights do not fit centernet: size mis"):
        load_people(path)
    save_file({"a": torch.zeros(1)}, path, {"pose3d": '{"network": "hrnet-w32", "config": {}}'})
    with pytest.raises(Pose3dError, match="weights of hrnet-w32, not of centernet"):
        build_people("centernet", path)
    save_file({"a": torch.zeros(1)}, path, {"pose3d": "[]"})
    with pytest.raises(Pose3dError, match="header of the weights file is not usable"):
        load_people(path)


@pytest.fixture(scope="module")
def shipped():
    return build_people("centernet")


def test_shipped_weights_find_the_walker_of_the_demo(shipped):
    """The clip is rendered: its true boxes are known."""
    folder = Path(demos.__file__).parent
    truth = np.load(folder / "walk.npz")["boxes"][:, 0]
    clip, pictures, rows = cv2.VideoCapture(str(folder / "walk.mp4")), [], range(0, 225, 25)
    for row in range(225):
        good, picture = clip.read()
        assert good
        if row in rows:
            pictures.append(picture[..., ::-1])
    for row, (boxes, scores) in zip(rows, shipped.detect(pictures), strict=True):
        assert scores[0] > 0.5
        assert overlaps(boxes[:1], truth[row][None])[0, 0] > 0.6
        assert not (scores[1:] > 0.5).any()


def test_shipped_weights_find_nobody_in_noise(shipped):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
    pictures = [
        cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC),
        rng.integers(0, 256, (480, 640, 3)).astype(np.uint8),
        np.full((480, 640, 3), 90, np.uint8),
    ]
    assert all((scores < 0.5).all() for _, scores in shipped.detect(pictures))
