"""Measures all lifters and baselines on motion capture and writes ``docs/results.md``.

    python -m benchmarks.results --train mocap/train.npz --test mocap/test.npz [FILE ...]

FILEs are weights beside the shipped ones. What was measured is kept in ``docs/results.json`` by the
weights' SHA-256 and not measured again, so that one lifter can be added at a time; ``--speed``
measures frames a second of all of them anew, which wants a quiet machine.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import nn

import lifters3d
from benchmarks import baselines
from benchmarks.lifters import make_keypoints, ours
from benchmarks.results_page import page
from lifters3d.data.mocap17 import Mocap, load_mocap
from lifters3d.flops import flops_per_frame
from lifters3d.training.evaluate import KINDS, evaluate
from weights import store
from weights.files import write_file

DOCS = Path(__file__).parent.parent / "docs"
WINDOWS = 768
SPEED_FRAMES = 486


def about(lifter: nn.Module) -> dict:
    """What a lifter is and costs."""
    return {
        "lifter": lifter.weights_identity["lifter"],
        "frames": lifter.frames,
        "parameters": sum(parameter.numel() for parameter in lifter.parameters()),
        "flops": flops_per_frame(lifter),
    }


def measured(lifter: nn.Module, rows: dict[str, Mocap]) -> dict[str, dict[str, float]]:
    """Errors by rows ("all", "native")."""
    return {
        name: evaluate(lifter, mocap, WINDOWS, kinds=list(KINDS)) for name, mocap in rows.items()
    }


def frames_per_second(lifter: nn.Module) -> float:
    """The faster of two runs, mirrored average included, in the precision that auto chooses."""
    keypoints = make_keypoints(SPEED_FRAMES)
    return max(ours(lifter, keypoints, "auto", None)[0] for _ in range(2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--only", help="measure this shipped lifter alone, write no page")
    parser.add_argument("--speed", action="store_true")
    arguments = parser.parse_args()
    kept_in = DOCS / "results.json"
    kept = json.loads(kept_in.read_text()) if kept_in.exists() else {}

    def keep(key: str, value: dict) -> None:
        kept[key] = kept.get(key, {}) | value
        write_file(kept_in, (json.dumps(kept, indent=1, sort_keys=True) + "\n").encode())

    test = load_mocap(arguments.test)
    rows = {"all": test, "native": test.select([r["fidelity"] == "native" for r in test.table])}
    shipped = store.shipped("lifter")
    names = [arguments.only] if arguments.only else [*shipped, *map(str, arguments.files)]
    shown = []
    for name in names:
        lifter = lifters3d.load(name)
        key = lifter.weights_identity["sha256"]
        shown.append(key)
        if "errors" not in kept.get(key, {}):
            print(name, flush=True)
            keep(key, about(lifter) | {"errors": measured(lifter, rows)})
        keep(key, {"shipped": name in shipped})
        if arguments.speed:
            keep(key, {"frames_per_second": frames_per_second(lifter)})
    if arguments.only:
        return
    train = load_mocap(arguments.train)
    for name, make in (("linear", baselines.train_linear), ("mlp", baselines.train_mlp)):
        if name not in kept:
            print(name, flush=True)
            lifter = make(train)
            count = sum(parameter.numel() for parameter in lifter.parameters())
            keep(name, {"frames": 1, "parameters": count, "errors": measured(lifter, rows)})
    if "copy" not in kept:
        errors = {name: baselines.copying(mocap, WINDOWS) for name, mocap in rows.items()}
        keep("copy", {"errors": errors})
    text = page([kept[key] for key in shown], kept, torch.get_num_threads())
    write_file(DOCS / "results.md", text.encode())
    print(DOCS / "results.md")


if __name__ == "__main__":
    main()
