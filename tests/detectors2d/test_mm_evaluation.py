"""Average precision of 2D joints: known answers, by hand and by COCO's own program."""

import json
from contextlib import redirect_stdout
from io import StringIO

import numpy as np
import pytest

from detectors2d.mm.coco import Boxes, read_coco
from tests.detectors2d.stick_figures import write_set

for package in ("mmengine", "mmcv", "mmdet", "mmpose"):
    pytest.importorskip(package)

from detectors2d.mm.evaluation import average_precision, evaluate  # noqa: E402

# Of the nose, an eye, ear, shoulder, elbow, wrist, hip, knee and ankle: cocodataset.org.
SIGMAS = np.array([0.026, *np.repeat([25, 35, 79, 72, 62, 107, 87, 89], 2) / 1000])
NAMES = ["AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL"]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("people"), pictures=5)


@pytest.fixture(scope="module")
def data(file):
    return read_coco(file, file.parent / "images")


def truth(file):
    """Joints (n, 17, 2) and areas (n,) of the annotations."""
    rows = json.loads(file.read_text())["annotations"]
    joints = np.array([row["keypoints"] for row in rows]).reshape(-1, 17, 3)
    return joints[..., :2].astype(np.float32), np.array([row["area"] for row in rows])


class Knowing:
    """Answers with the joints of whoever is in the box, and its own certainty."""

    def __init__(self, boxes, joints):
        self.known = {tuple(box): each for box, each in zip(boxes.tolist(), joints, strict=True)}
        self.calls = []

    def estimate(self, images, boxes):
        self.calls.append(len(images))
        assert all(image.shape == (128, 160, 3) for image in images)
        return [
            (
                np.stack([self.known[tuple(box)] for box in rows.tolist()]),
                np.full((len(rows), 17), 0.8, np.float32),
            )
            for rows in boxes
        ]


def test_the_truth_itself(data, file):
    joints, _ = truth(file)
    told = []
    order = np.random.default_rng(0).permutation(len(joints))  # two people of a picture apart
    shuffled = Boxes(*(part[order] for part in vars(data.people).values()))
    pose = Knowing(data.people.xyxy, joints)
    results = evaluate(pose, data, shuffled, lambda done, people: told.append((done, people)))
    assert list(results) == NAMES
    # All people are of medium size: between 32 x 32 and 96 x 96 px.
    assert results == {name: None if name in ("APL", "ARL") else 1.0 for name in NAMES}
    assert pose.calls == [5]
    assert told == [(10, 10)]


@pytest.mark.parametrize(("oks", "thresholds"), [(0.72, 5), (0.97, 10), (0.49, 0)])
def test_displaced_by_a_known_oks(data, file, oks, thresholds):
    """OKS = mean of exp(-d^2 / (2 area (2 sigma)^2)); precision over 0.50, 0.55, ..., 0.95."""
    joints, areas = truth(file)
    distances = 2 * SIGMAS * np.sqrt(-2 * np.log(oks) * areas[:, None])
    angles = np.random.default_rng(1).uniform(0, 2 * np.pi, distances.shape)
    shifts = distances[..., None] * np.stack([np.cos(angles), np.sin(angles)], -1)
    scores = np.full(joints.shape[:2], 0.9, np.float32)
    results = average_precision(data, data.people, (joints + shifts).astype(np.float32), scores)
    assert results["AP"] == pytest.approx(thresholds / 10)
    assert results["AR"] == pytest.approx(thresholds / 10)
    assert results["AP50"] == float(oks > 0.5)
    assert results["AP75"] == float(oks > 0.75)


def test_as_cocos_own_program(data, file):
    """Errors of all sizes, a false find, a person who was not found, joints that are not there."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    content = json.loads(file.read_text())
    for row in content["annotations"][::3]:
        row["keypoints"][18:30] = [0] * 12
        row["num_keypoints"] = 13
    content["annotations"][4]["area"] = 10000.0  # a large one
    changed = file.with_name("changed.json")
    changed.write_text(json.dumps(content))
    data = read_coco(changed, data.folder)

    generator = np.random.default_rng(2)
    joints, _ = truth(file)
    noise = generator.normal(0, 1, joints.shape) * np.linspace(0.5, 8, 10)[:, None, None]
    joints = (joints + generator.permutation(noise)).astype(np.float32)
    scores = generator.uniform(0, 1, (10, 17)).astype(np.float32)
    certain = generator.uniform(0.3, 1, 10).astype(np.float32)
    rows = [0, 1, 2, 3, 4, 5, 6, 7, 8, 8]
    joints = joints[rows]
    joints[9] = joints[9, :, ::-1] / 2  # in the corner, lying
    boxes = Boxes(data.people.image_ids[rows], data.people.xyxy[rows], certain)
    results = average_precision(data, boxes, joints, scores)

    said = [
        {
            "image_id": int(boxes.image_ids[i]),
            "category_id": 1,
            "keypoints": np.column_stack([joints[i], scores[i]]).ravel().tolist(),
            "score": float(certain[i] * scores[i][scores[i] > 0.2].mean()),
        }
        for i in range(10)
    ]
    with redirect_stdout(StringIO()):
        known = COCO(str(changed))
        program = COCOeval(known, known.loadRes(said), "keypoints")
        program.evaluate()
        program.accumulate()
        program.summarize()
    expected = dict(zip(NAMES, program.stats, strict=True))
    assert results == pytest.approx(expected, abs=1e-9)
    assert 0.1 < results["AP"] < 0.9
    assert results["APL"] is not None
