"""How well a detector finds the people of pictures whose people are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors2d.people.centernet import overlaps
from detectors2d.people.protocol import Found
from detectors2d.training.people.compose import Sample

SAME = 0.5  # intersection over union of a box that finds a person
SURE = 0.5  # score: that of boxes which begin a new person in the tracker


def evaluate(found: Sequence[Found], samples: Sequence[Sample]) -> dict[str, float]:
    """Measures of what was ``found`` in each of some samples, at an overlap of 0.5 or more.

    Returns
    -------
    "ap50" average precision, the area under precision over recall, made monotonous (as COCO's, with
    all points); with a score of 0.5 or more: "recall", "alarms" false ones a picture, and
    "recall_small", "recall_middle", "recall_large" of people lower than a quarter of the picture,
    lower than half of it, and others; NaN where nobody is.
    """
    scores, hits, heights, score_of = _matched(found, samples)
    caught = score_of >= SURE
    row = {
        "ap50": average_precision(scores, hits, len(heights)),
        "alarms": float(((scores >= SURE) & ~hits).sum() / len(samples)),
        "recall": _share(caught),
    }
    for name, low, high in (("small", 0, 0.25), ("middle", 0.25, 0.5), ("large", 0.5, np.inf)):
        row[f"recall_{name}"] = _share(caught[(heights >= low) & (heights < high)])
    return row


def best_score(found: Sequence[Found], samples: Sequence[Sample]) -> float:
    """The least score to heed for the highest F1, twice the hits over all boxes and people.

    0.5 if nobody was found.
    """
    scores, hits, heights, _ = _matched(found, samples)
    if not hits.any():
        return SURE
    order = np.argsort(-scores, kind="stable")
    counts = np.arange(1, len(order) + 1)
    f1 = 2 * np.cumsum(hits[order]) / (counts + len(heights))
    return float(scores[order][f1.argmax()])


def _matched(
    found: Sequence[Found], samples: Sequence[Sample]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores of boxes and whether they found somebody; people's heights and their boxes' scores.

    Every box, the best first, finds the person whom it overlaps most, of those not found yet; boxes
    that find nobody but overlap somebody doubtful are left out. Heights are shares of the picture.
    """
    scores, hits, heights, score_of = [], [], [], []
    for (boxes, sure), sample in zip(found, samples, strict=True):
        free = np.ones(len(sample.boxes), bool)
        best = np.zeros(len(sample.boxes))
        of_people, of_doubtful = (overlaps(boxes, b) for b in (sample.boxes, sample.doubtful))
        for row in np.argsort(-sure, kind="stable"):
            likeness = np.where(free, of_people[row], 0)
            hit = likeness.max(initial=0) >= SAME
            if hit:
                person = int(likeness.argmax())
                free[person], best[person] = False, sure[row]
            elif of_doubtful[row].max(initial=0) >= SAME:
                continue
            scores.append(sure[row])
            hits.append(hit)
        heights += ((sample.boxes[:, 3] - sample.boxes[:, 1]) / sample.image.shape[0]).tolist()
        score_of += best.tolist()
    return np.array(scores), np.array(hits, bool), np.array(heights), np.array(score_of)


def average_precision(scores: np.ndarray, hits: np.ndarray, people: int) -> float:
    """Of detections with scores (n,), right or not (n,) bool, where so many people are."""
    if not people:
        return float("nan")
    hits = hits[np.argsort(-scores, kind="stable")]
    right = np.cumsum(hits)
    precision = right / np.arange(1, len(hits) + 1)
    best_later = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_later[hits].sum() / people)


def _share(caught: np.ndarray) -> float:
    return float(caught.mean()) if len(caught) else float("nan")
