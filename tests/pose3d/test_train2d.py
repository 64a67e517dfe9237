"""``train-2d``, then ``eval-2d`` of what it wrote, as a user calls them."""

import json

import pytest
import typer
from typer.testing import CliRunner

from detectors2d.registry import CONFIGS
from pose3d.eval2d import eval_2d
from pose3d.train2d import train_2d
from tests.detectors2d.stick_figures import write_set
from weights.errors import Pose3dError

NAMES = ["AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL"]


@pytest.fixture
def people(tmp_path, monkeypatch):
    """The options for four people in two pictures; there is a network that is quick."""
    monkeypatch.setitem(CONFIGS, "hrnet-w8-cam", {"width": 8, "cam_blocks": 2})
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path / "set", pictures=2)
    return ["--data", "set/people.json", "--images", "set/images"]


def call(command, *arguments):
    """Exit code and standard output of a command."""
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, list(map(str, arguments)))
    if isinstance(done.exception, Pose3dError):
        raise done.exception
    return done.exit_code, done.stdout


def the_error(command, *arguments) -> str:
    with pytest.raises(Pose3dError) as caught:
        call(command, *arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_train_then_measure(people, tmp_path):
    for package in ("mmengine", "mmcv", "mmdet", "mmpose"):
        pytest.importorskip(package)
    train = ["--config", "hrnet-w8-cam", *people, "--epochs", 1, "--batch", 2, "--workers", 1]
    code, out = call(train_2d, *train, "--output", "run", "--device", "cpu")
    assert (code, out) == (0, "run/hrnet-w8-cam.safetensors\n")

    measure = [*people, "--device", "cpu", "--no-flip"]
    code, out = call(eval_2d, "run/hrnet-w8-cam.safetensors", *measure, "--json", "r.json")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [*NAMES, "r.json"]
    told = json.loads((tmp_path / "r.json").read_text())
    assert (told["people"], told["boxes"], told["flip"]) == (4, "ground-truth", False)
    assert told["network"]["network"] == "hrnet-w8-cam"
    assert list(told["results"]) == NAMES

    # The network inside mmpose, and boxes of a detector.
    boxes = [{"image_id": 10, "category_id": 1, "bbox": [10, 8, 60, 100], "score": 0.9}]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    inside = "mmpose:run/config.py:run/checkpoint.pth"
    code, _ = call(eval_2d, inside, *measure, "--boxes", "boxes.json", "--json", "r.json")
    assert code == 0
    told = json.loads((tmp_path / "r.json").read_text())
    assert (told["people"], told["boxes"]) == (1, "boxes.json")


def test_wrong_input_is_one_line(people):
    assert "nowhere.json: cannot be read" in the_error(
        train_2d, "--data", "nowhere.json", "--images", "set/images"
    )
    assert "set: lacks 2 of 2 pictures" in the_error(train_2d, *people[:3], "set")
    assert "--val-images needs --val-data" in the_error(train_2d, *people, "--val-images", "set")
    assert "unknown --config 'hrnet'" in the_error(train_2d, *people, "--config", "hrnet")
    assert "choose auto, cpu, cuda" in the_error(train_2d, *people, "--device", "tpu")
    assert "nowhere.json: cannot be read" in the_error(
        eval_2d, "x.pth", *people, "--boxes", "nowhere.json"
    )
    # Before anything is read or measured.
    there = ["--data", "nowhere.json", "--images", "set/images", "--json", "set/people.json/r.json"]
    assert "set/people.json is not a folder" in the_error(eval_2d, "x.pth", *there)
    assert "unknown 2D network 'hrnet-w33'" in the_error(eval_2d, "hrnet-w33", *people)
    code, _ = call(train_2d, *people, "--epochs", "0")
    assert code == 2


def test_without_mmpose(people, monkeypatch):
    from detectors2d.mm import compat

    monkeypatch.setattr(compat.importlib.util, "find_spec", lambda name: None)
    compat.prepare.cache_clear()
    try:
        message = the_error(train_2d, *people, "--config", "hrnet-w8-cam", "--device", "cpu")
    finally:
        compat.prepare.cache_clear()
    assert message.endswith('pip install "pose3d[mm]"')
