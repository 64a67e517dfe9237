"""The training loop of all lifters and recipes.

A run is a folder; broken off, the same call goes on where the last checkpoint was written, and ends
with the same weights as without the break. Under torchrun the batch is shared out among processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import lifters3d
from lifters3d.data.clips import ClipSet
from lifters3d.data.mocap17 import Mocap
from lifters3d.training import runs
from lifters3d.training.objectives import check_loss, losses_of, trained_network
from lifters3d.training.parallel import Team, join
from lifters3d.training.recipes import Recipe
from lifters3d.training.schedule import optimiser_of, rate_at
from lifters3d.training.sources import ClipSource, MocapSource, Source, seed_of
from lifters3d.training.validation import Validation, errors_on
from weights.errors import Pose3dError

CHECKPOINT_S = 60.0  # seconds between checkpoints within an epoch

Tell = Callable[[str], None]
Advance = Callable[[int, int], None]


@dataclass
class State:
    """What a checkpoint holds."""

    lifter: nn.Module
    optimiser: torch.optim.Optimizer
    averaged: dict[str, Tensor]  # the weights that count: averages over the steps, or the last
    step: int  # steps made, over all epochs
    sums: Tensor  # of this epoch: loss, MPJPE in metres, steps; float64
    log: list[dict[str, float]]  # a row an epoch
    seconds: float  # of training so far
    learns_from: dict  # the data's name and size, and the weights it started from


def train(
    recipe: Recipe,
    data: Mocap | ClipSet,
    output: str | Path,
    *,
    validation: Validation | None = None,
    init: str | Path | None = None,
    device: str = "cpu",
    data_name: str = "",
    tell: Tell = print,
    advance: Advance = lambda done, steps: None,
) -> Path:
    """Train a lifter, or go on with it.

    Parameters
    ----------
    recipe : of ``lifters3d.training.recipes``
    data : motion capture, of which windows are drawn and filmed on the fly, or a data set's clips
    output : folder of the run: ``checkpoint.pt``, ``log.csv``, ``curves.png`` and the weights
    validation : what errors are measured on after every epoch; nothing is chosen by them
    init : weights file to start from; what has a length in frames is stretched
    device : "cpu", "cuda" or "cuda:N"; under torchrun "cuda" is a GPU a process
    data_name : how the weights file names the data
    tell : is given a line an epoch
    advance : is told after every step how many of the epoch's steps are done

    Returns
    -------
    the path of the weights file, which is written after every epoch

    Raises
    ------
    Pose3dError
        If parts of the recipe, the data, the folder or ``init`` do not go together.
    """
    team = join(device)
    try:
        return _train(recipe, data, Path(output), validation, init, team, data_name, tell, advance)
    finally:
        team.leave()


def _train(
    recipe: Recipe,
    data: Mocap | ClipSet,
    output: Path,
    validation: Validation | None,
    init: str | Path | None,
    team: Team,
    data_name: str,
    tell: Tell,
    advance: Advance,
) -> Path:
    folder = runs.open_folder(output)
    lifter = fresh(recipe, len(data.skeleton.names) if isinstance(data, ClipSet) else 17)
    lifter.to(team.device)
    check_loss(lifter, recipe)
    _check_parts(lifter, recipe, team.size)
    source: Source
    if isinstance(data, Mocap):
        source = MocapSource(data, recipe, team.device)
    else:
        source = ClipSource(data, recipe, lifter, team.device)
    lifter.convention = lifters3d.Convention(recipe.normalisation, recipe.joints, source.frame_rate)
    frames = (
        len(data.positions)
        if isinstance(data, Mocap)
        else sum(len(clip.keypoints) for clip in data.train)
    )
    learns_from = {
        "data": data_name,
        "data_frames": frames,
        "init": Path(init).name if init else "",
        "processes": team.size,
    }
    state = _begin(recipe, lifter, init, folder, learns_from)
    network = trained_network(lifter)
    if recipe.compile:
        network = torch.compile(network)

    last = recipe.epochs * source.steps
    if team.leads and state.step % source.steps == 0 and state.sums[2] > 0:
        # Broken off between an epoch's last step and its measurements.
        _end_epoch(recipe, state, source, validation, folder, data_name, tell)
    if state.step % source.steps == 0:
        state.sums = torch.zeros_like(state.sums)
    if state.step >= last and team.leads:
        tell(f"already trained for {recipe.epochs} epochs; more: epochs=N")
    began, saved = time.monotonic() - state.seconds, time.monotonic()
    while state.step < last:
        lifter.train()
        _one_step(recipe, state, network, source, team)
        if team.leads:
            advance((state.step - 1) % source.steps + 1, source.steps)
        if state.step % source.steps == 0:
            state.seconds = time.monotonic() - began
            if team.leads:
                _save(folder, recipe, state)  # whatever may go wrong in what follows
                _end_epoch(recipe, state, source, validation, folder, data_name, tell)
            state.sums = torch.zeros_like(state.sums)
            saved = time.monotonic()
        elif team.leads and time.monotonic() - saved > CHECKPOINT_S:
            state.seconds = time.monotonic() - began
            _save(folder, recipe, state)
            saved = time.monotonic()
    team.wait()
    if team.leads:
        runs.export(folder, _averaged(recipe, state), recipe, recipe.epochs, data_name)
    return runs.weights_path(folder, recipe)


def fresh(recipe: Recipe, joints: int = 17) -> nn.Module:
    """The recipe's lifter with weights drawn from its seed."""
    network = dict(recipe.network)
    if joints != 17:
        network["joints"] = joints
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        lifter = lifters3d.build(recipe.lifter, frames=recipe.frames, **network)
        if recipe.loss == "every-frame":
            spread_embeddings(lifter)
    return lifter


def spread_embeddings(lifter: nn.Module) -> None:
    """Tell the joints apart from the first step on; for short trainings.

    The papers start position embeddings from zero, where all joints are treated alike and the
    error stays on a plateau for hundreds of steps.
    """
    for name, parameter in lifter.named_parameters():
        if name.endswith("pos_embed"):
            nn.init.normal_(parameter, std=1.0 if name.startswith("Spatial") else 0.2)
        elif name == "weighted_mean.weight":
            # PoseFormer begins by taking the centre frame.
            with torch.no_grad():
                parameter.zero_()[0, parameter.shape[1] // 2] = 1.0


def _check_parts(lifter: nn.Module, recipe: Recipe, processes: int) -> None:
    """Batch norm needs two windows; Pose3dError if parts of a batch would have less."""
    least = 2 if any(isinstance(m, nn.BatchNorm1d) for m in lifter.modules()) else 1
    parts = recipe.accumulate * processes
    if recipe.batch < least * parts:
        raise Pose3dError(
            f"batch {recipe.batch} in {parts} parts (accumulate x processes): {recipe.lifter} "
            f"needs {least} windows in each; raise batch or lower accumulate"
        )


def _begin(
    recipe: Recipe, lifter: nn.Module, init: str | Path | None, folder: Path, learns_from: dict
) -> State:
    """The state to start from: the folder's checkpoint, the weights of ``init``, or fresh ones."""
    optimiser = optimiser_of(recipe, lifter)
    saved = runs.saved_state(folder, recipe, learns_from)
    sums = torch.zeros(3, dtype=torch.float64)
    if saved is None:
        if init:
            try:
                lifter.load_state_dict(runs.stretched_weights(init, lifter))
            except RuntimeError:
                raise Pose3dError(f"{init}: of another width, depth or lifter") from None
        averaged = {key: value.detach().clone() for key, value in lifter.state_dict().items()}
        return State(lifter, optimiser, averaged, 0, sums, [], 0.0, learns_from)
    device = next(lifter.parameters()).device
    try:
        lifter.load_state_dict(saved["lifter"])
        optimiser.load_state_dict(saved["optimiser"])
        averaged = {key: value.to(device) for key, value in saved["averaged"].items()}
        kept = {key: saved[key] for key in ("step", "sums", "log", "seconds")}
        return State(lifter, optimiser, averaged, **kept, learns_from=learns_from)
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError):
        raise Pose3dError(
            f"{folder / runs.CHECKPOINT}: does not fit the recipe; damaged?"
        ) from None


def _one_step(recipe: Recipe, state: State, network: Callable, source: Source, team: Team) -> None:
    """A step of the optimiser, of a batch in parts: some of this process, some of the others."""
    lifter, parts = state.lifter, recipe.accumulate * team.size
    width = lifter.config.get("width", 512)
    rate = rate_at(recipe, state.step, source.steps, width)
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    state.optimiser.zero_grad()
    sums = torch.zeros(2, dtype=torch.float64, device=team.device)
    for own in range(recipe.accumulate):
        part = team.rank * recipe.accumulate + own
        keypoints, target, share = source.part(state.step, part, parts)
        if not share:
            continue
        # Dropout of the part, on whatever device, in whatever process.
        torch.manual_seed(seed_of(recipe.seed + 1, state.step, part))
        with torch.autocast(team.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
            loss, position = losses_of(network, lifter, keypoints, target, recipe)
        (loss * share).backward()
        sums += share * torch.stack([loss.detach(), position.detach()])
    team.add_gradients(lifter)
    team.add_up(sums)
    if recipe.scaled_by_loss:
        for parameter in lifter.parameters():
            if parameter.grad is not None:
                parameter.grad *= sums[0].to(parameter.grad.dtype)
    if recipe.clip_norm:
        nn.utils.clip_grad_norm_(lifter.parameters(), recipe.clip_norm)
    state.optimiser.step()
    state.step += 1
    # The average follows quickly at first: a fresh network's weights are worth forgetting.
    keep = min(recipe.ema, state.step / (state.step + 10)) if recipe.ema else 0.0
    for key, value in lifter.state_dict().items():
        if value.is_floating_point():
            state.averaged[key].lerp_(value, 1 - keep)
        else:
            state.averaged[key].copy_(value)
    state.sums += torch.cat([sums.cpu(), torch.ones(1, dtype=torch.float64)])
    if not torch.isfinite(state.sums).all():
        raise Pose3dError(
            f"the loss is not finite in step {state.step}: the learning rate of {rate:.1e} may be "
            "too high; the last checkpoint remains"
        )


def _end_epoch(
    recipe: Recipe,
    state: State,
    source: Source,
    validation: Validation | None,
    folder: Path,
    data_name: str,
    tell: Tell,
) -> None:
    """Measure, log, save, and say it in one line."""
    epoch = state.step // source.steps
    loss, position, steps = state.sums.tolist()
    width = state.lifter.config.get("width", 512)
    row = {
        "epoch": epoch,
        "rate": rate_at(recipe, state.step - 1, source.steps, width),
        "loss": loss / steps,
        "train_mpjpe": 1000 * position / steps,
        "seconds": state.seconds,
    }
    lifter = _averaged(recipe, state)
    if validation is not None:
        row |= errors_on(lifter, validation)
    state.log.append(row)
    runs.export(folder, lifter, recipe, epoch, data_name)
    runs.write_log(folder, state.log)
    state.sums = torch.zeros_like(state.sums)
    _save(folder, recipe, state)
    left = state.seconds / epoch * (recipe.epochs - epoch) / 60
    errors = ", ".join(
        f"{key.replace('_', ' ')} {value:.1f} mm" for key, value in row.items() if "mpj" in key
    )
    tell(
        f"epoch {epoch}/{recipe.epochs}: loss {row['loss']:.4f}, {errors}, rate {row['rate']:.1e}, "
        f"{left:.0f} min left"
    )


def _averaged(recipe: Recipe, state: State) -> nn.Module:
    """A lifter in evaluation mode with the weights that count."""
    lifter = fresh(recipe, state.lifter.joints).to(next(state.lifter.parameters()).device)
    lifter.convention = state.lifter.convention
    lifter.load_state_dict(state.averaged)
    return lifter.eval()


def _save(folder: Path, recipe: Recipe, state: State) -> None:
    runs.save_checkpoint(
        folder,
        recipe,
        state.learns_from,
        {
            "lifter": state.lifter.state_dict(),
            "optimiser": state.optimiser.state_dict(),
            "averaged": state.averaged,
            "step": state.step,
            "sums": state.sums,
            "log": state.log,
            "seconds": state.seconds,
        },
    )
