"""End-to-end error of the whole pipeline on clips with exact ground truth, beside MediaPipe's 3D.

    python -m benchmarks.end_to_end demos/walk.mp4 [MORE.mp4 ...] [--lifter mixste] [--pose2d NAME]

Beside each clip lies NAME.npz, the truth (``pipeline.comparison.read_poses``); the first person is
scored. Errors are root-relative, in mm (MPJVE: mm per frame), over all 17 joints and over the 12
limb joints; MediaPipe's own world landmarks are scored on the same frames and the same pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from detectors2d.mediapipe import MediaPipePose
from lifters3d.evaluation.metrics import mpjpe, mpjve, n_mpjpe, p_mpjpe
from lifters3d.skeleton import HIP, LIMB_JOINTS
from pipeline.comparison import read_poses
from pipeline.joints import blazepose_world_to_h36m
from pipeline.video import VideoReader
from pose3d import estimate


def mediapipe_world(path: Path) -> np.ndarray:
    """MediaPipe's own 3D, (T, 17, 3) root-relative metres, NaN where it found nobody."""
    poses = []
    with MediaPipePose() as detector:
        for frame in VideoReader(path):
            found = detector.detect(frame.image)
            poses.append(
                np.full((17, 3), np.nan) if found is None else blazepose_world_to_h36m(found.world)
            )
    poses = np.array(poses)
    return poses - poses[:, HIP : HIP + 1]


def errors(predicted: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """The field's errors in mm over the frames where there is a prediction."""
    seen = np.isfinite(predicted).all(axis=(1, 2))
    p, t = 1000 * predicted[seen].astype(np.float64), 1000 * target[seen]
    limbs = list(LIMB_JOINTS)
    return {
        "MPJPE": mpjpe(p, t),
        "N-MPJPE": n_mpjpe(p, t),
        "P-MPJPE": p_mpjpe(p, t),
        "P-MPJPE limbs": p_mpjpe(p[:, limbs], t[:, limbs]),
        "MPJVE": mpjve(p, t),
        "frames": int(seen.sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--lifter", default="mixste")
    parser.add_argument("--pose2d", default="auto", help="what finds the 2D joints")
    arguments = parser.parse_args()
    for clip in arguments.clips:
        target = read_poses(clip.with_suffix(".npz")).joints3d[:, 0]
        ours = estimate(clip, lifter=arguments.lifter, pose2d=arguments.pose2d).joints3d[:, 0]
        for name, poses in ((arguments.lifter, ours), ("MediaPipe 3D", mediapipe_world(clip))):
            row = ", ".join(f"{key} {value:.1f}" for key, value in errors(poses, target).items())
            print(f"{clip.stem:10s} {Path(name).stem:14s} {row}", flush=True)


if __name__ == "__main__":
    main()
