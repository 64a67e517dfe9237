"""One person's 2D joints with MediaPipe Pose: fast on a CPU, offline, its model is in its wheel.

The network is BlazePose (Bazarevsky et al., "BlazePose: On-device Real-time Body Pose tracking",
2020) with 33 landmarks; joints leave this module in COCO-17 order, as from every detector.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from weights.errors import Pose3dError

BLAZEPOSE_NAMES: tuple[str, ...] = (
    "nose",
    "left_eye_inner",
    "left_eye",
    "left_eye_outer",
    "right_eye_inner",
    "right_eye",
    "right_eye_outer",
    "left_ear",
    "right_ear",
    "mouth_left",
    "mouth_right",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_pinky",
    "right_pinky",
    "left_index",
    "right_index",
    "left_thumb",
    "right_thumb",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_heel",
    "right_heel",
    "left_foot_index",
    "right_foot_index",
)
# All 17 COCO joints are BlazePose landmarks under the same names.
_COCO_IN_BLAZEPOSE = [0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]

# BlazePose guesses joints outside of the picture and may call them visible. What is further out
# than the margin (a part of the picture's size: a foot on the edge still counts) keeps a tenth.
_OUTSIDE_MARGIN = 0.02
_OUTSIDE_FACTOR = 0.1


def blazepose_to_coco(
    landmarks: np.ndarray, visibility: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The 17 COCO joints of BlazePose's 33 landmarks.

    Parameters
    ----------
    landmarks : (..., 33, 2), px, BlazePose order
    visibility : (..., 33) in [0, 1]

    Returns
    -------
    keypoints (..., 17, 2) float32 px and scores (..., 17) float32, COCO order.
    """
    landmarks, visibility = np.asarray(landmarks), np.asarray(visibility)
    if landmarks.shape[-2:] != (33, 2) or visibility.shape != landmarks.shape[:-1]:
        raise ValueError(
            "landmarks must be (..., 33, 2) and visibility (..., 33), "
            f"not {landmarks.shape} and {visibility.shape}"
        )
    keypoints = landmarks[..., _COCO_IN_BLAZEPOSE, :].astype(np.float32)
    return keypoints, visibility[..., _COCO_IN_BLAZEPOSE].astype(np.float32)


@dataclass(frozen=True)
class Keypoints:
    """One person in one picture.

    Attributes
    ----------
    keypoints : (17, 2) float32, px from the upper left corner, COCO order; joints that the
        picture cuts off lie outside of it
    scores : (17,) float32 in [0, 1]: how likely the joint is in view and not hidden
    world : (33, 3) float32, metres, BlazePose order: the network's own 3D guess, origin between
        the hips, x right, y down, z away from the camera
    """

    keypoints: np.ndarray
    scores: np.ndarray
    world: np.ndarray


class MediaPipePose:
    """One person's joints in the pictures of one video, given in order.

    A person found in one picture is followed into the next; only when lost is the whole picture
    searched again. After a loss it may be another person, with as little as one None between:
    the caller must end the track where the joints jump by about a person's height.

    Use it as a context manager, or call `close`. Not for use from several threads at once.

    Parameters
    ----------
    min_detection_confidence : in [0, 1], for finding a person. MediaPipe's own 0.5 takes
        furniture for people in empty rooms; 0.7 does not, but finds a person seen from behind
        a few frames later.
    min_tracking_confidence : in [0, 1], for following a person; below it the picture is searched

    Raises
    ------
    Pose3dError
        if MediaPipe is not installed or cannot be used.
    """

    def __init__(
        self, min_detection_confidence: float = 0.7, min_tracking_confidence: float = 0.5
    ) -> None:
        for value in (min_detection_confidence, min_tracking_confidence):
            if not 0 <= value <= 1:  # NaN too
                raise Pose3dError(f"MediaPipe: a confidence must be from 0 to 1, not {value}")
        pose = _import_pose()
        with _silent_stderr():
            _say_first_words(pose)
            self._graph = _make_graph(pose, min_detection_confidence, min_tracking_confidence)

    def __enter__(self) -> MediaPipePose:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the network; more calls do nothing."""
        if self._graph is not None:
            self._graph.close()
            self._graph = None

    def detect(self, image: np.ndarray) -> Keypoints | None:
        """The person in the next picture of the video, or None if nobody is found.

        Parameters
        ----------
        image : (H, W, 3) uint8 RGB, upright
        """
        if self._graph is None:
            raise ValueError("this MediaPipePose is closed")
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"image must be (H, W, 3) uint8, not {image.shape} {image.dtype}")
        found = self._graph.process(image)
        if found.pose_landmarks is None:
            return None
        # x and y are parts of the picture's width and height.
        marks = np.array([(m.x, m.y, m.visibility) for m in found.pose_landmarks.landmark])
        world = np.array([(m.x, m.y, m.z) for m in found.pose_world_landmarks.landmark])
        return _keypoints(marks, world, image.shape[1], image.shape[0])


def _keypoints(marks: np.ndarray, world: np.ndarray, width: int, height: int) -> Keypoints:
    inside = ((marks[:, :2] >= -_OUTSIDE_MARGIN) & (marks[:, :2] <= 1 + _OUTSIDE_MARGIN)).all(-1)
    visibility = marks[:, 2] * np.where(inside, 1, _OUTSIDE_FACTOR)
    keypoints, scores = blazepose_to_coco(marks[:, :2] * (width, height), visibility)
    return Keypoints(keypoints, scores, world.astype(np.float32))


def _import_pose():
    """The module of MediaPipe's legacy pose solution."""
    how = 'pip install "pose3d[mediapipe]"'
    try:
        import mediapipe
    except ModuleNotFoundError as error:
        if error.name not in (None, "mediapipe"):
            raise Pose3dError(
                f"MediaPipe cannot be imported, {error.name} is missing: {how}"
            ) from None
        raise Pose3dError(f"MediaPipe is not installed: {how}") from None
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise Pose3dError(f"MediaPipe cannot be imported ({reason}): {how}") from None
    try:
        return mediapipe.solutions.pose
    except AttributeError:
        found = getattr(mediapipe, "__version__", "unknown")
        raise Pose3dError(
            f"MediaPipe {found} has no pose solution with a model inside, 0.10.21 has: {how}"
        ) from None


def _make_graph(pose, detection: float, tracking: float):
    graph = pose.Pose(
        static_image_mode=False,
        model_complexity=1,  # the only one whose model is in the wheel
        smooth_landmarks=False,
        enable_segmentation=False,
        min_detection_confidence=detection,
        min_tracking_confidence=tracking,
    )
    # Loads the networks now. A grey picture leaves no person behind to be followed.
    graph.process(np.full((48, 64, 3), 128, np.uint8))
    return graph


_first_words_lock = threading.Lock()
_first_words_said = False


def _say_first_words(pose) -> None:
    """Make MediaPipe write the warnings that it writes once a process, at the first person found.

    With no confidence asked for, it finds a person in a grey picture. So they come while stderr
    is silent, which it then need not be during a whole video.
    """
    global _first_words_said
    with _first_words_lock:
        if not _first_words_said:
            _make_graph(pose, 0.0, 0.0).close()
            _first_words_said = True


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Send file descriptor 2 to nowhere: MediaPipe's C++ writes there, and no setting stops it."""
    try:
        kept = os.dup(2)
    except OSError:  # no stderr at all
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
