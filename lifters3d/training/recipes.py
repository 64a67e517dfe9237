"""Recipes: all that decides how a lifter is trained, as each paper and each official code has it.

``recipe_of("poseformer", "code")`` is what the authors' program does, ``"paper"`` what their paper
says, ``"pose3d"`` what made the weights that we ship. LiftFormer and poseformer-sta have no
official code. Every field can be changed: ``changed(recipe, {"epochs": 20})``.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Literal, get_args, get_type_hints

from lifters3d.registry import BUILDERS, Joints, Normalisation
from weights.errors import Pose3dError

Optimiser = Literal["adamw", "adam", "amsgrad"]
Schedule = Literal["cosine", "exponential", "strided", "noam"]
Loss = Literal[
    "mpjpe", "mixste", "mixste-paper", "full-to-single", "spatial-auxiliary", "every-frame"
]
Precision = Literal["fp32", "bf16"]
Sampling = Literal["balanced", "frames"]
Variant = Literal["paper", "code", "pose3d"]


@dataclass(frozen=True)
class Recipe:
    """How to train.

    lifter, frames, network : the network: its name, receptive field, and other arguments
    normalisation, joints : of its input (``lifters3d.normalisation``, ``registry.Convention``)
    optimiser, learning_rate, beta1, beta2, weight_decay : "amsgrad" is Adam with AMSGrad; "adam"
        adds weight decay to the gradient, "adamw" takes it from the weights
    schedule : "exponential", the rate times ``decay`` every ``decay_every`` epochs; "strided", the
        Strided Transformer's, times ``decay`` an epoch but a half instead every fifth; "noam",
        Vaswani et al. 2017, section 5.3, where ``learning_rate`` is the factor before the formula;
        "cosine", a linear warm-up and half a cosine down to ``final_rate`` of the rate. Warm-ups
        take ``warmup`` steps
    epochs, steps_per_epoch : an epoch is all windows once, each mirrored as well if ``mirrored``;
        of motion capture, of which windows are drawn without end, ``steps_per_epoch`` steps
    batch : windows in a step, over all processes and accumulated parts together
    accumulate : parts of a batch whose gradients are added up, one after the other
    loss : see ``lifters3d.training.objectives``
    scaled_by_loss : the gradient times the loss, as MixSTE's code does
    velocity_weight, every_weight : of the loss "every-frame"
    clip_norm : largest norm of the gradient; 0 for any
    ema : the weights that count are averages over the steps, which remember this share; 0 for none
    sampling : of motion capture: "balanced" draws repetitive sources less (``data.bodies``)
    precision, compile, seed : of the training itself
    """

    lifter: str = "mixste"
    frames: int = 81
    network: dict = field(default_factory=dict)
    normalisation: Normalisation = "screen"
    joints: Joints = "h36m"
    optimiser: Optimiser = "adamw"
    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 0.0
    schedule: Schedule = "exponential"
    decay: float = 0.99
    decay_every: int = 1
    warmup: int = 0
    final_rate: float = 0.02
    epochs: int = 100
    steps_per_epoch: int = 500
    batch: int = 256
    accumulate: int = 1
    mirrored: bool = True
    loss: Loss = "mpjpe"
    scaled_by_loss: bool = False
    velocity_weight: float = 1.0
    every_weight: float = 1.0
    clip_norm: float = 0.0
    ema: float = 0.0
    sampling: Sampling = "balanced"
    precision: Precision = "fp32"
    compile: bool = False
    seed: int = 1


# lifters.md D1 of each paper; where paper and code differ, "code" has what differs.
_PAPERS: dict[str, dict] = {
    # Zheng et al., ICCV 2021, section 4.2.
    "poseformer": {
        "optimiser": "adam",
        "learning_rate": 2e-4,
        "weight_decay": 0.1,
        "decay": 0.98,
        "epochs": 130,
        "batch": 1024,
        "network": {"drop_path": 0.1},
    },
    # Zhang et al., CVPR 2022, section 4.2 and eq. 9-12. A batch is 1024 frames: 4 windows of 243.
    # Its dropout of 0.1 is the rate at which whole branches are dropped.
    "mixste": {
        "frames": 243,
        "optimiser": "adam",
        "learning_rate": 4e-5,
        "decay": 0.99,
        "epochs": 120,
        "batch": 4,
        "loss": "mixste-paper",
        "network": {"drop_path": 0.1},
    },
    # Li et al., IEEE TMM 2022, section IV-B.
    "strided": {
        "frames": 243,
        "optimiser": "amsgrad",
        "learning_rate": 1e-3,
        "schedule": "strided",
        "decay": 0.95,
        "epochs": 20,
        "batch": 256,
        "loss": "full-to-single",
        "network": {"dropout": 0.1, "input_dropout": 0.25},
    },
    # Llopart, arXiv 2009.00348, section 4. The batch is the one of T = 243; beta2 is that of the
    # schedule's own paper.
    "liftformer": {
        "frames": 243,
        "optimiser": "adam",
        "beta2": 0.98,
        "learning_rate": 12.0,
        "schedule": "noam",
        "warmup": 1000,
        "epochs": 80,
        "batch": 1536,
        "network": {"dropout": 0.1},
    },
    # The number of epochs is not given: PoseFormer's.
    "poseformer-sta": {
        "optimiser": "adam",
        "learning_rate": 1e-3,
        "decay": 0.95,
        "decay_every": 2,
        "epochs": 130,
        "batch": 1024,
        "loss": "spatial-auxiliary",
        "network": {"drop_path": 0.1},
    },
}
_CODE: dict[str, dict] = {
    "poseformer": {
        "optimiser": "adamw",
        "learning_rate": 1e-4,
        "decay": 0.99,
        "epochs": 200,
        "batch": 512,
    },
    "mixste": {
        "optimiser": "adamw",
        "weight_decay": 0.1,
        "loss": "mixste",
        "scaled_by_loss": True,
    },
    "strided": {"frames": 351},  # or 27: the only lengths with released strides
}
# The batches of LiftFormer's paper for its receptive fields.
_LIFTFORMER_BATCH = {27: 5120, 81: 3072, 243: 1536}

# Compact networks that learn in an hour or two of a CPU.
_POSE3D = {
    "normalisation": "frame",
    "joints": "derived",
    "optimiser": "adamw",
    "beta2": 0.98,
    "weight_decay": 0.05,
    "schedule": "cosine",
    "warmup": 200,
    "batch": 32,
    "loss": "every-frame",
    "clip_norm": 1.0,
    "ema": 0.999,
    "precision": "bf16",
}
_POSE3D_OF: dict[str, dict] = {
    "mixste": {
        "normalisation": "person",
        "frames": 81,
        "batch": 12,
        "epochs": 15,
        "learning_rate": 6e-4,
        "network": {"width": 192, "depth": 4, "heads": 4, "drop_path": 0.05},
    },
    "liftformer": {
        "frames": 81,
        "epochs": 23,
        "warmup": 400,
        "network": {"width": 256, "depth": 6, "hidden": 1024, "norm_first": True, "dropout": 0.0},
    },
    "poseformer": {
        "frames": 27,
        "epochs": 13,
        "network": {"width": 16, "drop_path": 0.02},
    },
    "poseformer-sta": {
        "frames": 27,
        "epochs": 11,
        "network": {"width": 16, "drop_path": 0.02},
    },
    "strided": {
        "frames": 27,
        "epochs": 14,
        "network": {"dropout": 0.02, "input_dropout": 0.05},
    },
}


def variants(lifter: str) -> list[Variant]:
    """The recipes that there are for a lifter."""
    if lifter not in BUILDERS:
        known = ", ".join(sorted(BUILDERS))
        close = difflib.get_close_matches(lifter.lower(), BUILDERS, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise Pose3dError(f"unknown lifter '{lifter}': choose one of {known}{hint}")
    return ["paper", *(["code"] if lifter in _CODE else []), "pose3d"]


def recipe_of(lifter: str, variant: str, frames: int | None = None) -> Recipe:
    """A lifter's recipe; ``frames`` instead of the recipe's receptive field."""
    there = variants(lifter)
    if variant not in there:
        raise Pose3dError(f"{lifter} has no recipe '{variant}': choose one of {', '.join(there)}")
    if variant == "pose3d":
        values = _POSE3D | _POSE3D_OF[lifter]
    else:
        values = _PAPERS[lifter] | (_CODE[lifter] if variant == "code" else {})
    if frames is not None:
        values = values | {"frames": frames}
        if variant == "paper" and lifter == "liftformer":
            values["batch"] = _LIFTFORMER_BATCH.get(frames, values["batch"])
        elif variant != "pose3d" and lifter == "mixste":
            values["batch"] = max(1, 1024 // max(1, frames))
    return Recipe(lifter=lifter, **{**values, "network": dict(values["network"])})


def changed(recipe: Recipe, values: Mapping[str, object]) -> Recipe:
    """The recipe with other values; Pose3dError for names and values that it does not take.

    A ``network`` is laid over the recipe's: what it does not name stays.
    """
    kinds, checked = get_type_hints(Recipe), {}
    for name, value in values.items():
        if name not in kinds:
            close = difflib.get_close_matches(name, kinds, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(kinds)}"
            raise Pose3dError(f"a recipe has no '{name}'; {hint}")
        if name in ("lifter", "frames") and value != getattr(recipe, name):
            raise Pose3dError(f"{name}: other parts of a recipe hang on it; give --{name}")
        checked[name] = _checked(name, value, kinds[name])
    if "network" in checked:
        for taken in {"name", "frames", "joints"} & checked["network"].keys():
            raise Pose3dError(f"network: {taken} is told by the lifter, --frames and the data")
        checked["network"] = recipe.network | checked["network"]
    return replace(recipe, **checked)


def parsed(pairs: list[str]) -> dict[str, object]:
    """``["epochs=20", "loss=mpjpe"]`` as names and values; values are JSON, else text."""
    values = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign or not name:
            raise Pose3dError(f"'{pair}': expected NAME=VALUE, as epochs=20")
        try:
            values[name.replace("-", "_")] = json.loads(text)
        except json.JSONDecodeError:
            values[name.replace("-", "_")] = text
    return values


def described(recipe: Recipe) -> list[str]:
    """A line a field, as ``parsed`` takes it."""
    return [f"{name}={json.dumps(value)}" for name, value in asdict(recipe).items()]


# Smallest and largest values that make sense; what is not named only must not be negative.
_LIMITS = {
    "frames": (1, 100_000),
    "epochs": (1, 10**6),
    "steps_per_epoch": (1, 10**9),
    "batch": (1, 10**7),
    "accumulate": (1, 10**5),
    "decay_every": (1, 10**6),
    "beta1": (0, 0.99999),
    "beta2": (0, 0.999999),
    "ema": (0, 0.999999),
    "final_rate": (0, 1),
    "seed": (0, 2**31),
}


def _checked(name: str, value: object, kind: type) -> object:
    if choices := get_args(kind):
        if value not in choices:
            raise Pose3dError(f"{name}: {value!r} is none of {', '.join(choices)}")
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        wanted = {
            int: "a whole number",
            float: "a number",
            bool: "true or false",
            dict: 'a JSON object, as {"width": 256}',
        }
        raise Pose3dError(f"{name}: {value!r} is not {wanted[kind]}")
    if kind in (int, float):
        low, high = _LIMITS.get(name, (0, float("inf")))
        if not low <= value <= high:
            raise Pose3dError(f"{name}: {value!r} is not between {low} and {high}")
    return value
