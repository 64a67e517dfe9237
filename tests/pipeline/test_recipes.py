"""Whole inference recipes of the authors: pixels of a clip in, joints out, with golden weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

import lifters3d
from lifters3d.registry import Convention
from pipeline.lifting import lift_sequences
from pipeline.windows import lift_windows
from tests.filling import filled
from tests.pipeline.lifters import evenly, rooted

DATA = Path(__file__).parents[1] / "data"
# The recipes' files were computed in float32 too: measured 1.2e-6 (PoseFormer), 3e-6 (MixSTE).
TOLERANCE = 5e-6


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def golden(name):
    with np.load(DATA / f"recipe_{name}.npz") as file:
        case = dict(file)
    assert case["weights_of"] == name
    return case, case["keypoints_h36m_px"], tuple(case["size_wh"].tolist())


def authors(name, frames):
    """A lifter with the golden weights, used as its authors do."""
    with torch.device("meta"):
        lifter = lifters3d.build(name, frames=frames).eval()
    state = {k: torch.from_numpy(filled(k, v.shape)) for k, v in lifter.state_dict().items()}
    lifter.load_state_dict(state, strict=True, assign=True)
    lifter.convention = Convention("screen", "h36m", None)
    return lifter


# PoseFormer --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def poseformer():
    return authors("poseformer", 9)


@torch.inference_mode()
def test_poseformer_a_window_a_frame(poseformer):
    """The authors leave the predicted root as it is, and so does ``lift_windows``."""
    case, keypoints, size = golden("poseformer_f9")
    (lifted,) = lift_windows(poseformer, [torch.from_numpy(keypoints)], size, flip_average=True)
    np.testing.assert_allclose(lifted.joints.numpy(), case["output_camera"], rtol=0, atol=TOLERANCE)
    assert np.abs(case["output_camera"][:, 0]).min() > 0.01  # the root is not at 0


def test_poseformer_root_relative(poseformer):
    """``lift_sequences`` subtracts the root (these weights put it half a metre off)."""
    case, keypoints, size = golden("poseformer_f9")
    # 50 frames/s do not matter where the weights know no frame rate.
    (lifted,) = lift_sequences(poseformer, [(keypoints, evenly(40, 50.0))], size)
    expected = rooted(case["output_camera"])
    np.testing.assert_allclose(lifted.joints, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    "mistake", ["none", "no flip", "height for width", "one frame late", "zeros"]
)
@torch.inference_mode()
def test_mistakes_in_the_recipe_are_seen(poseformer, mistake):
    case, keypoints, size = golden("poseformer_f9")
    points = torch.from_numpy(keypoints[:12])
    if mistake == "height for width":
        size = size[::-1]
    if mistake == "one frame late":
        points = points.roll(1, dims=0)
    if mistake == "zeros":  # beyond the ends
        points = torch.cat([torch.zeros(4, 17, 2), points])
    (lifted,) = lift_windows(poseformer, [points], size, flip_average=mistake != "no flip")
    joints = lifted.joints[4:] if mistake == "zeros" else lifted.joints
    # The last four see the end of this shorter clip.
    error = np.abs(joints[:8].numpy() - case["output_camera"][:8]).max()
    assert (error > 100 * TOLERANCE) == (mistake != "none")


# MixSTE ------------------------------------------------------------------------------------------

# The authors cut a clip into windows side by side and one more that ends with it; a clip shorter
# than T is filled up with its last frame. Ours begin before the clip, overlap by two thirds and are
# blended, so stitched results differ by design (other windows): the recipe is put together here.


@pytest.fixture(scope="module")
def mixste():
    return authors("mixste", 27)


@torch.inference_mode()
def lifted_alone(lifter, windows, size, monkeypatch):
    """(B, T, 17, 3) of windows (B, T, 17, 2) px that nothing is added to."""
    monkeypatch.setattr("pipeline.windows.held_ends", lambda frames: 0)
    lifted = lift_windows(lifter, list(windows), size, flip_average=True)
    return torch.stack([one.joints for one in lifted]).numpy()


@pytest.mark.parametrize("length", [40, 20])
def test_mixste_windows_side_by_side(mixste, length, monkeypatch):
    case, keypoints, size = golden("mixste_t27")
    points = torch.from_numpy(keypoints[:length])
    if length == 40:
        windows = torch.stack([points[:27], points[-27:]])
    else:
        windows = torch.cat([points, points[-1:].expand(7, -1, -1)])[None]
    lifted = lifted_alone(mixste, windows, size, monkeypatch)
    np.testing.assert_allclose(lifted, case[f"windows_{length}"], rtol=0, atol=TOLERANCE)
    stitched = np.concatenate([lifted[0], lifted[1][-13:]]) if length == 40 else lifted[0, :20]
    np.testing.assert_allclose(stitched, case[f"stitched_{length}"], rtol=0, atol=TOLERANCE)
