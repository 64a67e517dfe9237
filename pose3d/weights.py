"""``pose3d weights``: what a weights file is, and a copy of it in pose3d's own format."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weights import store
from weights.errors import Pose3dError

if TYPE_CHECKING:
    from torch import nn

    from lifters3d.checkpoints import Checkpoint

# The commands are added in ``pose3d.cli``, which guards them.
app = typer.Typer(
    help="Look into weights files, convert them, and fetch public ones.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


def _weights(name: str) -> typer.models.ArgumentInfo:
    """An argument that is a weights file, or such a name."""
    text = f"Weights of any kind (.bin, .pth, .safetensors, ...), or {name}."
    return typer.Argument(metavar="FILE", help=text, show_default=False)


Lifter = Annotated[Path, _weights("a lifter's name")]
Shipped = Annotated[Path, _weights("a name of shipped ones")]


def inspect(file: Shipped) -> None:
    """Tell what a weights file is and how to use it.

    Knows the authors' files of PoseFormer, MixSTE and the Strided Transformer, and pose3d's own.
    Code that a file may hold is never run.

    Example: pose3d weights inspect model_81f.bin
    """
    from lifters3d.checkpoints import other_network, read_checkpoint
    from lifters3d.registry import assemble, weights_path

    shipped = str(file) in store.entries()
    path = store.path_of(str(file)) if shipped else weights_path(file)
    checkpoint = read_checkpoint(path)
    other = other_network({name: tuple(t.shape) for name, t in checkpoint.tensors.items()})
    if other and checkpoint.header is None:
        network = [("network", f"{other}; not a lifter")]
    elif checkpoint.header is not None and "network" in checkpoint.header:
        network = _network_2d(path, file, str(checkpoint.header["network"]))
    else:
        network = _network(assemble(checkpoint), file, sure=checkpoint.header is not None)
    for label, text in (*_file(path, checkpoint), *network, ("sha256", checkpoint.sha256)):
        print(f"{label:<16} {text}")


def convert(
    file: Lifter,
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT.safetensors", help="The file to write.", show_default=False),
    ],
    half: Annotated[
        bool,
        typer.Option("--half", help="Half as large: 16 bits a number, and a little less exact."),
    ] = False,
) -> None:
    """Write a lifter's weights as a file of pose3d's own.

    The copy holds the network alone, opens fast, and says by itself what it is.

    Example: pose3d weights convert model_81f.bin poseformer_81f.safetensors
    """
    if out.suffix != ".safetensors":
        raise Pose3dError(f"{out}: the name of the copy must end in .safetensors")
    from lifters3d.checkpoints import read_checkpoint
    from lifters3d.registry import assemble, save, weights_path

    path = weights_path(file)
    if out.exists() and path.exists() and out.samefile(path):
        raise Pose3dError(f"{out}: is the file to convert; give the copy another name")
    checkpoint = read_checkpoint(path)
    lifter = assemble(checkpoint)
    training = _training(checkpoint)
    if checkpoint.header is None:
        told = {name: value for name, value in training.items() if _short(value)}
        training = {"converted_from": path.name, "sha256": checkpoint.sha256, **told}
    save(lifter, lifter.weights_identity["lifter"], out, training, half=half)
    print(out)


def _file(path: Path, checkpoint: Checkpoint) -> Iterator[tuple[str, str]]:
    """Lines about the file, whatever the network."""
    yield "file", f"{path}, {checkpoint.kind}, {path.stat().st_size / 1e6:.1f} MB"
    tensors = checkpoint.tensors.values()
    numbers = sum(t.numel() for t in tensors if t.is_floating_point())
    types = sorted({str(t.dtype).removeprefix("torch.") for t in tensors if t.is_floating_point()})
    yield "tensors", f"{len(tensors)} with {numbers:,} numbers ({', '.join(types)})"
    if checkpoint.wrapper or checkpoint.prefixed:
        prefix = ", names begin with module." if checkpoint.prefixed else ""
        yield "wrapper", (".".join(checkpoint.wrapper) or "none") + prefix
    told = [
        f"{name} {_numbers(value)}" if _short(value) else str(name)
        for name, value in _training(checkpoint).items()
    ]
    if told:
        yield "training", ", ".join(told)


def _network(lifter: nn.Module, source: Path, sure: bool) -> Iterator[tuple[str, str]]:
    """Lines about a lifter, and how to use it; ``sure``: by the file's own word."""
    config, convention = dict(lifter.config), lifter.convention
    name = lifter.weights_identity["lifter"]
    yield "network", f"{name}, {config['variant']} variant" if "variant" in config else name
    given = {
        "sequence": "gives the poses of all of them",
        "center": "gives the pose of the one in the middle",
        "last": "gives the pose of the last one",
    }
    yield "receptive field", f"{lifter.frames} frames; {given[lifter.output]}"
    size = {key: value for key, value in config.items() if key not in ("frames", "variant")}
    guess = "" if sure else "; heads as in the papers, the weights do not tell them"
    yield "size", ", ".join(f"{key} {value}" for key, value in size.items()) + guess
    yield "parameters", f"{sum(p.numel() for p in lifter.parameters()):,}"
    rate = convention.frame_rate
    yield (
        "input",
        f"normalisation {convention.normalisation}, joints {convention.joints}, "
        f"{f'{rate:g} frames per second' if rate else 'any frame rate'}",
    )
    if lifter.joints == 17:
        yield "use", f"pose3d video INPUT --lifter {shlex.quote(str(source))}"
    else:
        yield "use", f"not by pose3d video, whose skeleton has 17 joints, not {lifter.joints}"


def _network_2d(path: Path, source: Path, name: str) -> Iterator[tuple[str, str]]:
    """Lines about a 2D network of ours, and how to use it."""
    from detectors2d.people.centernet import NAME, load_people
    from detectors2d.registry import load_pose

    if name == NAME:
        network, what = load_people(path), "people"
        use = f"--detector {NAME}" + ("" if str(source) == NAME else f"={shlex.quote(str(path))}")
    else:
        network, what = load_pose(path), "2D joints"
        use = f"--pose2d {shlex.quote(str(source))}"
    yield "network", f"{name}, {what}"
    yield "size", ", ".join(f"{key} {value}" for key, value in network.config.items())
    yield "parameters", f"{sum(p.numel() for p in network.parameters()):,}"
    yield "use", f"pose3d video INPUT {use}"


def _training(checkpoint: Checkpoint) -> dict:
    """What a file says of its training: in the header of ours, else beside the weights."""
    if checkpoint.header is None:
        return {str(name): value for name, value in checkpoint.beside.items()}
    training = checkpoint.header.get("training")
    return training if isinstance(training, dict) else {}


def _short(value: object) -> bool:
    """A number, a few of them, or a text that fits into a line."""
    if isinstance(value, str):
        return len(value) <= 60 and value.isprintable()
    if isinstance(value, list):
        return len(value) <= 4 and all(isinstance(part, int | float) for part in value)
    return isinstance(value, bool | int | float)


def _numbers(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)
