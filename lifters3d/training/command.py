"""What ``pose3d train`` and ``python -m lifters3d.training`` do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lifters3d.data.clips import ClipSet
from lifters3d.data.mocap17 import Mocap, load_mocap
from lifters3d.data.sets import is_set, open_set
from lifters3d.training.recipes import Recipe, changed, parsed, recipe_of, variants
from lifters3d.training.train import Advance, Tell, train
from weights.errors import Pose3dError


def recipe_for(
    lifter: str, variant: str, data: Path, frames: int | None, pairs: Sequence[str]
) -> Recipe:
    """The recipe that a user asks for; "auto" is what suits the data.

    Motion capture (a file) asks for ours, a data set of the papers for the authors' code, or the
    paper where there is none.
    """
    there = variants(lifter)
    if variant == "auto":
        authors = "code" if "code" in there else "paper"
        variant = authors if is_set(data) else "pose3d"
    return changed(recipe_of(lifter, variant, frames), parsed(list(pairs)))


def train_on(
    data: Path,
    recipe: Recipe,
    output: Path,
    *,
    keypoints: str = "gt",
    validation: Path | None = None,
    init: Path | None = None,
    device: str = "cpu",
    tell: Tell = print,
    advance: Advance = lambda done, steps: None,
) -> Path:
    """Open the data and train; see ``train``.

    ``data`` is a mocap17 file, and then ``validation`` is one too or None; or a folder with the
    prepared files of a data set, whose test subjects are looked at after every epoch.
    """
    examples: Mocap | ClipSet
    if not is_set(data):
        examples = load_mocap(data)
        watched: Mocap | ClipSet | None = load_mocap(validation) if validation else None
    else:
        if validation is not None:
            raise Pose3dError(f"--validation is for motion capture; {data} has test subjects")
        examples, _ = open_set(data, keypoints, train=True)
        watched = examples if examples.test else None
    return train(
        recipe,
        examples,
        output,
        validation=watched,
        init=init,
        device=device,
        data_name=data.name if isinstance(examples, Mocap) else f"{examples.name} {keypoints}",
        tell=tell,
        advance=advance,
    )
