"""Several people followed from frame to frame, while the video is read.

Like ByteTrack (Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection
Box", ECCV 2022): a constant-velocity Kalman filter a person, Hungarian assignment, first of the
sure boxes and then of the unsure ones, and no new person from an unsure box. What is added is what
people need: the pose decides where boxes overlap, and every step takes the time it really took.

Written here, because Roboflow's ``trackers`` (the maintained ByteTrack) needs NumPy 2, which the
rest of this project cannot have yet, brings ``supervision`` along, and compares boxes alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

# Lengths are in heights of the person's box, the natural measure at any distance and resolution.
_BOX_NOISE = 0.04  # standard deviation of a box's middle
_WANDER = 0.3  # heights^2/s^3: power of the white acceleration, how fast velocities change
_START_SPEED = 1.0  # heights/s, standard deviation; a run is 2 to 3
_SIZE_NOISE = 0.12  # of the logarithm of a box's height
_SIZE_KEEPS_S = 0.2  # sizes are averaged over about so long
_POSE_NOISE, _POSE_SPEED = 0.07, 0.5  # how far a joint is from its place, at once and a second on
_POSE_KEEPS_S = 0.5  # a pose seen longer ago says little
_TAIL = 4.0  # degrees of freedom of Student's t, which forgives single wild boxes

# Costs are negative log-likelihoods against those of a box just where it was expected.
_OVERLAP_COST = 2.0  # of boxes that do not overlap at all
_POSE_COST = 6.0  # of poses that have nothing in common
_GATE = 14.0  # a box that costs more is not this person's
_UNSURE_FOR_S = 0.3  # unsure boxes are for people seen at most so long ago
_SUREST = 6  # joints: as many as legs or arms and a head have

_SAME_POSE = 0.75  # similarity of two poses found for one person
_OTHER_POSE = 0.5  # below this similarity, poses in one place are of two people
_COVERED = 0.85  # share of the smaller of two boxes of one person that lies in the other


@dataclass
class _Person:
    """Who is followed. Middle and velocity in px and px/s; log_size of width and height in px."""

    id: int
    seen_s: float
    middle: np.ndarray
    log_size: np.ndarray
    keypoints: np.ndarray
    joint_scores: np.ndarray
    velocity: np.ndarray
    covariance: np.ndarray  # (2, 2) of position and velocity in one coordinate, heights

    @property
    def height(self) -> float:
        return float(np.exp(self.log_size[1]))

    def box_at(self, time_s: float) -> np.ndarray:
        middle = self.middle + self.velocity * (time_s - self.seen_s)
        half = np.exp(self.log_size) / 2
        return np.concatenate([middle - half, middle + half])

    def covariance_at(self, time_s: float) -> np.ndarray:
        step = time_s - self.seen_s
        move = np.array([[1, step], [0, 1]])
        wander = np.array([[step**3 / 3, step**2 / 2], [step**2 / 2, step]])
        return move @ self.covariance @ move.T + _WANDER * wander


def body_score(joint_scores: np.ndarray) -> np.ndarray:
    """(N,): how sure it is that joints with scores (N, J) are of a body, or of a good part of one.

    The mean of the six surest. Trees and chairs had 0.1 to 0.5 in single frames, and 0.41 at most
    on average over a track; people 0.8 and more.
    """
    return np.sort(joint_scores, axis=1)[:, -_SUREST:].mean(1)


class Tracker:
    """Gives the people in every frame the numbers they had before.

    Nothing depends on the frame rate: frames may come at any intervals, and detectors may be left
    out in some (``predict``).

    Parameters
    ----------
    max_lost_s : a person not seen for longer, seconds, is a new one when back
    sure : detections of this score or more may begin a new person
    unsure : those of this score or more, and less than ``sure``, continue who was just there

    The score is that of the box; where those of the joints are known, and the box has ``unsure``
    at least, the geometric mean of it and of ``body_score``: what a detector of boxes takes for
    somebody may be a tree, and the network of joints sees that it is.
    """

    def __init__(self, max_lost_s: float = 1.5, sure: float = 0.5, unsure: float = 0.1) -> None:
        self.max_lost_s, self.sure, self.unsure = max_lost_s, sure, unsure
        self._people: list[_Person] = []
        self._last_id = 0
        self._time_s = -np.inf

    def update(
        self,
        time_s: float,
        boxes: np.ndarray,
        scores: np.ndarray,
        keypoints: np.ndarray | None = None,
        keypoint_scores: np.ndarray | None = None,
    ) -> np.ndarray:
        """Number the detections of the next frame.

        Parameters
        ----------
        time_s : seconds, not before that of the last call
        boxes : (N, 4) px, left, top, right, bottom
        scores : (N,) of the boxes, in [0, 1]
        keypoints : (N, J, 2) px, any order that stays the same, NaN where not found; None if the
            poses are not known
        keypoint_scores : (N, J) in [0, 1]; None counts all joints alike

        Returns
        -------
        (N,) int: the person's number, from 1; -1 for a detection that is nobody's: a second one of
        the same person, or an unsure one that continues nobody.
        """
        boxes, scores = np.asarray(boxes, np.float64), np.asarray(scores, np.float64)
        count = len(boxes)
        points = np.full((count, 0, 2), np.nan) if keypoints is None else keypoints
        points = np.asarray(points, np.float64)
        joints = np.ones(points.shape[:2]) if keypoint_scores is None else keypoint_scores
        joints = np.where(np.isfinite(points).all(-1), np.nan_to_num(joints), 0.0)
        points = np.nan_to_num(points)
        if boxes.shape != (count, 4) or scores.shape != (count,) or len(points) != count:
            raise ValueError(
                f"boxes (N, 4), scores (N,) and keypoints (N, J, 2) are needed, not {boxes.shape}, "
                f"{scores.shape}, {points.shape}"
            )
        if keypoint_scores is not None:
            together = np.sqrt(scores.clip(0, 1) * body_score(joints).clip(0, 1))
            scores = np.where(scores >= self.unsure, together, 0)
        if not time_s >= self._time_s:
            raise ValueError(f"frames must come in order: {time_s} s after {self._time_s} s")
        self._time_s = float(time_s)
        self._people = [
            person for person in self._people if time_s - person.seen_s <= self.max_lost_s
        ]
        ids = np.full(count, -1)
        seen = _Detections(boxes, scores, points, joints)
        usable = seen.without_doubles(np.flatnonzero(scores >= self.unsure))
        sure = usable[scores[usable] >= self.sure]
        missed = self._assign(seen, sure, self._people, ids)
        recent = [person for person in missed if time_s - person.seen_s <= _UNSURE_FOR_S]
        self._assign(seen, usable[scores[usable] < self.sure], recent, ids)
        for row in sure[np.argsort(-scores[sure], kind="stable")]:
            if ids[row] < 0 and not seen.covered(row, np.flatnonzero(ids >= 0)):
                ids[row] = self._begin(seen, row)
        return ids

    def predict(self, time_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Where the people of the last ``update`` are by now; changes nothing.

        For frames in which no detector runs. Who was not seen in the last ``update`` is left out.

        Parameters
        ----------
        time_s : seconds, not before that of the last ``update``

        Returns
        -------
        ids (N,) int and boxes (N, 4) float32 px.
        """
        here = [person for person in self._people if person.seen_s == self._time_s]
        boxes = np.array([person.box_at(time_s) for person in here], np.float32)
        return np.array([person.id for person in here], int), boxes.reshape(-1, 4)

    def _assign(
        self, seen: _Detections, rows: np.ndarray, people: list[_Person], ids: np.ndarray
    ) -> list[_Person]:
        """Give rows to people at the least cost, into ids; returns the people without any."""
        if not len(rows) or not people:
            return people
        cost = np.stack([seen.costs(person, self._time_s)[rows] for person in people])
        # One pair beyond the gate costs as much as any other, and none of them is made.
        pairs = zip(*linear_sum_assignment(np.minimum(cost, _GATE)), strict=True)
        pairs = [(person, rows[column]) for person, column in pairs if cost[person, column] < _GATE]
        for person, row in pairs:
            seen.move(people[person], row, self._time_s)
            ids[row] = people[person].id
        found = {person for person, _ in pairs}
        return [person for number, person in enumerate(people) if number not in found]

    def _begin(self, seen: _Detections, row: int) -> int:
        self._last_id += 1
        self._people.append(
            _Person(
                id=self._last_id,
                seen_s=self._time_s,
                middle=seen.middles[row],
                log_size=seen.log_sizes[row],
                keypoints=seen.keypoints[row],
                joint_scores=seen.joint_scores[row],
                velocity=np.zeros(2),
                covariance=np.diag([_BOX_NOISE**2, _START_SPEED**2]),
            )
        )
        return self._last_id


class _Detections:
    """What was found in one frame. Joints that were not found have score 0."""

    def __init__(
        self, boxes: np.ndarray, scores: np.ndarray, keypoints: np.ndarray, joints: np.ndarray
    ) -> None:
        self.boxes, self.scores, self.keypoints, self.joint_scores = (
            boxes,
            scores,
            keypoints,
            joints,
        )
        self.middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        self.log_sizes = np.log(np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0))

    def costs(self, person: _Person, time_s: float) -> np.ndarray:
        """(N,): how badly each detection continues a person."""
        step = time_s - person.seen_s
        box = person.box_at(time_s)
        variance = person.covariance_at(time_s)[0, 0] + _BOX_NOISE**2
        offset = (self.middles - (box[:2] + box[2:]) / 2) / person.height
        distance = (offset**2).sum(-1) / variance
        # Who has been lost for long may be anywhere, so each single place is less likely for him.
        moved = (_TAIL / 2 + 1) * np.log1p(distance / _TAIL) + np.log(variance / _BOX_NOISE**2)
        grown = ((self.log_sizes[:, 1] - person.log_size[1]) / _SIZE_NOISE) ** 2
        grown = (_TAIL + 1) / 2 * np.log1p(grown / _TAIL)
        apart = 1 - _overlaps(box, self.boxes)[0]
        expected = person.keypoints + person.velocity * step
        reach = np.hypot(_POSE_NOISE, _POSE_SPEED * step) * person.height
        alike = self.pose_similarity(expected, person.joint_scores, reach)
        # An unknown pose is neither like nor unlike.
        unlike = np.exp(-step / _POSE_KEEPS_S) * np.nan_to_num(1 - alike, nan=0.5)
        return moved + grown + _OVERLAP_COST * apart + _POSE_COST * unlike

    def pose_similarity(
        self, keypoints: np.ndarray, joint_scores: np.ndarray, reach: float
    ) -> np.ndarray:
        """(N,) in [0, 1], NaN if no joint is known in both: like OKS, one reach (px) for all."""
        weight = joint_scores * self.joint_scores
        square = ((self.keypoints - keypoints) ** 2).sum(-1) / reach**2
        total = weight.sum(-1)
        alike = (weight * np.exp(-square / 2)).sum(-1)
        return np.divide(alike, total, out=np.full(len(total), np.nan), where=total > 0)

    def likeness(self, row: int) -> np.ndarray:
        """(N,): how much the poses of one frame are like that of one of them."""
        reach = _POSE_NOISE * np.exp(self.log_sizes[row, 1])
        return self.pose_similarity(self.keypoints[row], self.joint_scores[row], reach)

    def without_doubles(self, rows: np.ndarray) -> np.ndarray:
        """The rows less those whose pose a row of higher score has, too."""
        kept: list[int] = []
        for row in rows[np.argsort(-self.scores[rows], kind="stable")]:
            if not (self.likeness(row)[kept] > _SAME_POSE).any():
                kept.append(row)
        return np.sort(np.array(kept, int))

    def covered(self, row: int, rows: np.ndarray) -> bool:
        """Whether a detection seems to be a second one of somebody in rows."""
        inside = _overlaps(self.boxes[row], self.boxes[rows])[1] > _COVERED
        same = ~(self.likeness(row)[rows] < _OTHER_POSE)
        return bool((inside & same).any())

    def move(self, person: _Person, row: int, time_s: float) -> None:
        """A person is where the detection is, as far as both are to be trusted."""
        step = time_s - person.seen_s
        covariance = person.covariance_at(time_s)
        offset = self.middles[row] - person.middle - person.velocity * step
        variance = covariance[0, 0] + _BOX_NOISE**2
        distance = (offset**2).sum() / person.height**2 / variance
        noise = _BOX_NOISE**2 * (_TAIL + distance) / (_TAIL + 2)
        gain = covariance[:, 0] / (covariance[0, 0] + noise)
        person.middle = person.middle + person.velocity * step + gain[0] * offset
        person.velocity = person.velocity + gain[1] * offset
        person.covariance = covariance - np.outer(gain, covariance[0])
        share = 1 - np.exp(-step / _SIZE_KEEPS_S)
        person.log_size = person.log_size + share * (self.log_sizes[row] - person.log_size)
        person.keypoints, person.joint_scores = self.keypoints[row], self.joint_scores[row]
        person.seen_s = time_s


def _overlaps(box: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of one box (4,) with others (N, 4): intersection over union, and over the smaller."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    common = np.maximum(sides, 0).prod(-1)
    area, areas = (box[2:] - box[:2]).prod(), (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    union, smaller = area + areas - common, np.minimum(area, areas)
    return common / np.maximum(union, 1e-9), common / np.maximum(smaller, 1e-9)
