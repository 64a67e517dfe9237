"""People as they move: every picture is lifted when it comes, from it and earlier ones alone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from detectors2d.mediapipe import MediaPipePose
from lifters3d.normalisation import frame, screen
from lifters3d.skeleton import HIP, LIMB_JOINTS, MIRROR, derive_trunk
from pipeline.capture import Captured, Clock
from pipeline.compute import products_in
from pipeline.joints import coco_to_h36m
from pipeline.lifting import to_camera_axes
from pipeline.missing import complete_poses
from pipeline.process import LOW_CONFIDENCE
from pipeline.settings import Settings
from pipeline.smoothing import OneEuro
from pipeline.tracking import MAX_PAUSE_S, split_at_jumps
from pipeline.windows import forward, held_ends


class CausalLifter:
    """One person's keypoints, frame by frame, to 3D joints: the causal lifting of ``lifting.lift``.

    It keeps as many frames as the lifter looks back on, and lifts the newest alone.

    Parameters
    ----------
    lifter : of ``lifters3d``, in evaluation mode, on any device
    size : width and height of the picture, px
    settings : of which ``fov``, ``flip``, ``precision`` and ``smooth`` count
    """

    def __init__(self, lifter: nn.Module, size: tuple[int, int], settings: Settings) -> None:
        self._lifter, self._size, self._settings = lifter, size, settings
        self._device = next(lifter.parameters()).device
        frames, self._kind = lifter.frames, lifter.convention.normalisation
        self._held = held_ends(frames) if lifter.output == "sequence" else frames - 1 - frames // 2
        if lifter.output == "last":
            self._held = 0
        # A frame's size is taken from frames around it, of which some lie before the window.
        self._earlier = frames // 2 if self._kind == "frame" else 0
        back = np.arange(frames - 1 - self._held + self._earlier, -1, -1)
        self._steps = np.concatenate([back, np.zeros(self._held, int)])
        self.reset()

    def reset(self) -> None:
        """Forget the past: what comes now is another movement."""
        self._past: deque[tuple[float, np.ndarray]] = deque()
        self._count = 0
        self._filter: OneEuro | None = None
        self._filtered_s = 0.0  # when it was told last

    @torch.inference_mode()
    def __call__(self, keypoints: np.ndarray, time_s: float) -> tuple[np.ndarray, np.ndarray]:
        """The newest frame.

        Parameters
        ----------
        keypoints : (17, 2) px, Human3.6M order; NaN joints are guessed
        time_s : later than the frame before

        Returns
        -------
        joints (17, 3) float32 metres, root-relative, camera axes; and how far the lifting of the
        mirrored keypoints is from them, halved (17,), NaN without ``flip``.
        """
        points = complete_poses(np.asarray(keypoints, np.float64)[None])
        if self._lifter.convention.joints == "derived":
            points = derive_trunk(points)
        rate = self._lifter.convention.frame_rate
        self._past.append((self._count if rate is None else time_s * rate, points[0]))
        self._count += 1
        newest = torch.as_tensor(points, dtype=torch.float32, device=self._device)
        with products_in(self._settings.precision, self._device):
            mirror = MIRROR if self._settings.flip else None
            poses, doubt = forward(self._lifter, self._window(), mirror)
        own = self._lifter.frames - 1 - self._held if self._lifter.output == "sequence" else 0
        joints = poses[:, own].float()
        joints = joints - joints[:, HIP : HIP + 1]
        if self._kind != "screen":
            joints = to_camera_axes(joints, newest, self._size, self._settings.fov)
        joints = joints[0].cpu().numpy()
        if self._settings.smoothing == "one-euro":
            if self._filter is None:
                self._filter = OneEuro(joints)
            else:
                step_s = max(time_s - self._filtered_s, 1e-6)
                joints = self._filter.follow(joints, step_s).astype(np.float32)
            self._filtered_s = time_s
        return joints, doubt[0, own].float().cpu().numpy()

    def _window(self) -> torch.Tensor:
        """(1, T, 17, 2): the past at even times, as ``windows`` makes it of whole sequences."""
        now, reach = self._past[-1][0], self._steps[0]
        while len(self._past) > 1 and self._past[1][0] <= now - reach:
            self._past.popleft()
        clock = np.array([moment for moment, _ in self._past])
        points = np.stack([points for _, points in self._past])
        places = np.interp(np.maximum(now - self._steps, clock[0]), clock, np.arange(len(clock)))
        before = np.floor(places).astype(int)
        after = np.minimum(before + 1, len(clock) - 1)
        share = (places % 1)[:, None, None]
        window = points[before] * (1 - share) + points[after] * share
        window = torch.as_tensor(window[None], dtype=torch.float32, device=self._device)
        if self._kind == "screen":
            return screen(window, self._size)
        if self._kind == "frame":
            return frame(window, self._lifter.frames)[:, self._earlier :]
        return window


@dataclass(frozen=True)
class Moment:
    """One picture and what is known of the person in it at once; NaN where nobody is found.

    keypoints (17, 2) px and scores (17,), Human3.6M order; joints (17, 3) metres, root-relative,
    camera axes; doubt (17,) metres, of ``CausalLifter``; status of ``PoseResult``; latency_s from
    when the picture was there until the joints were.
    """

    captured: Captured
    keypoints: np.ndarray
    scores: np.ndarray
    joints: np.ndarray
    doubt: np.ndarray
    status: str
    latency_s: float


def follow(
    pictures: Iterable[Captured], detector: MediaPipePose, lifter: CausalLifter, clock: Clock = time
) -> Iterator[Moment]:
    """The person in every picture; another movement begins where the person is lost or jumps."""
    before: tuple[float, np.ndarray] | None = None
    for picture in pictures:
        found = detector.detect(picture.image)
        if found is None:
            before = None
            lifter.reset()
            keypoints, scores = np.full((17, 2), np.nan, np.float32), np.full(17, np.nan)
            joints, doubt = np.full((17, 3), np.nan, np.float32), np.full(17, np.nan)
            status = "not_visible"
        else:
            keypoints, scores = coco_to_h36m(found.keypoints, found.scores)
            if before is not None and _is_another(before, (picture.time_s, keypoints)):
                lifter.reset()
            before = picture.time_s, keypoints
            joints, doubt = lifter(keypoints, picture.time_s)
            weak = np.nan_to_num(scores)[list(LIMB_JOINTS)].mean() < LOW_CONFIDENCE
            status = "low_confidence" if weak else "ok"
        late = clock.monotonic() - picture.due_s
        yield Moment(picture, keypoints, scores, joints, doubt, status, late)


def _is_another(before: tuple[float, np.ndarray], now: tuple[float, np.ndarray]) -> bool:
    times = np.array([before[0], now[0]])
    poses = complete_poses(np.stack([before[1], now[1]]))
    return times[1] - times[0] > MAX_PAUSE_S or bool(
        split_at_jumps(poses, np.ones(2, bool), times)[1]
    )
