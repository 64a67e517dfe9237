"""What ``pose3d.lift`` says to input that it cannot lift: one line each."""

import re

import numpy as np
import pytest
import torch
from torch import nn

import lifters3d
from pipeline.lifting import lift_sequences
from pose3d import Pose3dError, lift
from tests.lifters3d.small import small
from tests.pipeline.lifters import evenly
from tests.pipeline.networks import figure, network

LIFTER = network("liftformer")
CLIP = figure(6)


def refusal(keypoints=CLIP, size=(640, 480), **options):
    with pytest.raises(Pose3dError) as caught:
        lift(keypoints, size, **{"lifter": LIFTER, **options})
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 250
    return message


@pytest.mark.parametrize(
    ("keypoints", "words"),
    [
        (np.zeros((5, 16, 2)), "keypoints have 16 joints, not the 17 of layout 'h36m'"),
        (np.zeros((5, 25, 2)), "keypoints have 25 joints"),
        (np.zeros((5, 3, 133, 2)), "keypoints have 133 joints"),
        (np.zeros((5, 17, 3)), "keypoints must be (T, 17, 2) or (T, people, 17, 2)"),
        (np.zeros((17, 2)), "keypoints must be"),
        (np.zeros((5, 34)), "keypoints must be"),
        (np.zeros((1, 5, 2, 17, 2)), "keypoints must be"),
        (np.zeros(()), "keypoints must be"),
        (None, "keypoints must be"),
        (np.zeros((0, 17, 2)), "keypoints hold no frames"),
        (np.zeros((0, 3, 17, 2)), "keypoints hold no frames"),
        ([], "keypoints must be"),
        ("walk.npz", "keypoints must be numbers: could not convert string"),
        ([[["a", "b"]] * 17], "keypoints must be numbers"),
        ([[[1, 2]] * 17, [[1, 2]] * 16], "keypoints must be numbers"),
        ({"positions_2d": CLIP}, "keypoints must be numbers"),
    ],
)
def test_keypoints(keypoints, words):
    assert words in refusal(keypoints)


@pytest.mark.parametrize(
    "size",
    [
        (0, 480),
        (640, 0),
        (-640, 480),
        (640, 480, 3),
        (640,),
        640,
        (),
        (float("nan"), 480),
        (640, float("nan")),
        (float("inf"), 480),
        None,
        np.zeros((400, 640, 3)),
        [[640, 480]],
    ],
)
def test_size(size):
    assert "size must be the picture's width and height in px" in refusal(size=size)


@pytest.mark.parametrize("size", ["640x480", ("a", 3), {"w": 640}])
def test_size_of_words(size):
    assert "size must be numbers" in refusal(size=size)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layout": "openpose"}, "unknown layout 'openpose': choose one of h36m, coco"),
        ({"layout": "COCO"}, "unknown layout 'COCO'"),
        ({"layout": None}, "unknown layout 'None'"),
        ({"scores": np.ones((6, 16))}, "scores must be (6, 17), not (6, 16)"),
        ({"scores": np.ones((5, 17))}, "scores must be (6, 17), not (5, 17)"),
        ({"scores": np.ones((6, 17, 1))}, "scores must be (6, 17)"),
        ({"scores": 0.5}, "scores must be (6, 17), not ()"),
        ({"scores": "high"}, "scores must be numbers"),
        ({"fps": 0}, "fps must be a number above 0, not 0"),
        ({"fps": -30}, "fps must be a number above 0, not -30"),
        ({"fps": float("nan")}, "fps must be a number above 0, not nan"),
        ({"fps": float("inf")}, "fps must be"),
        ({"fps": [30, 30]}, "fps must be"),
        ({"fps": "thirty"}, "fps must be numbers"),
        ({"time_s": evenly(5)}, "time_s must be 6 finite numbers that never decrease"),
        ({"time_s": evenly(6)[::-1]}, "time_s must be 6 finite numbers that never decrease"),
        ({"time_s": [0, 1, 2, np.nan, 4, 5]}, "time_s must be 6 finite numbers"),
        ({"time_s": "now"}, "time_s must be numbers"),
        ({"fov": 0}, "fov must be a number from 5 to 170, not 0"),
        ({"fov": 180.0}, "fov must be a number from 5 to 170"),
        ({"fov": float("nan")}, "fov must be a number from 5 to 170"),
        ({"max_gap": -1}, "max_gap must be 0 or more"),
        ({"max_gap": float("nan")}, "max_gap must be 0 or more"),
        ({"flip": "no"}, "flip must be true or false"),
        ({"causal": None}, "causal must be true or false"),
        ({"precision": "fp64"}, "precision must be auto, fp32, bf16 or fp16, not 'fp64'"),
        ({"precision": "fp16"}, "precision fp16 needs a CUDA device"),
        ({"precision": None}, "precision must be auto, fp32, bf16 or fp16"),
        ({"lifter": "mixst"}, "unknown lifter 'mixst'"),
        ({"lifter": "absent.safetensors"}, "absent.safetensors"),
        ({"lifter": nn.Linear(2, 3)}, "Linear is no lifter"),
    ],
)
def test_options(options, words):
    assert words in refusal(**options)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", None, 0, "cuda:99"])
def test_devices(device, tiny):
    message = refusal(lifter=tiny, device=device)
    assert re.search(
        r"unknown device '.*': choose auto, cpu|device 'cuda:99' is not there", message
    )
    assert lift(CLIP, (640, 480), lifter=tiny, device=torch.device("cpu")).shape == (6, 17, 3)


@pytest.mark.parametrize("options", [{"fps": 0}, {"precision": "fp16"}, {"size": (0, 0)}])
def test_errors_come_even_where_nobody_is(options):
    refusal(np.full((6, 17, 2), np.nan), **options)


def test_networks_in_training_are_refused():
    assert "training mode, which is random" in refusal(lifter=small("liftformer").train())
    built = lifters3d.build("strided", frames=9, width=8, depth=1, heads=2)
    assert "call its eval() first" in refusal(lifter=built)


def test_lifters_of_other_skeletons_are_refused():
    lifter = small("liftformer", joints=15)
    words = "the lifter takes 15 joints, not the 17 of Human3.6M"
    assert words in refusal(lifter=lifter)
    with pytest.raises(Pose3dError, match=words):
        lift_sequences(lifter, [], (640, 480))
