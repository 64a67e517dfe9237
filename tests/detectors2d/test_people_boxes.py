"""Boxes from files: CSV, JSON and NPZ tables, and every way in which they can be wrong."""

import json

import numpy as np
import pytest

from detectors2d.people import build_people
from weights.errors import Pose3dError

PICTURE = np.zeros((120, 200, 3), np.uint8)
ROWS = [
    [3, 5.5, 6, 50, 80, 0.25],
    [0, 10, 20, 30, 40, 0.5],
    [0, -4, 0, 250, 119, 1],  # beyond the picture
]
NAMES = ["frame", "x1", "y1", "x2", "y2", "score"]


def csv_text(rows, header=None):
    lines = [",".join(str(value) for value in row) for row in rows]
    return "\n".join(([",".join(header)] if header else []) + lines) + "\n"


def files(folder):
    """The same boxes in every form."""
    turned = [5, 0, 4, 3, 2, 1]
    texts = {
        "plain.csv": csv_text(ROWS),
        "header.csv": "\ufeff" + csv_text(ROWS, NAMES),
        "turned.csv": csv_text(
            [[row[i] for i in turned] for row in ROWS], [NAMES[i] for i in turned]
        ),
        "spaces.csv": csv_text(ROWS, [f" {name.upper()} " for name in NAMES]).replace(",", ", "),
        "lists.json": json.dumps(ROWS),
        "objects.json": json.dumps([dict(zip(NAMES, row, strict=True)) for row in ROWS]),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    columns = np.array(ROWS, np.float64).T
    arrays = dict(zip(NAMES, columns, strict=True))
    np.savez(folder / "arrays.npz", **{**arrays, "frame": arrays["frame"].astype(np.int64)})
    return [*texts, "arrays.npz"]


def test_every_form_gives_the_same(tmp_path):
    for name in files(tmp_path):
        people = build_people(f"boxes:{tmp_path / name}")
        found = (
            people.detect([PICTURE]) + people.detect([PICTURE] * 2) + people.detect([PICTURE] * 2)
        )
        assert [len(boxes) for boxes, _ in found] == [2, 0, 0, 1, 0], name
        assert found[0][0].tolist() == [[10, 20, 30, 40], [-4, 0, 250, 119]]
        assert found[0][1].tolist() == [0.5, 1]
        assert found[3][0].tolist() == [[5.5, 6, 50, 80]]
        assert found[3][1].tolist() == [0.25]
        for boxes, scores in found:
            assert boxes.dtype == scores.dtype == np.float32
            assert boxes.shape == (len(scores), 4)


def test_without_scores(tmp_path):
    (tmp_path / "boxes.csv").write_text(csv_text([row[:5] for row in ROWS], NAMES[:5]))
    (tmp_path / "boxes.json").write_text(json.dumps([row[:5] for row in ROWS]))
    for name in ("boxes.csv", "boxes.json"):
        ((_, scores),) = build_people(f"boxes:{tmp_path / name}").detect([PICTURE])
        assert scores.tolist() == [1, 1]


def the_error(path, content=None) -> str:
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(Pose3dError) as caught:
        build_people(f"boxes:{path}")
    message = str(caught.value)
    assert message.startswith(f"{path}")
    assert "\n" not in message
    assert len(message) < 400
    return message.removeprefix(str(path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ": holds no boxes"),
        ("frame,x1,y1,x2,y2\n", ": holds no boxes"),
        ("0,1,2,3\n", ", line 1: 4 values, not frame, x1, y1, x2, y2"),
        ("0,1,2,3,4\n0,1,2,3,4,1,7\n", ", line 2: 7 values"),
        ("frame,x1,y1,x2,y2\n0,1,2,3\n", "line 2: 4 values under 5 names"),
        ("frame,x,y,w,h\n0,1,2,3,4\n", "the columns are frame, x, y, w, h, not frame, x1"),
        ("0,1,2,3,4\n1,1,two,3,4\n", ", line 2: y1 is 'two', not a number"),
        ("0,1,2,nan,4\n", ", line 1: x2 is 'nan', not a number"),
        ("0,1,2,,4\n", ", line 1: x2 is '', not a number"),
        ("-1,1,2,3,4\n", ", line 1: frame is -1, but frames are counted 0, 1, 2"),
        ("1.5,1,2,3,4\n", "frame is 1.5"),
        ("0,10,20,5,30\n", "the box 10, 20, 5, 30 is empty"),
        ("0,1,2,3,4,90\n", "score is 90, not within 0 and 1"),
        ("0,-1e308,2,1e308,4\n", ", line 1: x1 is -1e+308, beyond 1e+09"),
        (b"\xff\xfe\x00\x01", "not a table of boxes"),
    ],
)
def test_wrong_tables(tmp_path, content, said):
    assert said in the_error(tmp_path / "boxes.csv", content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", ": not a JSON file"),
        ("{}", ": not a list of boxes"),
        ("[]", ": holds no boxes"),
        ("[3]", ", entry 0: not an object or a list"),
        ('[{"frame": 0}]', ", entry 0: the columns are frame, not frame, x1"),
        ("[[0, 1, 2, 3, 4], [0, 1, 2, true, 4]]", ", entry 1: x2 is True, not a number"),
        ("[[0, 1, 2, [3], 4]]", ", entry 0: x2 is [3], not a number"),
        (f"[[0, 1, 2, 1{'0' * 400}, 4]]", ", entry 0: x2 is 1000"),
        ("[[0, 1, 2, null, 4]]", ", entry 0: x2 is None, not a number"),
        ("[" * 100000, ": not a JSON file"),
    ],
)
def test_wrong_json(tmp_path, content, said):
    assert said in the_error(tmp_path / "boxes.json", content)


def test_wrong_archives(tmp_path):
    path = tmp_path / "boxes.npz"
    assert "not a table of boxes" in the_error(path, "no archive")
    arrays = dict.fromkeys(NAMES[:5], np.ones(3))
    np.savez(path, **{**arrays, "x2": np.ones(2)})
    assert "(n,) arrays of one length" in the_error(path)
    np.savez(path, boxes=np.ones((3, 4)))
    assert "the columns are boxes" in the_error(path)
    np.savez(path, **arrays)
    assert ", row 0: the box 1, 1, 1, 1 is empty" in the_error(path)
    np.savez(path, **{**arrays, "x1": np.array([None, 1, 2])})
    assert "not a table of boxes" in the_error(path)


def test_files_that_are_not_there(tmp_path):
    for suffix in (".csv", ".json", ".npz"):
        assert the_error(tmp_path / f"boxes{suffix}") == (
            ": no boxes can be read (No such file or directory)"
        )
    (tmp_path / "folder.csv").mkdir()
    assert "Is a directory" in the_error(tmp_path / "folder.csv")
    assert "must be in a .csv, .json or .npz file" in the_error(tmp_path / "boxes.txt")
