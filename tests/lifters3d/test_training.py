import csv
import dataclasses
import json
import math
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn
from walkers import as_mocap, rows, walks, write_mocap17

import lifters3d
from lifters3d.data.batches import PairStream
from lifters3d.training import evaluate as evaluation
from lifters3d.training import train as training
from lifters3d.training.losses import mpjpe_loss, velocity_loss
from weights.errors import Pose3dError
from weights.reading import read_checkpoint, read_weights


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mocap")
    return write_mocap17(folder / "walks.npz", walks(4, frames=40))


# The first pair of blocks is never dropped.
SMALL = json.dumps({"width": 16, "depth": 2, "heads": 2})
SMALLEST = json.dumps({"width": 8, "depth": 1, "heads": 2})


@pytest.fixture
def recipe(data, tmp_path):
    return training.Recipe(
        data=str(data),
        output=str(tmp_path / "run"),
        frames=5,
        network=SMALL,
        batch=8,
        steps=6,
        warmup=2,
        every=3,
        drop_path=0.3,
    )


@pytest.fixture(autouse=True)
def few_windows(monkeypatch):
    """Validation of the whole recipe draws 170 windows: eight do here."""

    def quick(lifter, mocap, windows, seed=0):
        return evaluation.evaluate(lifter, mocap, min(windows, 8), seed)

    monkeypatch.setattr(training, "evaluate", quick)


def log_rows(recipe: training.Recipe) -> list[dict[str, float]]:
    with (Path(recipe.output) / "log.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def main_of(module, monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    module.main()


# Losses


def test_losses_of_known_movements():
    target = torch.randn(2, 6, 17, 3)
    shifted = target + torch.tensor([0.0, 3.0, 4.0])
    assert mpjpe_loss(shifted, target).item() == pytest.approx(5, rel=1e-5)
    assert velocity_loss(shifted, target).item() == pytest.approx(0, abs=1e-5)
    drift = torch.arange(6)[:, None, None] * torch.tensor([0.0, 0.6, 0.8])
    assert velocity_loss(target + drift, target).item() == pytest.approx(1, rel=1e-5)


# Training


def test_the_loss_falls(recipe):
    recipe = dataclasses.replace(
        recipe, steps=90, every=15, batch=24, learning_rate=1e-2, drop_path=0.0, warmup=10
    )
    path = training.train(recipe)
    losses = [row["train_mm"] for row in log_rows(recipe)]
    assert [row["step"] for row in log_rows(recipe)] == [15, 30, 45, 60, 75, 90]
    assert losses[-1] < 0.6 * losses[0]

    # What was written is better than fresh weights too.
    lifter = lifters3d.load(path)
    mocap = as_mocap(walks(4, frames=40))
    fresh = training.with_weights(
        recipe, lifters3d.build("mixste", **lifter.config | {"drop_path": 0.0}).state_dict()
    )
    trained, untrained = (evaluation.evaluate(net, mocap, 64) for net in (lifter, fresh))
    assert trained["clean_mpjpe"] < 0.6 * untrained["clean_mpjpe"]


def test_the_weights_file_tells_how_it_was_made(recipe):
    path = training.train(recipe)
    assert path.name == "mixste_t5.safetensors"
    lifter = lifters3d.load(path)
    assert lifter.convention == lifters3d.Convention("person", "derived", 30.0)
    assert (lifter.frames, lifter.config["width"], lifter.config["depth"]) == (5, 16, 2)
    told = read_weights(path)[1]["training"]
    assert told["steps_made"] == 6
    assert told["seed"] == recipe.seed
    assert told["data"] == "walks.npz"  # a name, not a place on somebody's disk
    assert told["output"] == "run"


def test_seeds_decide(recipe, tmp_path):
    def weights_of(name: str, seed: int) -> torch.Tensor:
        again = dataclasses.replace(recipe, output=str(tmp_path / name), seed=seed)
        return read_weights(training.train(again))[0]["head.1.weight"]

    one = weights_of("one", 1)
    assert torch.equal(one, weights_of("same", 1))
    assert not torch.equal(one, weights_of("other", 2))


def equal(one, other) -> bool:
    """Whether nested dicts and lists of tensors and numbers are the same to the last bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("moment", ["after the report", "between checkpoints"])
def test_a_resumed_run_equals_an_unbroken_one(recipe, data, monkeypatch, validated, moment):
    if validated:
        recipe = dataclasses.replace(recipe, validation=str(data))
    unbroken = dataclasses.replace(recipe, output=recipe.output + "_unbroken")
    expected = read_weights(training.train(unbroken))[0]

    whole_report, whole_rate = training.report, training.rate_at

    def stop_after_report(*arguments):
        whole_report(*arguments)
        raise KeyboardInterrupt

    def stop_before_step(step, recipe):
        if step == 5:
            raise KeyboardInterrupt
        return whole_rate(step, recipe)

    with monkeypatch.context() as patch:
        if moment == "after the report":
            patch.setattr(training, "report", stop_after_report)
        else:
            patch.setattr(training, "rate_at", stop_before_step)
        with pytest.raises(KeyboardInterrupt):
            training.train(recipe)
    assert read_checkpoint(Path(recipe.output) / "checkpoint.pt")["step"] == 3
    assert equal(read_weights(training.train(recipe))[0], expected)
    ends = [read_checkpoint(Path(r.output) / "checkpoint.pt") for r in (recipe, unbroken)]
    assert equal(*ends)
    kept = [[row | {"seconds": 0} for row in log_rows(r)] for r in (recipe, unbroken)]
    assert kept[0] == kept[1]


def test_a_finished_run_is_only_written_again(recipe):
    before = read_weights(training.train(recipe))[0]
    assert equal(read_weights(training.train(recipe))[0], before)
    assert len(log_rows(recipe)) == 2


def test_validation_is_logged(recipe, data):
    training.train(dataclasses.replace(recipe, validation=str(data)))
    for row in log_rows(recipe):
        for kind in ("clean", "noisy"):
            assert 0 < row[f"{kind}_p_mpjpe"] < row[f"{kind}_mpjpe"]


def test_learning_rate():
    recipe = training.Recipe(steps=1000, warmup=100, final_rate=0.02)
    rates = [training.rate_at(step, recipe) for step in range(1001)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[99] == rates[100] == 1
    assert rates[550] == pytest.approx(0.51)
    assert rates[1000] == pytest.approx(0.02)
    assert all(a > b for a, b in pairwise(rates[100:]))


# Longer windows


@pytest.fixture
def short(tmp_path):
    """A file of a network of nine frames with an embedding of known shape."""
    lifter = lifters3d.build("mixste", frames=9, width=8, depth=1, heads=2)
    ramp = torch.arange(9.0)
    shape = torch.stack([torch.full((9,), 0.25), ramp, ramp**2, (ramp * 1.3).sin()] * 2, dim=-1)
    with torch.no_grad():
        lifter.Temporal_pos_embed.copy_(shape[None])
    path = tmp_path / "short.safetensors"
    lifters3d.save(lifter, "mixste", path, {}, half=False)
    return path, lifter


def test_stretching_keeps_ends_and_constants(short):
    path, lifter = short
    longer = lifters3d.build("mixste", frames=27, width=8, depth=1, heads=2)
    stretched = training.stretch_to(str(path), longer)
    longer.load_state_dict(stretched, strict=True)
    before, after = lifter.Temporal_pos_embed[0], longer.Temporal_pos_embed[0]
    assert torch.equal(after[[0, -1]], before[[0, -1]])
    torch.testing.assert_close(after[:, 0], torch.full((27,), 0.25))
    # Frames 1, 4, 7 ... of the long window are in the middle of what one short frame was.
    torch.testing.assert_close(after[1::3], before, rtol=0, atol=1e-5)
    assert (after[:, 1].diff() >= 0).all()
    for key, tensor in lifter.state_dict().items():
        if key != "Temporal_pos_embed":
            assert torch.equal(stretched[key], tensor)


def test_no_stretching_where_lengths_agree(short):
    path, lifter = short
    assert equal(training.stretch_to(str(path), lifter), dict(lifter.state_dict()))


def test_training_starts_from_stretched_weights(recipe, short):
    path, lifter = short
    longer = dataclasses.replace(
        recipe, init=str(path), frames=27, network=SMALLEST, steps=1, warmup=1, learning_rate=0.0
    )
    started = read_weights(training.train(longer))[0]
    torch.testing.assert_close(
        started["Temporal_pos_embed"][0, 1::3], lifter.Temporal_pos_embed[0], rtol=1e-3, atol=1e-4
    )
    torch.testing.assert_close(
        started["head.1.weight"], lifter.head[1].weight, rtol=1e-3, atol=1e-4
    )


# Evaluation


class Oracle(nn.Module):
    """Knows the answers: it draws the same windows through the same cameras."""

    frames, joints, output = 7, 17, "sequence"

    def __init__(self, mocap, batches: int, batch: int, change) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.convention = lifters3d.Convention("person", "derived", 30.0)
        self.change = change
        self.answers = []
        for noisy in (False, True):
            generator = torch.Generator().manual_seed(0)
            stream = PairStream(mocap, 7, batch, "person", generator, noisy, augment=False)
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


# Command lines


def one_line_error(caught) -> str:
    message = str(caught.value.code)
    assert message.startswith("error: ")
    assert "\n" not in message
    return message


def test_train_command(data, tmp_path, monkeypatch, capsys):
    main_of(
        training,
        monkeypatch,
        *("--data", str(data), "--output", str(tmp_path / "run"), "--frames", "3"),
        *("--network", SMALLEST, "--batch", "4", "--steps", "2"),
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("step 2.0 train_mm ")
    assert lifters3d.load(lines[-1]).frames == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": "nowhere.npz"}, "nowhere.npz: no such file"),
        ({"lifter": "mixst"}, "did you mean mixste"),
        ({"network": '{"width": 8, "heads": 3}'}, "multiple of heads"),
        ({"network": "{width: 8}"}, "--network is no JSON object"),
        ({"init": "nowhere.safetensors"}, "nowhere.safetensors: no such weights file"),
    ],
)
def test_train_command_errors(data, tmp_path, monkeypatch, change, words):
    options = {"data": str(data), "network": SMALLEST, "steps": "1"} | change
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    with pytest.raises(SystemExit) as caught:
        main_of(training, monkeypatch, *arguments, "--output", str(tmp_path / "run"))
    assert words in one_line_error(caught)


def test_weights_and_checkpoints_of_another_network(recipe, short):
    with pytest.raises(Pose3dError, match=r"short\.safetensors: of another width"):
        training.train(dataclasses.replace(recipe, init=str(short[0])))
    training.train(recipe)
    with pytest.raises(Pose3dError, match=r"checkpoint\.pt: of another network"):
        training.train(dataclasses.replace(recipe, network=SMALLEST))
    (Path(recipe.output) / "checkpoint.pt").write_bytes(b"half a checkpoi")
    with pytest.raises(Pose3dError, match=r"checkpoint\.pt: not a training checkpoint"):
        training.train(recipe)


def test_evaluate_command(recipe, data, tmp_path, monkeypatch, capsys):
    path = str(training.train(recipe))
    capsys.readouterr()
    main_of(evaluation, monkeypatch, path, "--data", str(data), "--windows", "4", "--native")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
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
        assert words in one_line_error(caught)
