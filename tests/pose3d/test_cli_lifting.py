"""How the command's flags for lifting reach the joints, and what --verbose says of them."""

from pathlib import Path

import numpy as np
import pytest

import pose3d
from tests.pipeline.fakes import FakePose

FLAGS = {
    "--causal": {"causal": True},
    "--no-causal": {"causal": False},
    "--no-flip": {"flip": False},
    "--flip": {"flip": True},
    "--precision=bf16": {"precision": "bf16"},
    "--precision=fp32": {"precision": "fp32"},
    "--precision=auto": {"precision": "auto"},
}


@pytest.fixture
def run(command, clip, tiny, monkeypatch):
    """Runs the command on a clip with a short gap: its result, what it said, its exit code."""
    clip(frames=24)

    def detector():
        return FakePose(absent=[5, 6])

    def video(*flags):
        monkeypatch.setattr("pipeline.detection.MediaPipePose", detector)
        code, out, err = command("video", "clip.mp4", "--no-render", "--lifter", tiny, *flags)
        result = pose3d.load_result("clip_pose3d.npz") if code == 0 else None
        return result, out + err, code

    return video


@pytest.mark.parametrize("flag", FLAGS)
def test_flags_reach_the_settings_and_the_joints(run, tiny, flag):
    result, _, code = run(flag)
    assert code == 0
    settings = result.provenance["settings"]
    for name, value in FLAGS[flag].items():
        assert settings[name] is value or settings[name] == value
    # The same numbers as from Python.
    options = {name: settings[name] for name in ("causal", "flip", "precision", "max_gap")}
    size, times = result.picture_size, result.time_s
    joints = pose3d.lift(result.keypoints2d, size, lifter=tiny, time_s=times, **options)
    np.testing.assert_allclose(joints, result.joints3d, rtol=0, atol=1e-5)


def test_flags_change_the_joints(run):
    plain, *_ = run("--precision=fp32")
    found = np.isfinite(plain.joints3d).all(axis=(1, 2, 3))
    assert found.all()
    for flag in ("--causal", "--no-flip"):
        result, *_ = run("--precision=fp32", flag)
        seen = np.isfinite(result.joints3d).all(axis=(1, 2, 3))
        assert seen.sum() == (22 if flag == "--causal" else 24)  # a gap is bridged from both sides
        assert np.abs(result.joints3d - plain.joints3d)[seen].max() > 1e-4


@pytest.mark.parametrize(
    ("flags", "said", "unsaid"),
    [
        (["--causal"], ["causal True", "lifting is causal: no frame depends on a later one"], []),
        ([], ["causal False", "flip True", "precision auto"], ["lifting is causal"]),
        (["--precision=bf16"], ["precision bf16", "device cpu, bfloat16,"], ["float32"]),
        (["--precision=fp32", "--no-flip"], ["flip False", "device cpu, float32,"], ["bfloat16"]),
    ],
)
def test_verbose_says_how(run, flags, said, unsaid):
    _, words, code = run("--verbose", "--device=cpu", *flags)
    assert code == 0
    words = " ".join(words.split())
    for line in said:
        assert line in words
    for line in unsaid:
        assert line not in words


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--precision=fp16", "--device=cpu"], "precision fp16 needs a CUDA device"),
        (["--precision=half"], "precision must be auto, fp32, bf16 or fp16, not 'half'"),
        (["--device=tpu"], "unknown device 'tpu': choose auto, cpu, cuda or cuda:N"),
        (["--causal=yes"], "--causal"),
    ],
)
def test_wrong_flags_are_told_before_the_work(run, flags, said):
    _, words, code = run(*flags)
    assert code == 2
    assert said in words
    assert "2D keypoints" not in words
    assert not Path("clip_pose3d.npz").exists()
