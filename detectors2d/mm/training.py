"""Training of our HRNet by mmengine's Runner on people in COCO's format.

A run is a folder: ``checkpoint.pth`` and the weights file, both written after every epoch; the
configuration, for mmpose's own tools; a folder of mmengine's with its log and curves. A checkpoint
has mmengine's form, but holds tensors, numbers and texts alone, and only such are read.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from detectors2d.hrnet import HRNet
from detectors2d.mm import compat
from detectors2d.mm.building import build
from detectors2d.mm.coco import CocoSet
from detectors2d.mm.quiet import quietly
from detectors2d.mm.recipe import BATCH, EPOCHS, LEARNING_RATE, coco_config
from detectors2d.registry import CONFIGS, build_pose, load_pose, save_pose
from weights.errors import Pose3dError
from weights.files import write_file
from weights.fitting import misfit
from weights.reading import read_checkpoint

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.hooks import Hook
    from mmengine.runner import Runner

CHECKPOINT, CONFIG = "checkpoint.pth", "config.py"
SEED = 0

Tell = Callable[[str], None]
Advance = Callable[[int, int], None]


def start_network(name: str, init: str | Path | None = None) -> HRNet:
    """The network of a name with fresh weights, or with those of a file.

    Weights without attention get fresh, neutral attention where the name has it. Raises Pose3dError
    for an unknown name or weights of another network.
    """
    if name not in CONFIGS:
        raise Pose3dError(f"unknown --config '{name}': choose one of {', '.join(sorted(CONFIGS))}")
    if init is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            return build_pose(name)
    network = load_pose(init, cam_blocks=CONFIGS[name]["cam_blocks"] or None)
    held = getattr(network, "config", {})
    if any(held.get(key) != value for key, value in CONFIGS[name].items()):
        raise Pose3dError(f"{init}: weights of {network.weights_identity['network']}, not {name}")
    return network


def train(
    network: HRNet,
    name: str,
    data: CocoSet,
    output: str | Path,
    *,
    validation: CocoSet | None = None,
    epochs: int = EPOCHS,
    batch: int = BATCH,
    learning_rate: float = LEARNING_RATE,
    init: str = "",
    resume: bool = False,
    device: torch.device | str = "cpu",
    workers: int = 2,
    tell: Tell = print,
    advance: Advance = lambda done, steps: None,
) -> Path:
    """Train a network by ``recipe.coco_config``, or go on with it.

    Parameters
    ----------
    network : where training starts; it is not changed
    name : of the weights file, which is ``<output>/<name>.safetensors``
    data : what is learnt from
    output : folder of the run
    validation : measured on every tenth epoch and the last; nothing is chosen by it
    epochs, batch, learning_rate : the batch is cut to the number of people
    init : whose weights ``network`` started from, for the file to say
    resume : go on after the last whole epoch of the run in ``output``, of the same settings
    workers : processes that prepare crops; 0 is none, and only then a run that was broken off ends
        with the same weights to the bit as one that was not
    tell : is given a line an epoch and a validation
    advance : is told after every step how many of the epoch's steps are done

    Returns
    -------
    the path of the weights file, in float32

    Raises
    ------
    Pose3dError
        if mmpose is not installed, a number is out of its range, the folder holds a run already or
        (with ``resume``) none that can go on, or the loss is not finite.
    """
    _check_numbers(network, len(data.people.xyxy), epochs, batch, learning_rate)
    compat.prepare()
    compat.import_torchvision()
    about = {
        "init": init,
        "data": data.file.name,
        "people": len(data.people.xyxy),
        "epochs": epochs,
        "batch": batch,
        "learning_rate": learning_rate,
    }
    settings = {**network.config, **about}
    folder = Path(output)
    saved = _saved(folder, settings, resume)
    config = coco_config(
        network,
        data,
        validation,
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        workers=workers,
    )
    weights = folder / f"{name}.safetensors"
    with quietly():
        from detectors2d.mm.backbone import from_mmpose, to_mmpose

        estimator = build(config, "mmpose", name)
        estimator.load_state_dict(to_mmpose(network.state_dict()))
        if saved and (reason := misfit(estimator.state_dict(), saved["state_dict"], [])):
            raise Pose3dError(f"{folder / CHECKPOINT}: weights do not fit {name}: {reason}")
        trained = HRNet(**network.config)

        def export(epoch: int) -> None:
            trained.load_state_dict(from_mmpose(estimator.state_dict()))
            save_pose(trained, weights, {**about, "epochs_made": epoch}, half=False)

        runner = _runner(config, estimator, folder, torch.device(device), settings, saved)
        runner.register_hook(_epoch_hook(export, tell, advance))
        try:
            runner.train()
        except torch.OutOfMemoryError:
            raise Pose3dError(
                f"batches of {batch} do not fit into the GPU: lower --batch"
            ) from None
    export(epochs)
    return weights


def _check_numbers(
    network: HRNet, people: int, epochs: int, batch: int, learning_rate: float
) -> None:
    least = 2 if network.config["cam_blocks"] else 1
    if epochs < 1:
        raise Pose3dError(f"--epochs must be 1 or more, not {epochs}")
    if batch < least:
        why = ": the attention's batch norms need two" if least > 1 else ""
        raise Pose3dError(f"--batch must be {least} or more, not {batch}{why}")
    if people < least:
        raise Pose3dError("the attention's batch norms need two people to learn from, not one")
    if not 0 < learning_rate < math.inf:
        raise Pose3dError(f"--learning-rate must be above 0, not {learning_rate}")


def _saved(folder: Path, settings: dict, resume: bool) -> dict | None:
    """The checkpoint to go on from, None at the start of a run; Pose3dError if it is not clear."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Pose3dError(f"{folder}: cannot be made ({error.strerror})") from None
    path = folder / CHECKPOINT
    if not resume:
        if path.exists():
            raise Pose3dError(
                f"{folder}: holds a run already; --resume goes on with it, or give another --output"
            )
        return None
    if not path.exists():
        raise Pose3dError(f"{folder}: holds no {CHECKPOINT} to resume from")
    saved = read_checkpoint(path)
    meta = saved.get("meta") if isinstance(saved, dict) else None
    before = meta.get("settings") if isinstance(meta, dict) else None
    parts = ("state_dict", "optimizer", "param_schedulers", "message_hub")
    if not isinstance(before, dict) or any(part not in saved for part in parts):
        raise Pose3dError(f"{path}: not a training checkpoint of pose3d train-2d, or damaged")
    if other := [key for key in settings if before.get(key) != settings[key]]:
        told = ", ".join(f"{key} {before.get(key)!r} there, {settings[key]!r} now" for key in other)
        raise Pose3dError(f"{path}: of another run ({told}); give the same settings to resume it")
    return saved


def _runner(
    config: Config,
    estimator: nn.Module,
    folder: Path,
    device: torch.device,
    settings: dict,
    saved: dict | None,
) -> Runner:
    """mmengine's Runner with checkpoints of plain contents, on the device that was asked for."""
    from mmengine.runner import Runner

    class PlainRunner(Runner):
        def wrap_model(self, _: object, model: nn.Module) -> nn.Module:
            return model.to(device)

        def _init_model_weights(self) -> None:
            """Nothing: the estimator comes with the weights to start from."""

        def _log_env(self, _: object) -> None:
            """Nothing: it starts compilers to ask for their versions, which takes seconds."""

        def dump_config(self) -> None:
            self.cfg.dump(folder / CONFIG)

        def save_checkpoint(self, *_: object, **__: object) -> None:
            schedulers = [
                # A Counter is a dict, but not to those who read a pickle with care.
                {key: dict(v) if isinstance(v, dict) else v for key, v in each.state_dict().items()}
                for each in self.param_schedulers
            ]
            content = {
                "meta": {"epoch": self.epoch + 1, "iter": self.iter, "settings": settings},
                "state_dict": self.model.state_dict(),
                "optimizer": self.optim_wrapper.state_dict(),
                "param_schedulers": schedulers,
                "message_hub": {"log_scalars": {}, "runtime_info": {}, "resumed_keys": {}},
            }
            buffer = io.BytesIO()
            torch.save(content, buffer)
            write_file(folder / CHECKPOINT, buffer.getbuffer())

        def load_checkpoint(self, *_: object, **__: object) -> dict:
            """What was read and checked before, in place of an unrestricted torch.load."""
            self.model.load_state_dict(saved["state_dict"], strict=True)
            return saved

    if device.type == "cuda":
        torch.cuda.set_device(device)
    parts = ("train_dataloader", "val_dataloader", "val_evaluator", "train_cfg", "val_cfg")
    return PlainRunner(
        model=estimator,
        work_dir=str(folder),
        **{part: config.get(part) for part in parts},
        optim_wrapper=config.optim_wrapper,
        param_scheduler=config.param_scheduler,
        default_hooks={"checkpoint": None},
        default_scope="mmpose",
        env_cfg=config.env_cfg,
        randomness={"seed": SEED},
        # The Runner adds the time in seconds: two of a second would share their curves.
        experiment_name=f"{folder.name}_{time.monotonic_ns()}",
        load_from=str(folder / CHECKPOINT) if saved else None,
        resume=saved is not None,
        cfg=config,
    )


def _epoch_hook(export: Callable[[int], None], tell: Tell, advance: Advance) -> Hook:
    """Saves and tells after every epoch."""
    from mmengine.hooks import Hook
    from mmengine.runner import set_random_seed

    class Epochs(Hook):
        priority = "VERY_LOW"  # after the learning rate's scheduler, whose state is saved

        def before_train_epoch(self, runner: Runner) -> None:
            # A run that was broken off goes on with the numbers that it would have drawn.
            set_random_seed(SEED + runner.epoch)
            self.began, self.loss = time.monotonic(), 0.0

        def after_train_iter(
            self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict[str, Tensor]
        ) -> None:
            self.loss += float(outputs["loss"])
            advance(batch_idx + 1, len(runner.train_dataloader))

        def after_train_epoch(self, runner: Runner) -> None:
            epoch, loss = runner.epoch + 1, self.loss / len(runner.train_dataloader)
            if not math.isfinite(loss):
                raise Pose3dError(
                    f"epoch {epoch}: the loss is {loss}; lower --learning-rate, or start from "
                    "weights with --init"
                )
            runner.save_checkpoint()
            export(epoch)
            seconds = time.monotonic() - self.began
            tell(f"epoch {epoch}/{runner.max_epochs}: loss {loss:.3g}, {seconds:.0f} s")

        def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
            parts = {"AP": "AP", "AP .5": "AP50", "AP .75": "AP75", "AR": "AR"}
            told = ", ".join(f"{to} {metrics[f'coco/{key}']:.3f}" for key, to in parts.items())
            tell(f"epoch {runner.epoch}/{runner.max_epochs}: {told} on validation")

    return Epochs()
