"""The program from Python: the names of the module, and its estimate."""

from fractions import Fraction
from pathlib import Path

import pytest

import pose3d
from tests.pipeline.fakes import FakePose


def test_the_names_of_the_module():
    for name in pose3d.__all__:
        assert getattr(pose3d, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pose3d.nothing


def test_estimate_from_python(here, clip, tiny, monkeypatch):
    monkeypatch.setattr("pipeline.detection.MediaPipePose", FakePose)
    clip(frames=20, rate=Fraction(10))
    Path("run.toml").write_text("fov = 50\nend = 1.5\n")
    result = pose3d.estimate("clip.mp4", config="run.toml", lifter=tiny, start=0.5)
    assert isinstance(result, pose3d.PoseResult)
    assert len(result) == 10
    assert result.provenance["settings"]["fov"] == 50
    with pytest.raises(pose3d.Pose3dError, match=r"unknown setting 'lifer'.* mean lifter"):
        pose3d.estimate("clip.mp4", lifer=tiny)
    assert sorted(path.name for path in here.iterdir()) == ["clip.mp4", "run.toml"]
