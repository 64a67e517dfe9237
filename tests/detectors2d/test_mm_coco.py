"""Annotation files of COCO's form: what is read of them, and the line that refuses the others."""

import json

import cv2
import numpy as np
import pytest

from detectors2d.mm.coco import Picture, read_boxes, read_coco, read_picture
from tests.detectors2d.stick_figures import write_set
from weights.errors import Pose3dError


@pytest.fixture
def file(tmp_path):
    return write_set(tmp_path, pictures=2)


@pytest.fixture
def images(file):
    return file.parent / "images"


def the_error(function) -> str:
    with pytest.raises(Pose3dError) as caught:
        function()
    message = str(caught.value)
    assert "\n" not in message
    return message


def rewrite(file, change):
    content = json.loads(file.read_text())
    changed = change(content)
    file.write_text(json.dumps(content if changed is None else changed))


def test_people_of_a_file(file, images):
    def change(content):
        rows = content["annotations"]
        rows[0]["bbox"] = [-10, 20, 50, 300]  # beyond the left and the bottom of 160 x 128
        rows[1]["iscrowd"] = 1
        rows[2]["num_keypoints"] = 0

    rewrite(file, change)
    data = read_coco(file, images)
    assert data.people.image_ids.tolist() == [10, 11]
    np.testing.assert_array_equal(data.people.xyxy[0], [0, 20, 40, 127])
    assert data.people.scores.tolist() == [1, 1]
    assert data.category == 1
    assert data.pictures[11] == Picture(images / "000011.png", (160, 128))


def test_pictures_are_rgb_and_of_their_size(tmp_path):
    path = tmp_path / "red.png"
    cv2.imwrite(str(path), np.full((4, 6, 3), (0, 0, 255), np.uint8))
    assert read_picture(Picture(path, (6, 4)))[0, 0].tolist() == [255, 0, 0]
    message = the_error(lambda: read_picture(Picture(path, (4, 6))))
    assert message == f"{path}: 6x4 px, but its annotations say 4x6"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: [], "not annotations of COCO's form"),
        (lambda c: {"images": []}, "not annotations of COCO's form"),
        (lambda c: {**c, "annotations": []}, "holds no person with annotated joints (2 images)"),
        (lambda c: c["annotations"][3].pop("area"), "annotation 3 lacks area"),
        (lambda c: c["annotations"][0].update(keypoints=[1.0] * 42), "must be 51 finite numbers"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, "3", 4]), "bbox must be 4 finite"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, float("nan"), 4]), "bbox must be 4"),
        (lambda c: c["annotations"][1].update(image_id=99), "is of image 99, which the file does"),
        (lambda c: c["annotations"][1].update(id=1), "two annotations have the same id"),
        (lambda c: c["annotations"][1].update(category_id=2), "annotations of 2 categories"),
        (lambda c: c["annotations"].append(7), "annotation 4 lacks id, image_id"),
        (lambda c: c["images"][1].update(id=10), "image 1 has the id of another, 10"),
        (lambda c: c["images"][1].update(width=0), "id, width and height are whole numbers"),
        (lambda c: c["images"][1].update(file_name="x.png"), "lacks 1 of 2 pictures, the first is"),
        (lambda c: c["images"][1].update(file_name="/x/y.png"), "the first is /x/y.png; --images"),
    ],
)
def test_files_that_are_refused(file, images, change, said):
    def changed(content):
        new = change(content)
        return new if isinstance(new, dict | list) and not isinstance(new, float) else None

    rewrite(file, changed)
    assert said in the_error(lambda: read_coco(file, images))


def test_what_is_no_file_or_no_picture(file, images):
    missing = file.parent / "nowhere.json"
    assert the_error(lambda: read_coco(missing, images)).startswith(f"{missing}: cannot be read")
    assert "no such folder" in the_error(lambda: read_coco(file, file.parent / "nowhere"))
    (images / "000011.png").write_bytes(b"text")
    assert "000011.png: not a picture" in the_error(lambda: read_coco(file, images))
    file.write_text("{")
    assert f"{file}: not JSON" in the_error(lambda: read_coco(file, images))


def test_boxes_of_a_detector(file, images, tmp_path):
    data = read_coco(file, images)
    rows = [
        {"image_id": 11, "category_id": 1, "bbox": [5, 6, 10, 20], "score": 0.5},
        {"image_id": 10, "category_id": 3, "bbox": [0, 0, 9, 9], "score": 0.9},  # no person
        {"image_id": 77, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.9},  # elsewhere
    ]
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(rows))
    boxes = read_boxes(path, data)
    assert boxes.image_ids.tolist() == [11]
    assert boxes.xyxy.tolist() == [[5, 6, 15, 26]]
    assert boxes.scores.tolist() == [0.5]
    for wrong, said in (
        ({"boxes": []}, "not boxes of COCO's form"),
        (rows[1:], "no box of a person in the pictures of"),
        ([{**rows[0], "score": None}], "box 0: score must be 1 finite numbers"),
        ([{"image_id": 11}], "box 0 lacks category_id, bbox, score"),
        ([{**rows[0], "image_id": [1]}], "box 0: image_id and category_id must be whole numbers"),
    ):
        path.write_text(json.dumps(wrong))
        assert said in the_error(lambda: read_boxes(path, data))
