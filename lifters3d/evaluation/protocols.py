"""The papers' protocols: errors over all clips of a test set, clip by clip.

Human3.6M: frames are pooled over subjects and cameras within an action, and the headline is the
plain mean of the actions. HumanEva-I: the same by action and subject. MPI-INF-3DHP: valid frames
only, by sequence, and the headline pools all frames; MPJPE is over all 17 joints there, PCK and
AUC over 14, as in the data set's own program. Every valid frame counts once: MixSTE's code counts
the overlap of its last window twice and takes velocities across window seams, Strided
Transformer's mixes the actions of a batch in P-MPJPE; neither is followed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from itertools import zip_longest
from operator import add
from typing import Literal, Protocol, get_args

import numpy as np

from lifters3d.evaluation.metrics import (
    AUC_THRESHOLDS_MM,
    PCK_THRESHOLD_MM,
    SCORED_JOINTS_3DHP,
    SCORED_JOINTS_H36M,
    align_scale,
    align_similarity,
    joint_errors,
    velocity_errors,
)
from lifters3d.skeleton import HIP, JOINT_NAMES
from weights.errors import Pose3dError

Root = Literal["subtract", "zero", "keep"]
# What each paper's evaluation on Human3.6M does with the predicted root (the true one is always
# the origin): PoseFormer and MixSTE leave it, so that it counts as one of the joints with its
# error; Strided Transformer sets it to 0 and leaves the rest. LiftFormer and the attention-module
# PoseFormer have no official code; we take what VideoPose3D and PoseFormer do, which they follow.
# On MPI-INF-3DHP poses are compared about the pelvis: "subtract".
PAPERS_ROOT: dict[str, Root] = {
    "liftformer": "keep",
    "mixste": "keep",
    "poseformer": "keep",
    "poseformer-sta": "keep",
    "strided": "zero",
}
# The order of the papers' tables.
H36M_ACTIONS: tuple[str, ...] = (
    "Directions",
    "Discussion",
    "Eating",
    "Greeting",
    "Phoning",
    "Photo",
    "Posing",
    "Purchases",
    "Sitting",
    "SittingDown",
    "Smoking",
    "Waiting",
    "WalkDog",
    "Walking",
    "WalkTogether",
)


class Clip(Protocol):
    """What is read of a clip of a test set (``lifters3d.data.clips``)."""

    name: str
    subject: str
    action: str
    joints: np.ndarray | None  # (F, J, 3) metres, camera axes
    valid: np.ndarray  # (F,) bool
    frame_rate: float | None  # frames/s


@dataclass(frozen=True)
class Errors:
    """Mean errors of some frames; PCK and AUC are None where the protocol has none.

    NaN: there is nothing to measure (no two consecutive valid frames in any clip; no frame rate).
    """

    frames: int
    mpjpe_mm: float
    p_mpjpe_mm: float
    n_mpjpe_mm: float
    mpjve_mm_per_frame: float
    mpjve_mm_per_s: float
    pck_150mm_percent: float | None
    auc_percent: float | None
    joint_mpjpe_mm: np.ndarray  # (J,)
    joint_p_mpjpe_mm: np.ndarray  # (J,)
    joint_mpjve_mm_per_frame: np.ndarray  # (J,)


@dataclass(frozen=True)
class Results:
    """Errors by group (action or sequence), and over all of them.

    ``mean`` is the plain mean of the groups, ``pooled`` counts every frame alike; ``headline`` is
    the one that papers report for the protocol.
    """

    protocol: str
    root: Root
    group_kind: str  # "action" or "sequence"
    joint_names: tuple[str, ...]
    groups: dict[str, Errors]
    mean: Errors
    pooled: Errors
    headline_is: Literal["mean", "pooled"]

    @property
    def headline(self) -> Errors:
        return self.mean if self.headline_is == "mean" else self.pooled


def action_of(clip: Clip) -> str:
    """The action without its take: "Walking" of "Walking 1"."""
    return clip.action.split(" ")[0]


@dataclass(frozen=True)
class _Rules:
    kind: str
    group: Callable[[Clip], str]
    headline: Literal["mean", "pooled"]
    scores: bool  # PCK and AUC


PROTOCOLS: dict[str, _Rules] = {
    "h36m": _Rules("action", action_of, "mean", scores=False),
    "humaneva": _Rules("action", lambda clip: f"{action_of(clip)} {clip.subject}", "mean", False),
    "3dhp": _Rules("sequence", lambda clip: clip.name, "pooled", scores=True),
}


def evaluate_clips(
    predictions: Iterable[np.ndarray],
    clips: Iterable[Clip],
    *,
    root: Root,
    protocol: str = "h36m",
    joint_names: Sequence[str] = JOINT_NAMES,
    root_joint: int = HIP,
) -> Results:
    """Errors of a whole test set.

    Parameters
    ----------
    predictions : (F, J, 3) metres a clip, in the clips' order and axes, root-relative but for what
        ``root`` does to it; a generator keeps memory small: clips are taken one by one
    clips : with the attributes of ``Clip``; frames that are not valid are not looked at
    root : what to do with the predicted root: "subtract" it from all joints, set it to "zero" and
        leave the other joints, or "keep" it with its error (``PAPERS_ROOT``: what each paper does)
    protocol : "h36m", "humaneva" or "3dhp"; see the module
    joint_names, root_joint : the skeleton of predictions and clips; for PCK and AUC it must have
        the 17 joints of Human3.6M (root 0) or of MPI-INF-3DHP (root 14), each in its own order

    Velocities (MPJVE) are taken between consecutive valid frames of a clip, and a clip's mean
    counts by the number of its valid frames.

    Raises
    ------
    Pose3dError
        if predictions do not fit the clips or are not finite, or if there is no valid frame.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol {protocol!r} is none of {', '.join(PROTOCOLS)}")
    if root not in get_args(Root):
        raise ValueError(f"root {root!r} is none of {', '.join(get_args(Root))}")
    rules = PROTOCOLS[protocol]
    scored = _scored_joints(len(joint_names), root_joint) if rules.scores else ()
    groups: dict[str, _Sums] = {}
    for predicted, clip in zip_longest(predictions, clips):
        if predicted is None or clip is None:
            raise Pose3dError("as many predictions as clips are needed, one each")
        sums = _clip_sums(predicted, clip, root, root_joint, len(joint_names), scored)
        group = rules.group(clip)
        groups[group] = groups[group] + sums if group in groups else sums
    groups = {name: sums for name, sums in groups.items() if sums.frames}
    if not groups:
        raise Pose3dError("nothing to evaluate: no clip has a valid frame")
    errors = {name: groups[name].errors() for name in sorted(groups, key=_table_order)}
    return Results(
        protocol=protocol,
        root=root,
        group_kind=rules.kind,
        joint_names=tuple(joint_names),
        groups=errors,
        mean=_plain_mean(list(errors.values())),
        pooled=reduce(add, groups.values()).errors(),
        headline_is=rules.headline,
    )


@dataclass(frozen=True)
class _Sums:
    """Sums over frames, in mm; two of them add up."""

    frames: int
    position: np.ndarray  # (J,)
    aligned: np.ndarray  # (J,)
    scaled: np.ndarray  # (J,)
    moving_frames: int  # of clips that have a velocity
    velocity: np.ndarray  # (J,) per frame
    velocity_per_s: np.ndarray  # (J,)
    scored: int  # joints that PCK and AUC count
    below: np.ndarray  # (31,) how many of them have an error below each threshold

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def errors(self) -> Errors:
        position, aligned = self.position / self.frames, self.aligned / self.frames
        nothing = np.full_like(self.velocity, np.nan)
        moving = self.moving_frames
        velocity = self.velocity / moving if moving else nothing
        per_s = self.velocity_per_s / moving if moving else nothing
        shares = 100 * self.below / self.scored if self.scored else None
        return Errors(
            frames=self.frames,
            mpjpe_mm=float(position.mean()),
            p_mpjpe_mm=float(aligned.mean()),
            n_mpjpe_mm=float(self.scaled.mean() / self.frames),
            mpjve_mm_per_frame=float(velocity.mean()),
            mpjve_mm_per_s=float(per_s.mean()),
            pck_150mm_percent=None if shares is None else float(shares[_PCK]),
            auc_percent=None if shares is None else float(shares.mean()),
            joint_mpjpe_mm=position,
            joint_p_mpjpe_mm=aligned,
            joint_mpjve_mm_per_frame=velocity,
        )


_PCK = AUC_THRESHOLDS_MM.index(PCK_THRESHOLD_MM)


def _clip_sums(
    predicted: np.ndarray,
    clip: Clip,
    root: Root,
    root_joint: int,
    joints: int,
    scored: Sequence[int],
) -> _Sums:
    if clip.joints is None:
        raise Pose3dError(f"clip {clip.name}: has no true 3D poses, so there are no errors")
    predicted, valid = np.asarray(predicted), np.asarray(clip.valid, bool)
    wanted = (len(valid), joints, 3)
    for what, found in (("the prediction", predicted.shape), ("the truth", clip.joints.shape)):
        if found != wanted:
            raise Pose3dError(f"clip {clip.name}: {what} has shape {found}, not {wanted}")
    p = 1000 * predicted[valid].astype(np.float64)
    t = 1000 * clip.joints[valid].astype(np.float64)
    for what, poses in (("the prediction", p), ("the truth", t)):
        if bad := np.count_nonzero(~np.isfinite(poses).all(axis=(-1, -2))):
            raise Pose3dError(f"clip {clip.name}: {what} is not finite in {bad} valid frames")
    t = t - t[:, root_joint, None]
    if root == "subtract":
        p = p - p[:, root_joint, None]
    elif root == "zero":
        p[:, root_joint] = 0
    frames, errors = len(p), joint_errors(p, t)
    # Only the moves from a valid frame to a valid one right after it.
    consecutive = np.diff(np.flatnonzero(valid)) == 1
    velocity = velocity_per_s = np.zeros(joints)
    if consecutive.any():
        velocity = frames * velocity_errors(p, t)[consecutive].mean(axis=0)
        velocity_per_s = velocity * (clip.frame_rate or np.nan)
    ordered = np.sort(errors[:, list(scored)], axis=None)
    return _Sums(
        frames=frames,
        position=errors.sum(axis=0),
        aligned=joint_errors(align_similarity(p, t), t).sum(axis=0),
        scaled=joint_errors(align_scale(p, t), t).sum(axis=0),
        moving_frames=frames if consecutive.any() else 0,
        velocity=velocity,
        velocity_per_s=velocity_per_s,
        scored=ordered.size,
        below=np.searchsorted(ordered, AUC_THRESHOLDS_MM, side="left"),
    )


def _plain_mean(errors: list[Errors]) -> Errors:
    """Every group counts alike; NaN if a group has none."""

    def mean(name: str) -> float | np.ndarray | None:
        values = [getattr(one, name) for one in errors]
        if values[0] is None:
            return None
        middle = np.mean(values, axis=0)
        return middle if middle.ndim else float(middle)

    means = {field.name: mean(field.name) for field in fields(Errors)}
    return Errors(**means | {"frames": sum(one.frames for one in errors)})


def _scored_joints(joints: int, root_joint: int) -> tuple[int, ...]:
    if joints == 17 and root_joint == HIP:
        return SCORED_JOINTS_H36M
    if joints == 17 and root_joint == 14:
        return SCORED_JOINTS_3DHP
    raise Pose3dError(
        f"PCK and AUC need the 17 joints of Human3.6M or MPI-INF-3DHP, not {joints} with root "
        f"{root_joint}"
    )


def _table_order(group: str) -> tuple[int, str]:
    return (H36M_ACTIONS.index(group) if group in H36M_ACTIONS else len(H36M_ACTIONS), group)
