"""Two sets of poses of one video against each other: two results, or a result and the truth."""

from __future__ import annotations

import json
import math
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from lifters3d.evaluation.metrics import align_similarity, joint_errors
from lifters3d.evaluation.protocols import Errors, Results, evaluate_clips
from lifters3d.skeleton import HIP, LIMB_JOINTS
from pipeline.result import load_result
from weights.errors import Pose3dError
from weights.files import in_unicode, write_file

FILE_FORMAT, FILE_VERSION = "pose3d-comparison", 1
_TRUTH_KEYS = frozenset({"joints3d_world", "joints2d", "R", "t", "fps", "size"})
# Frames belong together if they are no further apart than this share of the shorter frame step.
_SAME_TIME = 0.25
# People are different ones where their limb joints are on average this share of their extent apart.
_SAME_PLACE = 0.5


@dataclass(frozen=True)
class Poses:
    """What is compared: F frames, P people.

    name : for tables
    time_s : (F,) seconds
    ids : of the P people
    joints3d : (F, P, 17, 3) metres, root-relative, camera axes; NaN where absent
    keypoints2d : (F, P, 17, 2) from the picture's upper left corner, its width being 1
    is_truth : ground truth, and not a result
    """

    name: str
    time_s: np.ndarray
    ids: tuple[int, ...]
    joints3d: np.ndarray
    keypoints2d: np.ndarray
    is_truth: bool = False

    @property
    def step_s(self) -> float:
        """Usual time between frames; 0 if there are fewer than two."""
        return float(np.median(np.diff(self.time_s))) if len(self.time_s) > 1 else 0.0


@dataclass(frozen=True)
class Pair:
    """One person in both: ids, and errors over time, NaN where one of the two has no pose."""

    predicted_id: int
    reference_id: int
    time_s: np.ndarray  # (F,)
    mpjpe_mm: np.ndarray  # (F,)
    p_mpjpe_mm: np.ndarray  # (F,)

    @property
    def name(self) -> str:
        a, b = self.predicted_id, self.reference_id
        return f"person {a}" if a == b else f"person {a} = {b}"


@dataclass(frozen=True)
class Comparison:
    """Errors of one set of poses against another, by person (the groups) and over all frames.

    notes : what was compared and what was left out, one sentence each
    """

    predicted: str
    reference: str
    pairs: list[Pair]
    errors: Results
    notes: list[str]


def read_poses(path: str | Path) -> Poses:
    """A result, or ground truth like ``demos/walk.npz``: told apart by content.

    The truth has (T frames, P people) ``joints3d_world`` (T, P, 17, 3) metres in axes of the
    world, ``R`` (T, 3, 3) and ``t`` (T, 3) world to camera, ``joints2d`` (T, P, 17, 2) px,
    ``fps`` and ``size``; its people are numbered from 1 and its first frame is at 0 s.

    Raises
    ------
    Pose3dError
        if it is neither, or damaged.
    """
    path = Path(path)
    if _is_truth(path):
        return _read_truth(path)
    result = load_result(path)
    return Poses(
        name=in_unicode(path.name),
        time_s=result.time_s,
        ids=tuple(result.ids.tolist()),
        joints3d=result.joints3d,
        keypoints2d=result.keypoints2d / result.picture_size[0],
    )


def compare_poses(predicted: Poses, reference: Poses) -> Comparison:
    """Errors of one set of poses against another, root-relative, in the camera's axes.

    Frames are matched by time and people by where they are in the picture; if only the first is
    ground truth, it becomes the reference. Errors are those of `evaluate_clips`: PCK and AUC over
    14 joints, velocities from frame to frame of the set with the longer frame step.

    Raises
    ------
    Pose3dError
        if there is nothing to compare: no pose in one, no common time, no common person.
    """
    if predicted.is_truth and not reference.is_truth:
        predicted, reference = reference, predicted
    both = predicted, reference
    for poses in both:
        if not np.isfinite(poses.joints3d).all(axis=(2, 3)).any():
            raise Pose3dError(f"{poses.name} holds no pose: there is nothing to compare")
    frames = match_times(predicted.time_s, reference.time_s)
    if not len(frames[0]):
        spans = [f"{one.name}: {one.time_s[0]:.2f} to {one.time_s[-1]:.2f} s" for one in both]
        raise Pose3dError(f"no frame at the same time in both ({'; '.join(spans)})")
    # From here on both are on one time line, with nothing where the other has no frame.
    slower = int(reference.step_s > predicted.step_s + 1e-6)
    time_s, places = both[slower].time_s, frames[slower]
    p, t = (_spread(both[i].joints3d, frames[i], places, len(time_s)) for i in range(2))
    where = (_spread(both[i].keypoints2d, frames[i], places, len(time_s)) for i in range(2))
    rate = 1 / both[slower].step_s if both[slower].step_s > 0 else None
    clips, predictions, pairs, missing = [], [], [], []
    for a, b in _match_people(*where):
        there = [np.isfinite(poses).all(axis=(1, 2)) for poses in (p[:, a], t[:, b])]
        valid = there[0] & there[1]
        if not valid.any():
            continue
        pair = _over_time(predicted.ids[a], reference.ids[b], time_s, p[:, a], t[:, b], valid)
        pairs.append(pair)
        clips.append(_Clip(pair.name, t[:, b], valid, rate))
        predictions.append(p[:, a])
        for one, seen in zip(both, there, strict=True):
            if lost := len(places) - int(seen.sum()):
                missing.append(f"Left out: {lost} of them, without {pair.name} in {one.name}.")
    if not pairs:
        raise Pose3dError(
            f"nobody is at the same place in {predicted.name} and {reference.name}: are they of "
            "one video?"
        )
    errors = evaluate_clips(predictions, clips, root="subtract", protocol="3dhp")
    notes = [*_notes(both, frames, pairs), *missing]
    return Comparison(predicted.name, reference.name, pairs, errors, notes)


def match_times(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the frames of a (F,) and b (G,), seconds, that belong together: (n,) each.

    Two frames do if each is the other's nearest, and no further than a quarter of the shorter
    usual frame step.
    """
    forward, back = _nearest(a, b), _nearest(b, a)
    steps = [float(np.median(np.diff(times))) for times in (a, b) if len(times) > 1]
    allowed = _SAME_TIME * max(min(steps, default=0.04), 1e-3)
    chosen = (back[forward] == np.arange(len(a))) & (np.abs(b[forward] - a) <= allowed)
    return np.flatnonzero(chosen), forward[chosen]


def save_json(comparison: Comparison, path: str | Path) -> None:
    """Write a comparison as JSON; the file appears when whole.

    {
      "format": "pose3d-comparison", "version": 1,
      "predicted", "reference": names, "notes": [sentences],
      "all": errors over all frames of all people, "people": {person: errors},
      "over_time": [{"predicted_id", "reference_id", "time_s": [...], "mpjpe_mm": [...],
                     "p_mpjpe_mm": [...]}]
    }

    where errors are those of ``lifters3d.evaluation.protocols.Errors``; those that begin with
    "joint_" are {joint name: number}. null: not compared.

    Raises
    ------
    Pose3dError
        if the file cannot be written.
    """
    results = comparison.errors

    def plain(value: object) -> object:
        if isinstance(value, np.ndarray):
            return [plain(one) for one in value.tolist()]
        return None if isinstance(value, float) and math.isnan(value) else value

    def table(errors: Errors) -> dict[str, object]:
        values = {name: plain(value) for name, value in asdict(errors).items()}
        for name in values:
            if name.startswith("joint_"):
                values[name] = dict(zip(results.joint_names, values[name], strict=True))
        return values

    content = {
        "format": FILE_FORMAT,
        "version": FILE_VERSION,
        "predicted": comparison.predicted,
        "reference": comparison.reference,
        "notes": comparison.notes,
        "all": table(results.pooled),
        "people": {name: table(errors) for name, errors in results.groups.items()},
        "over_time": [
            {name: plain(value) for name, value in asdict(pair).items()}
            for pair in comparison.pairs
        ],
    }
    write_file(Path(path), f"{json.dumps(content, indent=1, allow_nan=False)}\n".encode())


@dataclass(frozen=True)
class _Clip:
    """One person of the reference, for `evaluate_clips`."""

    name: str
    joints: np.ndarray  # (F, 17, 3) metres
    valid: np.ndarray  # (F,)
    frame_rate: float | None
    subject: str = ""
    action: str = ""


def _is_truth(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return {f"{key}.npy" for key in _TRUTH_KEYS} <= set(archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return False  # what is wrong with it is said when it is read


def _read_truth(path: Path) -> Poses:
    try:
        with np.load(path, allow_pickle=False) as archive:
            values = {key: np.asarray(archive[key], np.float64) for key in _TRUTH_KEYS}
    except Exception:  # a damaged zip fails in a dozen ways (zlib, struct, BadZipFile, ...)
        raise Pose3dError(f"{path}: ground truth that is damaged; fetch it again") from None
    world, seen = values["joints3d_world"], values["joints2d"]
    frames, people = world.shape[:2] if world.ndim == 4 else (0, 0)
    shapes = {
        "joints3d_world": (frames, people, 17, 3),
        "joints2d": (frames, people, 17, 2),
        "R": (frames, 3, 3),
        "t": (frames, 3),
        "fps": (),
        "size": (2,),
    }
    for key, shape in shapes.items():
        if values[key].shape != shape:
            raise Pose3dError(f"{path}: {key} has shape {values[key].shape}, expected {shape}")
    if not values["fps"] > 0 or not values["size"].min() > 0:
        raise Pose3dError(f"{path}: fps and size must be above 0")
    camera = np.einsum("fij,fpkj->fpki", values["R"], world) + values["t"][:, None, None]
    return Poses(
        name=in_unicode(path.name),
        time_s=np.arange(frames) / values["fps"],
        ids=tuple(range(1, people + 1)),
        joints3d=camera - camera[:, :, HIP : HIP + 1],
        keypoints2d=seen / values["size"][0],
        is_truth=True,
    )


def _spread(values: np.ndarray, frames: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """(count, ...) float64 with ``values[frames]`` at ``places`` and NaN elsewhere."""
    spread = np.full((count, *values.shape[1:]), np.nan)
    spread[places] = values[frames]
    return spread


def _nearest(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """For each of a (F,) the number of the nearest of b (G,), which rises."""
    after = np.minimum(np.searchsorted(b, a), len(b) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(np.abs(b[before] - a) <= np.abs(b[after] - a), before, after)


def _match_people(p: np.ndarray, t: np.ndarray) -> list[tuple[int, int]]:
    """Which of the people in p (F, P, 17, 2) is which in t (F, Q, 17, 2), one to one."""
    limbs = list(LIMB_JOINTS)
    likeness = np.zeros((p.shape[1], t.shape[1]))
    for b in range(t.shape[1]):
        own = t[:, b, limbs]
        extent = (np.fmax.reduce(own, axis=1) - np.fmin.reduce(own, axis=1)).max(axis=-1)
        for a in range(p.shape[1]):
            apart = joint_errors(p[:, a, limbs], own)
            seen = np.isfinite(apart)
            apart = np.where(seen, apart, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
            close = 1 - apart / np.maximum(_SAME_PLACE * extent, 1e-9)
            likeness[a, b] = np.where(seen.any(axis=1) & (close > 0), close, 0).sum()
    rows, columns = linear_sum_assignment(likeness, maximize=True)
    return [(a, b) for a, b in zip(rows, columns, strict=True) if likeness[a, b] > 0]


def _over_time(
    predicted_id: int,
    reference_id: int,
    time_s: np.ndarray,
    p: np.ndarray,
    t: np.ndarray,
    valid: np.ndarray,
) -> Pair:
    p, t = (1000 * (poses - poses[:, HIP, None])[valid] for poses in (p, t))
    errors = np.full((2, len(time_s)), np.nan)
    errors[0, valid] = joint_errors(p, t).mean(axis=-1)
    errors[1, valid] = joint_errors(align_similarity(p, t), t).mean(axis=-1)
    return Pair(predicted_id, reference_id, time_s, *errors)


def _notes(
    both: tuple[Poses, Poses], frames: tuple[np.ndarray, np.ndarray], pairs: list[Pair]
) -> list[str]:
    predicted, reference = both
    count = len(frames[0])
    notes = [
        f"{count} frames at the same time, of {len(predicted.time_s)} in {predicted.name} and "
        f"{len(reference.time_s)} in {reference.name}."
    ]
    apart = np.abs(predicted.time_s[frames[0]] - reference.time_s[frames[1]]).max()
    if apart > 1e-3:
        notes.append(f"Their times differ by up to {1000 * apart:.0f} ms.")
    for pair in pairs:
        if pair.predicted_id != pair.reference_id:
            notes.append(
                f"{pair.name}: {pair.predicted_id} in {predicted.name} is {pair.reference_id} in "
                f"{reference.name}."
            )
    matched = ({pair.predicted_id for pair in pairs}, {pair.reference_id for pair in pairs})
    for one, known in zip(both, matched, strict=True):
        if lost := [str(number) for number in one.ids if number not in known]:
            notes.append(f"Left out: person {', '.join(lost)} of {one.name}, without a match.")
    return notes
