"""What of a result is drawn, made ready once a clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lifters3d.skeleton import JOINT_NAMES
from pipeline.lifting import focal_length
from pipeline.rendering.palette import LEAST_3D, opacity_of_errors, opacity_of_scores
from pipeline.result import PoseResult
from pipeline.world import place_on_floor, root_path, usual_step
from weights.errors import Pose3dError

# What is left of a person's opacity in frames of such a status.
_STATUS_OPACITY = {"interpolated": 0.65, "low_confidence": 0.75}


@dataclass(frozen=True)
class Clip:
    """F frames, P people, 17 joints in H36M order; NaN where there is nothing.

    Attributes
    ----------
    keypoints2d : (F, P, 17, 2) px of the picture, the first pixel's centre at (0.5, 0.5)
    scores2d : (F, P, 17) 0-1
    joints_camera : (F, P, 17, 3) metres, x right, y down, z away from the camera
    joints_world : (F, P, 17, 3) metres, x right, y away from the camera, z up, floor z = 0
    opacity3d : (F, P, 17) 0-1 of the 3D joints: by their uncertainty, or where there is none by
        their scores; less where the person's status is doubtful
    status : (F, P) strings of `PoseResult`
    ids : (P,) the people's numbers
    times : (F,) seconds
    picture_size : (w, h) px
    focal : px, of the camera that filmed
    """

    keypoints2d: np.ndarray
    scores2d: np.ndarray
    joints_camera: np.ndarray
    joints_world: np.ndarray
    opacity3d: np.ndarray
    status: np.ndarray
    ids: np.ndarray
    times: np.ndarray
    picture_size: tuple[int, int]
    focal: float

    def __len__(self) -> int:
        return len(self.times)


def clip_of(result: PoseResult) -> Clip:
    """A result as it is drawn.

    Raises Pose3dError if the result has no frames, or a skeleton that cannot be drawn.
    """
    if len(result) == 0:
        raise Pose3dError("the result has no frames: there is nothing to draw")
    if result.joint_names != JOINT_NAMES:
        raise Pose3dError(
            f"the result has {len(result.joint_names)} joints of another skeleton; only the 17 of "
            "Human3.6M can be drawn"
        )
    step_s = usual_step(result.time_s, result.frame_rate)
    up = np.array(result.room().up)
    focal = result.provenance.get("focal_px") or focal_length(result.picture_size)
    root = result.root
    if result.provenance.get("settings", {}).get("lock_feet"):
        # What was moved in the room would be beside the person in the picture.
        root = np.stack(
            [
                root_path(
                    result.joints3d[:, person],
                    result.keypoints2d[:, person],
                    result.scores2d[:, person],
                    focal,
                    result.picture_size,
                    step_s,
                )
                for person in range(result.people)
            ],
            axis=1,
        )
    scores = np.where(np.isfinite(result.keypoints2d).all(-1), result.scores2d, 0)
    opacity = np.where(
        np.isfinite(result.uncertainty),
        opacity_of_errors(result.uncertainty),
        opacity_of_scores(scores, LEAST_3D),
    )
    for status, share in _STATUS_OPACITY.items():
        opacity[result.status == status] *= share
    return Clip(
        keypoints2d=result.keypoints2d,
        scores2d=result.scores2d,
        joints_camera=result.joints3d + root[:, :, None],
        joints_world=place_on_floor(result.joints3d, result.root, up, step_s),
        opacity3d=opacity,
        status=result.status,
        ids=result.ids,
        times=result.time_s,
        picture_size=result.picture_size,
        focal=float(focal),
    )
