"""What channel attention is worth: HRNets that differ in nothing else, trained alike.

    python -m benchmarks.channel_attention FOLDER --data FILE.json... --test FILE.json...
        [--init WEIGHTS] [--placements 0 1 2 4] [--clips CLIP.mp4...] [--set NAME=VALUE...]

Placement n has attention in the last n of the four blocks of every branch. Each network is trained
with the same recipe, seed, people and number of steps, in FOLDER/cam-n, from nothing or from one
trained network whose attention, if any, is taken out (``--init``); one that was broken off goes on,
and one that is done is not trained again. The table has the people of ``--test`` in their true
boxes, and, for clips with a truth beside them, the 2D and the 3D of the whole pipeline.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch

from benchmarks.end_to_end import errors
from benchmarks.eyes import distances, look, reference
from detectors2d.hrnet import HRNet
from detectors2d.registry import load_pose, save_pose
from detectors2d.training.command import recipe_parts
from detectors2d.training.recipes import Recipe
from detectors2d.training.samples import People, read_people
from detectors2d.training.train import measure, train
from pipeline.comparison import read_poses
from pose3d import estimate
from weights.errors import Pose3dError

CPU = torch.device("cpu")
SPEED_CROPS = 64


def without_attention(weights: Path, folder: Path) -> Path:
    """A network's weights but for its channel attention, in a file of their own."""
    trained = load_pose(weights)
    plain = HRNet(**trained.config | {"cam_blocks": 0})
    names = plain.state_dict().keys()
    plain.load_state_dict({k: v for k, v in trained.state_dict().items() if k in names})
    folder.mkdir(parents=True, exist_ok=True)
    start = folder / f"start-{trained.weights_identity['sha256'][:12]}.safetensors"
    save_pose(plain, start, {"init": weights.name})
    return start


def on_people(weights: Path, people: People, precision: str) -> dict[str, float]:
    """What a network is, how well it finds people, and crops a second on one core."""
    network = load_pose(weights).eval()
    width, height = network.config["input_size"]
    row = {"parameters, M": sum(p.numel() for p in network.parameters()) / 1e6}
    row |= measure(network, people, precision, CPU, flip=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    images = torch.zeros(SPEED_CROPS, 3, height, width).to(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        network(images)
        began = time.perf_counter()
        network(images)
    seconds = time.perf_counter() - began
    torch.set_num_threads(threads)
    return row | {"crops/s": SPEED_CROPS / seconds}


def on_clip(weights: Path, clip: Path) -> dict[str, float]:
    """The errors of a clip's first person: 2D in % of the height, 3D in mm."""
    points, counts, _ = reference(clip, None)
    found = look(clip, str(weights), "centernet", None)
    away, seen = distances(found, points[:, :1], counts[:, :1])
    target = read_poses(clip.with_suffix(".npz")).joints3d[:, 0]
    poses = estimate(clip, pose2d=str(weights), detector="centernet").joints3d[:, 0]
    three = errors(poses, target)
    return {
        f"{clip.stem} 2D, %": 100 * float(np.nanmedian(away[seen])),
        f"{clip.stem} MPJPE": three["MPJPE"],
        f"{clip.stem} P-MPJPE": three["P-MPJPE"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--data", nargs="+", required=True, metavar="FILE.json")
    parser.add_argument("--test", nargs="+", required=True, metavar="FILE.json")
    parser.add_argument("--init", type=Path, metavar="WEIGHTS")
    parser.add_argument("--placements", nargs="+", type=int, default=[0, 1, 2, 4])
    parser.add_argument("--clips", nargs="*", type=Path, default=[], metavar="CLIP.mp4")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    defaults = {field.name: field.default for field in fields(Recipe) if field.name != "variation"}
    parts = recipe_parts(given.set, defaults)
    recipes = {n: Recipe(**parts | {"cam_blocks": n}) for n in given.placements}
    people, test = read_people(given.data), read_people(given.test)
    init = without_attention(given.init, given.folder) if given.init else None
    table = {}
    for placement, recipe in recipes.items():
        weights = train(recipe, people, given.folder / f"cam-{placement}", init=init)
        table[placement] = on_people(weights, test, recipe.precision)
        for clip in given.clips:
            table[placement] |= on_clip(weights, clip)
    columns = list(next(iter(table.values())))
    print("| last blocks with attention | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for placement, row in table.items():
        print(f"| {placement} | " + " | ".join(f"{row[name]:.4g}" for name in columns) + " |")


if __name__ == "__main__":
    try:
        main()
    except Pose3dError as error:
        sys.exit(f"error: {error}")
