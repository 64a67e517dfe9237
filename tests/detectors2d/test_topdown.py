"""Top-down estimation: what is painted into pictures must be found where it was painted.

The network is a stub that finds spots of colour as a trained one finds joints: the heat map of a
spot at pixel (x, y) of the crop is a Gaussian around cell (x / 4, y / 4).
"""

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from detectors2d.topdown import TopDown
from tests.detectors2d.hrnets import small

SIZE = (192, 256)
NOSE, LEFT_WRIST, RIGHT_WRIST = 0, 9, 10
# Of ImageNet, RGB.
MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def middle(weights):
    """Of the bright cells of a map (N, H, W): x and y, (N,) each."""
    y, x = torch.meshgrid(*(torch.arange(n) for n in weights.shape[1:]), indexing="ij")
    total = weights.sum((1, 2)).clamp(1e-9)
    return ((weights * x).sum((1, 2)) / total, (weights * y).sum((1, 2)) / total)


class Spots(nn.Module):
    """A red nose and green wrists of somebody who faces the camera: the left is on the right."""

    def __init__(self):
        super().__init__()
        self.crops = []
        self.autocast = set()

    def forward(self, crops):
        self.crops.append(crops)
        self.autocast.add(torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu"))
        red, green, _ = (crops * STD + MEAN - 0.1).clamp(min=0).unbind(1)
        nose = middle(red)
        right_side = torch.arange(green.shape[2]) > nose[0][:, None, None]
        heatmaps = torch.zeros(len(crops), 17, crops.shape[2] // 4, crops.shape[3] // 4)
        for joint, weights in (
            (NOSE, red),
            (LEFT_WRIST, green * right_side),
            (RIGHT_WRIST, green * ~right_side),
        ):
            y, x = torch.meshgrid(*(torch.arange(n) for n in heatmaps.shape[2:]), indexing="ij")
            at_x, at_y = (part[:, None, None] / 4 for part in middle(weights))
            heatmaps[:, joint] = 0.9 * torch.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / 8)
        return heatmaps


class Person:
    """Spots and a box around them, upright, ``height`` px tall, with its middle at (x, y)."""

    def __init__(self, x, y, height):
        self.box = (x - height // 6, y - height // 2, x + height // 6, y + height // 2)
        self.radius = max(1, height // 30)
        self.joints = {
            NOSE: (x + height // 50, y - height // 3),
            RIGHT_WRIST: (x - height // 9, y),
            LEFT_WRIST: (x + height // 8, y + height // 20),
        }

    def paint(self, image):
        for joint, spot in self.joints.items():
            colour = (255, 0, 0) if joint == NOSE else (0, 255, 0)
            cv2.circle(image, spot, self.radius, colour, thickness=-1)


def picture(width, height, people):
    image = np.zeros((height, width, 3), np.uint8)
    for person in people:
        person.paint(image)
    return image, np.array([person.box for person in people], np.float32).reshape(-1, 4)


LANDSCAPE = (1920, 1080, [Person(960, 540, 900)])
PORTRAIT = (1080, 1920, [Person(500, 800, 1300)])
BEYOND_THE_EDGE = (640, 480, [Person(70, 330, 420), Person(565, 200, 390)])
SEVERAL = (1920, 1080, [Person(300, 500, 600), Person(1000, 600, 300), Person(1600, 700, 500)])
TINY = (90, 120, [Person(40, 60, 90)])
NOBODY = (320, 240, [])


def check(scene, found, cells):
    """Every joint within ``cells`` of a heat map."""
    _, _, people = scene
    keypoints, scores = found
    assert keypoints.shape == (len(people), 17, 2)
    assert scores.shape == (len(people), 17)
    assert keypoints.dtype == scores.dtype == np.float32
    for person, joints, heights in zip(people, keypoints, scores, strict=True):
        cell = 1.25 * (person.box[3] - person.box[1]) / 64
        for joint, spot in person.joints.items():
            off = np.abs(joints[joint] - spot).max() / cell
            assert off < cells, (joint, off)
            assert 0.8 < heights[joint] <= 0.9
        assert np.count_nonzero(heights) == 3


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("decoding", "cells"), [("dark", 0.08), ("quarter", 0.33)])
def test_joints_are_where_they_were_painted(flip, decoding, cells):
    topdown = TopDown(Spots(), SIZE, flip=flip, decoding=decoding)
    scenes = [LANDSCAPE, PORTRAIT, BEYOND_THE_EDGE, NOBODY, SEVERAL, TINY]
    images, boxes = zip(*(picture(*scene) for scene in scenes), strict=True)
    found = topdown.estimate(images, boxes)
    assert len(topdown.network.crops) == 1 + flip  # all in one batch
    assert len(found) == len(scenes)
    for scene, one in zip(scenes, found, strict=True):
        check(scene, one, cells)


def test_batches_bound_what_the_network_gets():
    images, boxes = zip(*(picture(*scene) for scene in (SEVERAL, NOBODY, LANDSCAPE)), strict=True)
    # DARK: the quarter offset is a matter of rounding where both neighbours are alike.
    whole = TopDown(Spots(), SIZE, decoding="dark").estimate(images, boxes)
    topdown = TopDown(Spots(), SIZE, batch=3, flip=False)
    topdown.estimate(images, boxes)
    assert [len(crops) for crops in topdown.network.crops] == [3, 1]
    parted = TopDown(Spots(), SIZE, batch=1, decoding="dark").estimate(images, boxes)
    for one, other in zip(whole, parted, strict=True):
        np.testing.assert_allclose(one[1], other[1], rtol=0, atol=1e-4)
        sure = one[1] > 0.1
        np.testing.assert_allclose(one[0][sure], other[0][sure], rtol=0, atol=0.05)


def test_nobody_and_no_pictures():
    topdown = TopDown(Spots(), SIZE)
    assert topdown.estimate([], []) == []
    ((keypoints, scores),) = topdown.estimate(*zip(picture(*NOBODY), strict=True))
    assert keypoints.shape == (0, 17, 2)
    assert scores.shape == (0, 17)
    assert not topdown.network.crops


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1080, 1920), (640, 480)])
def test_crops_hold_the_whole_person(width, height):
    """The research demos' crop of an upright person cuts head and feet off in 16:9 pictures.

    In portrait pictures theirs is three times too large.
    """
    image = np.zeros((height, width, 3), np.uint8)
    top, bottom = int(0.2 * height), int(0.8 * height)
    box = (width // 2 - height // 10, top, width // 2 + height // 10, bottom)
    band = height // 100
    for y in (top, bottom):
        image[y - band : y + band + 1] = 255
    topdown = TopDown(Spots(), SIZE, flip=False)
    topdown.estimate([image], [np.array([box])])
    (crop,) = topdown.network.crops[0]
    bright = np.flatnonzero(crop[0, :, 96] > 0)
    upper, lower = bright[bright < 128], bright[bright > 128]
    # 1.25 times the box: a tenth of the crop above it and a tenth below.
    assert abs(upper.mean() - 0.1 * 256) < 1
    assert abs(lower.mean() - 0.9 * 256) < 1


def test_colours_are_normalised_as_rgb():
    """The research demos apply the numbers of red to blue."""
    image = np.full((400, 300, 3), (200, 100, 50), np.uint8)
    topdown = TopDown(Spots(), SIZE)
    topdown.estimate([image], [np.array([[100, 100, 200, 300]])])
    for crops in topdown.network.crops:
        for channel, expected in zip(
            crops[0],
            ((200 / 255 - 0.485) / 0.229, (100 / 255 - 0.456) / 0.224, (50 / 255 - 0.406) / 0.225),
            strict=True,
        ):
            assert (channel - expected).abs().max() < 1e-5


class EveryFourthPixel(nn.Module):
    """Heat maps that say nothing but the picture itself, so mirroring must change nothing."""

    def forward(self, crops):
        return crops[:, :1, ::4, ::4].expand(-1, 17, -1, -1)


def test_cells_of_the_mirrored_crop_meet_those_of_the_crop():
    image = np.random.default_rng(0).integers(0, 255, (500, 400, 3), np.uint8)
    boxes = np.array([[50.0, 60, 180, 350], [-40, 300, 200, 700]])
    crops = np.zeros((2, 256, 195, 3), np.uint8)
    crops[:] = np.random.default_rng(1).integers(0, 255, crops.shape)
    plain, both = (TopDown(EveryFourthPixel(), SIZE, flip=flip) for flip in (False, True))
    np.testing.assert_array_equal(plain._heatmaps(crops), both._heatmaps(crops))
    (one,), (other,) = (each.estimate([image], [boxes]) for each in (plain, both))
    np.testing.assert_array_equal(one[0], other[0])


def test_the_pictures_edge_is_black_beyond():
    image = np.full((100, 100, 3), 255, np.uint8)
    topdown = TopDown(Spots(), SIZE, flip=False)
    topdown.estimate([image], [np.array([[60.0, 0, 140, 100]])])
    (crop,) = topdown.network.crops[0] * STD + MEAN
    # 125 px are 256: the picture ends at the middle, and 12.5 px below the crop's upper border.
    assert crop[:, 40:200, :90].min() > 0.99
    assert crop[:, :, 102:].max() < 0.01
    assert crop[:, :20].max() < 0.01


def test_precision_and_memory_format():
    topdown = TopDown(Spots(), SIZE, precision=torch.bfloat16)
    found = topdown.estimate(*zip(picture(*LANDSCAPE), strict=True))
    check(LANDSCAPE, found[0], 0.4)
    assert topdown.network.autocast == {torch.bfloat16}
    assert all(
        crops.is_contiguous(memory_format=torch.channels_last) for crops in topdown.network.crops
    )
    plain = TopDown(Spots(), SIZE)
    plain.estimate(*zip(picture(*LANDSCAPE), strict=True))
    assert plain.network.autocast == {False}


def test_with_a_real_network():
    """Of random weights: as the network itself answers for the crop, cut out by slicing."""
    network = small(input_size=(64, 96))
    image = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    # Its crop is 64 x 96 px around (120, 88), so that a px is a px.
    left, upper, half = 120 - 32, 88 - 48, 96 / 1.25 / 2
    box = np.array([100, 88 - half, 140, 88 + half])
    topdown = TopDown(network, flip=False, batch=1)
    ((keypoints, scores),) = topdown.estimate([image], [box[None]])
    crop = image[upper : upper + 96, left : left + 64].transpose(2, 0, 1)[None]
    with torch.inference_mode():
        heatmaps = network((torch.from_numpy(crop.astype(np.float32) / 255) - MEAN) / STD).numpy()
    flat = heatmaps.reshape(17, -1)
    np.testing.assert_allclose(scores[0], flat.max(-1), rtol=0, atol=1e-4)
    y, x = np.divmod(flat.argmax(-1), 16)
    off = keypoints[0] - np.stack([x * 4 + left, y * 4 + upper], -1)
    assert np.abs(off[flat.max(-1) > 0]).max() <= 1.001  # a quarter of a cell


@pytest.mark.parametrize(
    ("images", "boxes", "words"),
    [
        ([np.zeros((9, 9, 3))], [np.zeros((0, 4))], "uint8"),
        ([np.zeros((9, 9), np.uint8)], [np.zeros((0, 4))], "uint8"),
        ([np.zeros((9, 9, 3), np.uint8)], [], "1 images, but boxes of 0"),
        ([np.zeros((9, 9, 3), np.uint8)], [np.zeros(4)], r"\(n, 4\)"),
        ([np.zeros((9, 9, 3), np.uint8)], [np.full((1, 4), np.nan)], "finite"),
    ],
)
def test_what_is_no_picture_or_box(images, boxes, words):
    with pytest.raises(ValueError, match=words):
        TopDown(Spots(), SIZE).estimate(images, boxes)


def test_what_cannot_be_made():
    with pytest.raises(ValueError, match="decoding must be one of quarter, dark"):
        TopDown(Spots(), SIZE, decoding="taylor")
    with pytest.raises(ValueError, match="batch"):
        TopDown(Spots(), SIZE, batch=0)
    image, boxes = picture(*LANDSCAPE)
    with pytest.raises(ValueError, match=r"heat maps must be \(1, 17, 64, 48\)"):
        TopDown(nn.Identity(), SIZE).estimate([image], [boxes])
