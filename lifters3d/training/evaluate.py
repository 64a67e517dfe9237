"""Errors of a lifter on motion capture seen by virtual cameras, one window a time.

    python -m lifters3d.training.evaluate mixste --data mocap/test.npz [--native]

Each window is seen by a camera of its own, drawn from a fixed seed; "noisy" adds a detector's
errors. Errors are root-relative, in the lifter's axes, in millimetres (MPJVE: mm per frame at
30 frames/s), over all 17 joints and over the 12 limb joints ("limbs").
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

import lifters3d
from lifters3d.data.batches import Noise, PairStream
from lifters3d.data.mocap17 import Mocap, load_mocap
from lifters3d.evaluation.metrics import mpjpe, mpjve, n_mpjpe, p_mpjpe
from lifters3d.skeleton import HIP, LIMB_JOINTS
from weights.errors import Pose3dError

# Consecutive frames that lifters of one frame lift in each window drawn.
CENTRES = 9
# The noise of each kind of 2D.
KINDS: dict[str, Noise] = {"clean": "none", "typical": "positions", "noisy": "severe"}


@torch.inference_mode()
def evaluate(
    lifter: nn.Module,
    mocap: Mocap,
    windows: int,
    seed: int = 0,
    kinds: Sequence[str] = ("clean", "noisy"),
) -> dict[str, float]:
    """Mean errors in mm over ``windows`` random windows, for each of ``KINDS`` of 2D."""
    errors = {}
    limbs = list(LIMB_JOINTS)
    device = next(lifter.parameters()).device
    for kind in kinds:
        generator = torch.Generator(device).manual_seed(seed)
        sequence = lifter.output == "sequence"
        stream = PairStream(
            mocap,
            lifter.frames if sequence else lifter.frames + CENTRES - 1,
            batch=min(windows, 64),
            normalisation=lifter.convention.normalisation,
            generator=generator,
            noise=KINDS[kind],
            augment=False,
            receptive_field=lifter.frames,
            joints=lifter.convention.joints,
        )
        predicted, target = [], []
        while len(predicted) * stream.batch < windows:
            keypoints, true = next(stream)
            if not sequence:
                first = lifter.frames - 1 if lifter.output == "last" else lifter.frames // 2
                true = true[:, first : first + CENTRES]
            poses = _lift(lifter, keypoints)
            predicted.append(poses.cpu().numpy())
            target.append(true.cpu().numpy())
        p, t = 1000 * np.concatenate(predicted), 1000 * np.concatenate(target)
        p = p - p[..., HIP : HIP + 1, :]
        errors |= {
            f"{kind}_mpjpe": mpjpe(p, t),
            f"{kind}_n_mpjpe": n_mpjpe(p, t),
            f"{kind}_p_mpjpe": p_mpjpe(p, t),
            f"{kind}_p_mpjpe_limbs": p_mpjpe(p[..., limbs, :], t[..., limbs, :]),
            f"{kind}_mpjve": mpjve(p, t),
        }
    return errors


def _lift(lifter: nn.Module, keypoints: torch.Tensor) -> torch.Tensor:
    """Poses (B, n, 17, 3) of normalised sequences; n = T, or one a window for lifters of one."""
    if lifter.output == "sequence":
        return lifter(keypoints)
    tokens = lifter.encode_frames(keypoints.flatten(0, 1)).unflatten(0, keypoints.shape[:2])
    windows = tokens.unfold(1, lifter.frames, 1).movedim(-1, 2)
    return torch.cat([lifter.lift_window(window) for window in windows.unbind(1)], dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lifter", help="a lifter's name or a weights file")
    parser.add_argument("--data", required=True, help="a mocap17 file")
    parser.add_argument("--native", action="store_true", help="only clips with original skeletons")
    parser.add_argument("--windows", type=int, default=2048, help="default: %(default)s")
    arguments = parser.parse_args()
    try:
        mocap = load_mocap(arguments.data)
        if arguments.native:
            mocap = mocap.select([row["fidelity"] == "native" for row in mocap.table])
        errors = evaluate(
            lifters3d.load(arguments.lifter), mocap, arguments.windows, kinds=list(KINDS)
        )
    except Pose3dError as error:
        raise SystemExit(f"error: {error}") from None
    for name, value in errors.items():
        print(f"{name:22s} {value:7.2f} mm")


if __name__ == "__main__":
    main()
