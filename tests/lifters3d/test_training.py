import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared import H36M_METADATA, write_2d, write_3d
from test_training_windows import clip
from walkers import as_mocap, walks, write_mocap17

import lifters3d
from lifters3d.data.clips import H36M, ClipSet
from lifters3d.data.humaneva import HUMANEVA15
from lifters3d.training import evaluate as evaluation
from lifters3d.training import train as training
from lifters3d.training import validation
from lifters3d.training.recipes import Recipe, changed, recipe_of, variants
from lifters3d.training.runs import stretched_weights
from lifters3d.training.train import train
from weights.errors import Pose3dError
from weights.reading import read_checkpoint, read_weights

TINY = {"width": 8, "depth": 1, "heads": 2}
MOCAP = as_mocap(walks(4, frames=40))
CLIPS = ClipSet("walks", H36M, train=[clip(0, 9), clip(20, 6)], test=[clip(40, 7)])


def quiet(line: str) -> None:
    pass


@pytest.fixture(autouse=True)
def few_windows(monkeypatch):
    monkeypatch.setattr(validation, "MOCAP_WINDOWS", 8)


def small(
    lifter: str = "mixste", variant: str = "pose3d", network: dict | None = None, **values
) -> Recipe:
    """A recipe that takes a second. The first pair of MixSTE's blocks is never dropped."""
    networks = {
        "mixste": {"width": 16, "depth": 2, "heads": 2, "drop_path": 0.3},
        "liftformer": {"width": 16, "depth": 1, "heads": 2, "hidden": 16, "dropout": 0.1},
        "poseformer": {"width": 8, "depth": 2, "heads": 2, "drop_path": 0.3},
        "poseformer-sta": {"width": 8, "depth": 2, "heads": 2, "drop_path": 0.3},
        "strided": {"width": 16, "hidden": 16},
    }
    frames = {"strided": 27}.get(lifter, 5)
    few = {"epochs": 2, "steps_per_epoch": 3, "batch": 8, "warmup": 2}
    few["network"] = networks[lifter] | (network or {})
    return changed(recipe_of(lifter, variant, frames), few | values)


def log_rows(folder: Path) -> list[dict[str, float]]:
    with (folder / "log.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return read_weights(path)[0]


def equal(one, other) -> bool:
    """Whether nested dicts and lists of tensors and numbers are the same to the last bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def test_the_error_falls(tmp_path):
    recipe = small(
        epochs=3,
        steps_per_epoch=25,
        batch=24,
        learning_rate=1e-2,
        warmup=10,
        network={"drop_path": 0.0},
    )
    path = train(recipe, MOCAP, tmp_path, tell=quiet)
    losses = [row["train_mpjpe"] for row in log_rows(tmp_path)]
    assert [row["epoch"] for row in log_rows(tmp_path)] == [1, 2, 3]
    assert losses[-1] < 0.6 * losses[0]

    # What was written is better than fresh weights too.
    fresh = training.fresh(recipe).eval()
    fresh.convention = lifters3d.Convention("person", "derived", 30.0)
    trained, untrained = (
        evaluation.evaluate(net, MOCAP, 64)["clean_mpjpe"] for net in (lifters3d.load(path), fresh)
    )
    assert trained < 0.6 * untrained


@pytest.mark.parametrize("data", [MOCAP, CLIPS], ids=["motion capture", "data set"])
@pytest.mark.parametrize(
    ("lifter", "variant"), [(name, v) for name in lifters3d.names() for v in variants(name)]
)
def test_every_recipe_on_every_kind_of_data(lifter, variant, data, tmp_path):
    recipe = small(lifter, variant, epochs=1, steps_per_epoch=2, batch=4)
    path = train(recipe, data, tmp_path, tell=quiet)
    before = training.fresh(recipe).state_dict()
    after = weights_of(path)
    moved = [key for key in after if not torch.allclose(after[key].float(), before[key].float())]
    assert len(moved) > len(after) / 2
    convention = lifters3d.load(path).convention
    ours = variant == "pose3d"
    assert convention.joints == ("derived" if ours else "h36m")
    assert convention.frame_rate == (30.0 if data is MOCAP else 50.0)


def test_the_weights_file_tells_how_it_was_made(tmp_path):
    path = train(small(), MOCAP, tmp_path, data_name="walks.npz", tell=quiet)
    assert path.name == "mixste_t5.safetensors"
    lifter = lifters3d.load(path)
    assert lifter.convention == lifters3d.Convention("person", "derived", 30.0)
    assert (lifter.frames, lifter.config["width"], lifter.config["depth"]) == (5, 16, 2)
    told = read_weights(path)[1]["training"]
    assert (told["epochs_made"], told["seed"], told["data"]) == (2, 1, "walks.npz")
    assert str(tmp_path) not in str(told)


def test_seeds_decide(tmp_path):
    def head(name: str, seed: int) -> torch.Tensor:
        path = train(small(seed=seed), MOCAP, tmp_path / name, tell=quiet)
        return weights_of(path)["head.1.weight"]

    one = head("one", 1)
    assert torch.equal(one, head("same", 1))
    assert not torch.equal(one, head("other", 2))


@pytest.mark.parametrize("lifter", ["mixste", "strided"])
@pytest.mark.parametrize("data", [MOCAP, CLIPS], ids=["motion capture", "data set"])
@pytest.mark.parametrize("at", [3, 5])  # between epochs, and within one
def test_a_resumed_run_equals_an_unbroken_one(lifter, data, at, tmp_path, monkeypatch):
    recipe = small(lifter, batch=3 if lifter == "mixste" else 8)
    watched = {"validation": data, "tell": quiet}
    expected = weights_of(train(recipe, data, tmp_path / "unbroken", **watched))

    whole = training.rate_at

    def broken(recipe, step, *others):
        if step == at:
            raise KeyboardInterrupt
        return whole(recipe, step, *others)

    with monkeypatch.context() as patch:
        patch.setattr(training, "rate_at", broken)
        patch.setattr(training, "CHECKPOINT_S", 0.0)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, data, tmp_path / "broken", **watched)
    assert read_checkpoint(tmp_path / "broken" / "checkpoint.pt")["step"] == at
    # Other chance in between must not matter.
    torch.rand(5)
    assert equal(weights_of(train(recipe, data, tmp_path / "broken", **watched)), expected)
    states = [read_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("broken", "unbroken")]
    for state in states:
        state["seconds"] = 0
        state["log"] = [row | {"seconds": 0} for row in state["log"]]
    assert equal(*states)


def test_more_epochs_for_a_finished_run(tmp_path):
    recipe = small(schedule="exponential")
    before = weights_of(train(recipe, MOCAP, tmp_path, tell=quiet))
    told = []
    assert equal(weights_of(train(recipe, MOCAP, tmp_path, tell=told.append)), before)
    assert told == ["already trained for 2 epochs; more: epochs=N"]
    train(changed(recipe, {"epochs": 3}), MOCAP, tmp_path, tell=told.append)
    assert told[1].startswith("epoch 3/3: loss ")
    assert len(log_rows(tmp_path)) == 3


def test_a_line_an_epoch_a_table_and_curves(tmp_path):
    told = []
    train(small(), MOCAP, tmp_path, validation=MOCAP, tell=told.append)
    assert [line.split(":")[0] for line in told] == ["epoch 1/2", "epoch 2/2"]
    for row in log_rows(tmp_path):
        for kind in ("clean", "noisy"):
            assert 0 < row[f"{kind}_p_mpjpe"] < row[f"{kind}_mpjpe"]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_an_epoch_sees_every_window_once(tmp_path):
    """15 frames, each window also mirrored, in batches of 8 at most: 4 steps."""
    seen = []

    def remember(network, lifter, keypoints, target, recipe):
        seen.append(keypoints)
        return whole(network, lifter, keypoints, target, recipe)

    whole = training.losses_of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "losses_of", remember)
        train(small("liftformer", "paper", epochs=1), CLIPS, tmp_path, tell=quiet)
    assert [len(batch) for batch in seen] == [8, 8, 7, 7]
    assert len({tuple(window.flatten().tolist()) for window in torch.cat(seen)}) == 30


def losses(folder: Path) -> list[float]:
    """A loss an epoch. (Not weights: Adam makes steps of rounding where the gradient is zero.)"""
    return [row["loss"] for row in log_rows(folder)]


def test_parts_of_a_batch_add_up_to_it(tmp_path):
    """Without dropout a batch does the same in one part, three, or as many as windows."""
    values = {"precision": "fp32", "schedule": "exponential", "learning_rate": 1e-3}
    recipe = small("liftformer", "paper", network={"dropout": 0.0}, **values)
    for parts in (1, 3, 8):
        folder = tmp_path / str(parts)
        train(changed(recipe, {"accumulate": parts}), CLIPS, folder, tell=quiet)
        assert losses(folder) == pytest.approx(losses(tmp_path / "1"), rel=1e-4)
    train(changed(recipe, {"seed": 2}), CLIPS, tmp_path / "other", tell=quiet)
    assert losses(tmp_path / "other") != pytest.approx(losses(tmp_path / "1"), rel=1e-3)


def test_scaling_by_the_loss_is_the_gradient_of_half_its_square(tmp_path):
    recipe = small("mixste", "code", epochs=1, batch=4, network={"drop_path": 0.0})
    gradients = {}
    for scaled in (False, True):
        lifter = training.fresh(recipe)
        state = training.State(
            lifter, Still(lifter), dict(lifter.state_dict()), 0, torch.zeros(3), [], 0.0, {}
        )
        lifter.convention = lifters3d.Convention()
        source = training.MocapSource(MOCAP, recipe, torch.device("cpu"))
        chosen = changed(recipe, {"scaled_by_loss": scaled})
        network = training.trained_network(lifter)
        training._one_step(chosen, state, network, source, training.join("cpu"))
        gradients[scaled] = lifter.head[1].weight.grad.clone()
        loss = state.sums[0]
    torch.testing.assert_close(
        gradients[True], gradients[False] * loss.float(), rtol=1e-3, atol=1e-7
    )


class Still(torch.optim.SGD):
    """An optimiser that does nothing."""

    def __init__(self, lifter):
        super().__init__(lifter.parameters(), lr=0.0)


def test_two_processes_train_as_one_in_two_parts(tmp_path):
    """What torchrun starts, dropout included."""
    data = write_mocap17(tmp_path / "walks.npz", walks(4, frames=40))
    values = ["epochs=2", "steps_per_epoch=3", "batch=8", "precision=fp32", "warmup=2"]
    values += ['network={"width": 16, "depth": 2, "heads": 2, "drop_path": 0.3}']
    command = ["-m", "lifters3d.training", "--data", str(data), "--frames", "5"]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    both = []
    for rank in range(2):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
        place = {key: str(value) for key, value in place.items()} | {"MASTER_ADDR": "localhost"}
        both.append(
            subprocess.Popen(
                [sys.executable, *command, "--output", str(tmp_path / "two"), *values],
                env=os.environ | place | {"OMP_NUM_THREADS": "1"},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    lines = [process.communicate(timeout=100)[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [line for line in lines[1] if line.startswith("epoch")] == []
    assert [line.split(":")[0] for line in lines[0][:2]] == ["epoch 1/2", "epoch 2/2"]

    for parts in (1, 2):
        recipe = small(precision="fp32", accumulate=parts)
        train(recipe, MOCAP, tmp_path / str(parts), tell=quiet)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "2"), rel=1e-4)
    # Other windows are drawn for one part than for two: the test sees differences.
    assert losses(tmp_path / "two") != pytest.approx(losses(tmp_path / "1"), rel=1e-3)


def test_the_average_remembers(tmp_path):
    """With ema the weights written differ from the last step's; without they are those."""
    for ema in (0.0, 0.99):
        folder = tmp_path / str(ema)
        path = train(small(ema=ema), MOCAP, folder, tell=quiet)
        last = read_checkpoint(folder / "checkpoint.pt")["lifter"]["head.1.weight"]
        same = torch.allclose(weights_of(path)["head.1.weight"], last, rtol=1e-3, atol=1e-5)
        assert same == (ema == 0)


# Other sizes


def test_training_on_humaneva(tmp_path):
    clips = ClipSet("humaneva", HUMANEVA15, train=[clip(0, 9, 15)], test=[clip(20, 6, 15)])
    recipe = small("mixste", "code")
    path = train(recipe, clips, tmp_path, validation=clips, tell=quiet)
    assert lifters3d.load(path).joints == 15
    assert log_rows(tmp_path)[0]["test_mpjpe"] > 0


@pytest.fixture
def short(tmp_path):
    """A file of a network of nine frames with an embedding of known shape."""
    lifter = lifters3d.build("mixste", frames=9, **TINY)
    ramp = torch.arange(9.0)
    shape = torch.stack([torch.full((9,), 0.25), ramp, ramp**2, (ramp * 1.3).sin()] * 2, dim=-1)
    with torch.no_grad():
        lifter.Temporal_pos_embed.copy_(shape[None])
    path = tmp_path / "short.safetensors"
    lifters3d.save(lifter, "mixste", path, {}, half=False)
    return path, lifter


def test_stretching_keeps_ends_and_constants(short):
    path, lifter = short
    longer = lifters3d.build("mixste", frames=27, **TINY)
    stretched = stretched_weights(path, longer)
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
    assert equal(stretched_weights(path, lifter), dict(lifter.state_dict()))


def test_training_starts_from_stretched_weights(short, tmp_path):
    path, lifter = short
    recipe = changed(recipe_of("mixste", "pose3d", 27), {"network": TINY, "learning_rate": 0.0})
    recipe = changed(recipe, {"epochs": 1, "steps_per_epoch": 1, "batch": 2})
    started = weights_of(train(recipe, MOCAP, tmp_path / "run", init=path, tell=quiet))
    torch.testing.assert_close(
        started["Temporal_pos_embed"][0, 1::3], lifter.Temporal_pos_embed[0], rtol=1e-3, atol=1e-4
    )
    torch.testing.assert_close(
        started["head.1.weight"], lifter.head[1].weight, rtol=1e-3, atol=1e-4
    )


# What goes wrong


def test_a_run_of_another_recipe_is_not_gone_on_with(tmp_path, short):
    with pytest.raises(Pose3dError, match=r"short\.safetensors: of another width"):
        train(small(), MOCAP, tmp_path / "new", init=short[0], tell=quiet)
    train(small(), MOCAP, tmp_path, tell=quiet)
    with pytest.raises(Pose3dError, match=r"another recipe \(batch 8 there, 9 now\); give another"):
        train(small(batch=9), MOCAP, tmp_path, tell=quiet)
    (tmp_path / "checkpoint.pt").write_bytes(b"half a checkpoi")
    with pytest.raises(Pose3dError, match=r"checkpoint\.pt: not a training checkpoint"):
        train(small(), MOCAP, tmp_path, tell=quiet)


def test_losses_that_do_not_fit_the_lifter(tmp_path):
    for lifter, loss in [
        ("liftformer", "mixste"),
        ("mixste", "full-to-single"),
        ("strided", "spatial-auxiliary"),
    ]:
        with pytest.raises(Pose3dError, match=f"loss {loss} is for .* not for {lifter}"):
            train(small(lifter, loss=loss), MOCAP, tmp_path, tell=quiet)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    recipe = small("liftformer", "paper", epochs=20, learning_rate=1e30, clip_norm=0.0)
    with pytest.raises(Pose3dError, match=r"loss is not finite in step .* learning rate"):
        train(recipe, MOCAP, tmp_path, tell=quiet)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Pose3dError, match="file/run: cannot be made"):
        train(small(), MOCAP, tmp_path / "file" / "run", tell=quiet)


def test_prepared_files_from_the_command_line(tmp_path, monkeypatch, capsys):
    from lifters3d.training.__main__ import main
    from tests.lifters3d.prepared import pixels, world

    actions = {"Walking": world(9, 32)}
    write_3d(tmp_path / "data_3d_h36m.npz", {s: dict(actions) for s in ("S1", "S9")})
    seen = {"Walking": [pixels(9, 17, seed) for seed in range(4)]}
    write_2d(
        tmp_path / "data_2d_h36m_cpn_ft_h36m_dbb.npz",
        {s: dict(seen) for s in ("S1", "S9")},
        H36M_METADATA,
    )
    run = tmp_path / "run"
    arguments = ["--data", str(tmp_path), "--lifter", "liftformer", "--frames", "3"]
    arguments += ["--keypoints", "cpn", "--output", str(run), "epochs=1", "batch=16"]
    arguments += ['network={"width": 16, "depth": 1, "heads": 2, "hidden": 16}']
    monkeypatch.setattr(sys, "argv", ["train", *arguments])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert "test p mpjpe" in lines[0]
    assert read_weights(lines[-1])[1]["training"]["data"] == "human36m cpn"
    monkeypatch.setattr(sys, "argv", ["train", *arguments, "--validation", "val.npz"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "error: --validation is for motion capture" in capsys.readouterr().err


def test_a_run_keeps_to_what_it_learns_from(tmp_path):
    train(small(), MOCAP, tmp_path, data_name="walks.npz", tell=quiet)
    with pytest.raises(Pose3dError, match=r"data 'walks\.npz' there, 'other\.npz' now"):
        train(small(), MOCAP, tmp_path, data_name="other.npz", tell=quiet)
    longer = as_mocap(walks(4, frames=41))
    with pytest.raises(Pose3dError, match="data_frames 160 there, 164 now"):
        train(small(), longer, tmp_path, data_name="walks.npz", tell=quiet)


@pytest.mark.parametrize("first", [MOCAP, None], ids=["with", "without"])
def test_validation_may_begin_or_end_midway(tmp_path, first):
    train(small(epochs=1, schedule="exponential"), MOCAP, tmp_path, validation=first, tell=quiet)
    second = None if first else MOCAP
    recipe = small(epochs=2, schedule="exponential")
    train(recipe, MOCAP, tmp_path, validation=second, tell=quiet)
    with (tmp_path / "log.csv").open(newline="") as file:
        cells = [row["noisy_mpjpe"] for row in csv.DictReader(file)]
    assert [bool(cell) for cell in cells] == [first is not None, first is None]


def test_an_epoch_is_kept_if_measuring_it_fails(tmp_path, monkeypatch):
    recipe = small(epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(training, "errors_on", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(recipe, MOCAP, tmp_path, validation=MOCAP, tell=quiet)
    assert read_checkpoint(tmp_path / "checkpoint.pt")["step"] == 3
    told = []
    train(recipe, MOCAP, tmp_path, validation=MOCAP, tell=told.append)
    assert told[0].startswith("epoch 1/1: loss ")
    assert len(log_rows(tmp_path)) == 1


def test_batch_norm_gets_two_windows_at_least(tmp_path):
    with pytest.raises(Pose3dError, match="strided needs 2 windows in each; raise batch"):
        train(small("strided", batch=4, accumulate=3), MOCAP, tmp_path, tell=quiet)
    with pytest.raises(Pose3dError, match="mixste needs 1 windows in each"):
        train(small(batch=4, accumulate=5), MOCAP, tmp_path, tell=quiet)
    # 30 windows in batches of 29 at most: not 29 and 1.
    train(small("strided", batch=29, epochs=1), CLIPS, tmp_path, tell=quiet)


def test_frames_that_are_not_valid_are_not_measured(tmp_path):
    joints = clip(40, 7).joints.copy()
    joints[3] = np.nan
    valid = np.arange(7) != 3
    damaged = ClipSet("walks", H36M, CLIPS.train, [clip(40, 7, joints=joints, valid=valid)])
    for lifter in ("mixste", "liftformer"):
        recipe = small(lifter, "paper", epochs=1, learning_rate=1e-3)
        train(recipe, CLIPS, tmp_path / lifter, validation=damaged, tell=quiet)
        assert 0 < log_rows(tmp_path / lifter)[0]["test_p_mpjpe"] < 1e5


def test_a_single_frame_has_no_movement(tmp_path):
    recipe = small("mixste", "code", epochs=1)
    train(
        changed(
            recipe_of("mixste", "code", 1),
            {"network": recipe.network, "epochs": 1, "steps_per_epoch": 2, "batch": 4},
        ),
        MOCAP,
        tmp_path,
        tell=quiet,
    )
    assert np.isfinite(log_rows(tmp_path)[0]["loss"])


def test_joints_are_not_stretched(short):
    path, _ = short
    fewer = lifters3d.build("mixste", frames=9, joints=16, **TINY)
    assert stretched_weights(path, fewer)["Spatial_pos_embed"].shape[1] == 17
