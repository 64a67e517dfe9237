"""``pose3d train`` and ``pose3d eval``, from a motion-capture file and from prepared files."""

import csv
import json

import pytest

import lifters3d
from tests.lifters3d.prepared import H36M_METADATA, pixels, world, write_2d, write_3d
from tests.lifters3d.walkers import walks, write_mocap17

QUICK = ("--set", "epochs=2", "--set", "batch=4", "--set", "steps_per_epoch=2", "--device", "cpu")
TINY = ("--set", 'network={"width": 8, "depth": 1, "heads": 2}')


def test_train_then_go_on_then_measure(here, command):
    write_mocap17(here / "walks.npz", walks(2, frames=20))
    train = ("train", "--data", "walks.npz", "--frames", "3", *TINY, *QUICK)
    code, out, err = command(*train)
    assert (code, out.strip()) == (0, "runs/mixste/mixste_t3.safetensors")
    assert [line.split(":")[0] for line in err.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    lifter = lifters3d.load(out.strip())
    assert (lifter.frames, lifter.convention.normalisation) == (3, "person")

    code, _, err = command(*train, "--set", "epochs=3")
    assert (code, err.split(":")[0]) == (0, "epoch 3/3")
    with open("runs/mixste/log.csv", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]

    measure = ("eval", "--data", "walks.npz", "--checkpoint", out.strip(), "--windows", "4")
    code, out, _ = command(*measure, "--device", "cpu")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()][:2] == ["clean_mpjpe", "clean_n_mpjpe"]
    for flag in (("--no-flip",), ("--root", "keep"), ("--precision", "bf16")):
        code, out, err = command(*measure, *flag)
        assert (code, out) == (2, "")
        assert "not for motion capture" in err


def test_prepared_files(here, command):
    """The authors' recipe is what a data set of the papers asks for."""
    write_3d(here / "data_3d_h36m.npz", {s: {"Walking": world(9, 32)} for s in ("S1", "S9")})
    seen = {"Walking": [pixels(9, 17, camera) for camera in range(4)]}
    write_2d(here / "data_2d_h36m_gt.npz", {s: dict(seen) for s in ("S1", "S9")}, H36M_METADATA)
    code, out, _ = command("train", "--data", ".", "--lifter", "strided", "--show")
    assert code == 0
    assert {"frames=351", 'loss="full-to-single"', 'optimiser="amsgrad"'} <= set(out.split())
    small = ("--set", 'network={"width": 16, "hidden": 16}', "--frames", "27")
    code, out, err = command("train", "--data", ".", "--lifter", "strided", *small, *QUICK)
    assert code == 0
    assert "test p mpjpe" in err
    code, out, _ = command(
        *("eval", "--data", ".", "--checkpoint", out.strip()),
        *("--json", "r.json", "--device", "cpu"),
    )
    assert code == 0
    assert json.loads((here / "r.json").read_text())["protocol"] == "h36m"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "nowhere.npz"), "nowhere.npz: no such file"),
        (("--data", "nowhere"), "nowhere: no such folder; give the one with the prepared files"),
        (("--data", "."), "none of data_3d_h36m.npz"),
        (("--data", "x.npz", "--lifter", "mixst"), "did you mean mixste?"),
        (("--data", "x.npz", "--recipe", "best"), "mixste has no recipe 'best': choose one of"),
        (("--data", "x.npz", "--set", "epoch=1"), "did you mean epochs?"),
        (("--data", "x.npz", "--set", "epochs"), "expected NAME=VALUE"),
        (("--data", "x.npz", "--device", "tpu"), "unknown device 'tpu'"),
        ((), "Missing option '--data'"),
    ],
)
def test_errors_are_one_line(here, command, arguments, words):
    code, out, err = command("train", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1
