"""The demo clip from end to end, with the real detector and the shipped lifter."""

from pathlib import Path

import numpy as np
import pytest

from lifters3d.evaluation.metrics import p_mpjpe
from lifters3d.skeleton import HIP, LIMB_JOINTS
from pipeline.process import estimate, process_video
from pipeline.settings import Settings
from pipeline.video import probe
from tests.pipeline.videos import stamps

DEMO = Path(__file__).parents[2] / "demos" / "walk.mp4"


def demo_truth(frames):
    """(F, 17, 3) metres, camera axes, of the demo clip's first frames."""
    with np.load(DEMO.with_suffix(".npz")) as truth:
        joints = np.einsum("tij,tkj->tki", truth["R"], truth["joints3d_world"][:, 0])
        return (joints + truth["t"][:, None])[:frames], truth["joints2d"][:frames, 0]


# Joints that the rendered body and motion capture define alike.
COMPARED = [HIP, *LIMB_JOINTS]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """What the program makes of the first two seconds of the demo clip."""
    return process_video(DEMO, tmp_path_factory.mktemp("demo"), Settings(end=2.0))


def test_the_demo_clip(demo):
    result = demo.result
    assert len(result) == 60
    assert (result.status == "ok").mean() > 0.95
    assert np.isfinite(result.joints3d).all()
    assert len(stamps(demo.video_path)) == 60
    video = probe(demo.video_path)
    assert (video.width, video.height, video.frame_rate) == (960 + 540, 540, 30)
    _, keypoints = demo_truth(60)
    distance = np.linalg.norm(result.keypoints2d[:, 0] - keypoints, axis=-1)
    assert np.median(distance[:, list(LIMB_JOINTS)]) < 12  # of the man's 350 px


def test_accuracy_on_the_demo_clip(demo):
    joints, _ = demo_truth(60)
    assert p_mpjpe(demo.result.joints3d[:, 0, COMPARED], joints[:, COMPARED]) < 0.080


@pytest.mark.slow
def test_accuracy_on_the_whole_demo_clip():
    result = estimate(DEMO)
    joints, _ = demo_truth(225)
    assert len(result) == 225
    assert p_mpjpe(result.joints3d[:, 0, COMPARED], joints[:, COMPARED]) < 0.080
    # From his back or his front, near or far: metres, in the camera's axes.
    rooted = joints - joints[:, HIP : HIP + 1]
    assert np.linalg.norm(result.joints3d[:, 0] - rooted, axis=-1)[:, COMPARED].mean() < 0.150
