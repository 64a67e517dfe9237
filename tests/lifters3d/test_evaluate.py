import math
import sys

import pytest
import torch
from torch import nn
from walkers import as_mocap, rows, walks, write_mocap17

import lifters3d
from lifters3d.data.batches import PairStream
from lifters3d.training import evaluate as evaluation


def main_of(module, monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    module.main()


class Oracle(nn.Module):
    """Knows the answers: it draws the same windows through the same cameras."""

    frames, joints, output = 7, 17, "sequence"

    def __init__(self, mocap, batches: int, batch: int, change) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.convention = lifters3d.Convention("person", "derived", 30.0)
        self.change = change
        self.answers = []
        for noise in ("none", "severe"):
            generator = torch.Generator().manual_seed(0)
            stream = PairStream(mocap, 7, batch, "person", generator, noise, augment=False)
            self.answers += [next(stream) for _ in range(batches)]

    def forward(self, keypoints):
        seen, target = self.answers.pop(0)
        assert torch.equal(seen, keypoints)
        return self.change(target)


def errors_of(change) -> dict[str, float]:
    mocap = as_mocap(walks())
    oracle = Oracle(mocap, batches=2, batch=64, change=change)
    errors = evaluation.evaluate(oracle, mocap, windows=100)
    assert not oracle.answers  # two batches for "clean", two for "noisy"
    return errors


def test_a_perfect_lifter_has_no_error():
    errors = errors_of(lambda target: target)
    assert set(errors) == {
        f"{kind}_{name}"
        for kind in ("clean", "noisy")
        for name in ("mpjpe", "n_mpjpe", "p_mpjpe", "p_mpjpe_limbs", "mpjve")
    }
    assert all(value < 1e-3 for value in errors.values())


def test_the_root_is_subtracted():
    errors = errors_of(lambda target: target + torch.tensor([0.3, 0.0, 5.0]))
    assert all(value < 2e-2 for value in errors.values())


def test_errors_are_millimetres():
    """All joints but the hip are 5 cm off: 16 of 17 count in full."""

    def push(target):
        pushed = target + torch.tensor([0.0, 0.03, 0.04])
        pushed[:, :, 0] = target[:, :, 0]
        return pushed

    errors = errors_of(push)
    for kind in ("clean", "noisy"):
        assert errors[f"{kind}_mpjpe"] == pytest.approx(50 * 16 / 17, rel=1e-4)
        assert errors[f"{kind}_p_mpjpe_limbs"] < 1e-2
        assert 0 < errors[f"{kind}_p_mpjpe"] < 10
        assert errors[f"{kind}_mpjve"] == pytest.approx(0, abs=1e-3)


def test_scale_and_turn_are_forgiven_where_they_should_be():
    scaled = errors_of(lambda target: 1.2 * target)
    assert scaled["clean_mpjpe"] > 50
    assert scaled["clean_n_mpjpe"] < 1e-3
    assert scaled["clean_p_mpjpe"] < 1e-3
    angle = math.radians(20)
    turn = torch.tensor(
        [[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]]
    )
    turned = errors_of(lambda target: target @ turn.T)
    assert turned["clean_n_mpjpe"] > 20
    assert turned["clean_p_mpjpe"] < 1e-3


def test_evaluate_command(tmp_path, monkeypatch, capsys):
    data = write_mocap17(tmp_path / "walks.npz", walks(4, frames=40))
    lifter = lifters3d.build("mixste", frames=3, width=8, depth=1, heads=2)
    lifter.convention = lifters3d.Convention("person", "derived", 30.0)
    path = str(tmp_path / "fresh.safetensors")
    lifters3d.save(lifter, "mixste", path, {})
    main_of(evaluation, monkeypatch, path, "--data", str(data), "--windows", "4", "--native")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 15
    assert lines[0].split()[0] == "clean_mpjpe"
    assert float(lines[0].split()[1]) > 10

    foreign = write_mocap17(tmp_path / "x.npz", walks(1), rows(1, fidelity="markers"))
    for arguments, words in [
        ((path, "--data", "nowhere.npz"), "nowhere.npz: no such file"),
        (("mixts", "--data", str(data)), "did you mean mixste"),
        ((path, "--data", str(foreign), "--native"), "no motion-capture clips"),
    ]:
        with pytest.raises(SystemExit) as caught:
            main_of(evaluation, monkeypatch, *arguments)
        message = str(caught.value.code)
        assert message.startswith("error: ")
        assert words in message
        assert "\n" not in message
