"""`pose3d compare`: tables, JSON and a picture of two results, and what is refused in a line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.walk_result import WALK, walk_result


@pytest.fixture
def result(here):
    """The walk with its left wrist 34 mm off."""
    result = walk_result(40)
    result.joints3d[:, :, 13, 0] += 0.034
    return result.save("walk_pose3d.npz")


def test_a_result_against_the_truth(command, here, result):
    targets = ["-o", "new/errors.png", "--json", "errors.json"]
    code, out, err = command("compare", result, WALK, *targets)
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines() if line]
    assert lines[0] == ["walk_pose3d.npz", "against", "walk.npz"]
    (person,) = [line for line in lines if line[:2] == ["person", "1"]]
    assert (person[2], person[-1]) == ("2.0", "40")
    rows = {line[0]: line[1] for line in lines if line[0] in ("LWrist", "RWrist", "Hip")}
    assert rows == {"LWrist": "34.0", "RWrist": "0.0", "Hip": "0.0"}
    assert "40 frames at the same time, of 40 in walk_pose3d.npz and 225 in walk.npz." in out
    assert out.endswith("\nerrors.json\nnew/errors.png\n")
    assert json.loads(Path("errors.json").read_text())["all"]["mpjpe_mm"] == pytest.approx(2, 1e-3)
    assert Path("new/errors.png").read_bytes().startswith(b"\x89PNG")


def test_two_results_of_one_name(command, here, result):
    Path("other").mkdir()
    walk_result(40, people=2).save("other/walk_pose3d.npz")
    code, out, err = command("compare", result, "other/walk_pose3d.npz")
    assert (code, err) == (0, "")
    assert out.startswith("walk_pose3d.npz against other/walk_pose3d.npz\n")
    assert "Left out: person 2 of other/walk_pose3d.npz, without a match.\n" in out
    assert sorted(path.name for path in here.iterdir()) == ["other", "walk_pose3d.npz"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.npz", "walk_pose3d.npz"], r"absent\.npz: cannot read the result"),
        (["walk_pose3d.npz", "text.npz"], r"text\.npz: not a pose3d result"),
        (["walk_pose3d.npz", "empty.npz"], r"empty\.npz holds no pose"),
        (["walk_pose3d.npz", "later.npz"], "no frame at the same time in both"),
        (["walk_pose3d.npz", "later.npz", "-o", "a.gif"], r"a\.gif: choose a name that ends in"),
        (["walk_pose3d.npz", "empty.npz", "-o", "folder.png"], r"folder\.png is a folder"),
        (["walk_pose3d.npz", "empty.npz", "--json", "empty.npz"], "is the input itself"),
        (["walk_pose3d.npz"], "B"),
    ],
)
def test_bad_input(command, here, result, arguments, words):
    Path("folder.png").mkdir()
    Path("text.npz").write_text("This is no result.\n")
    nobody = walk_result(5)
    nobody.joints3d[:] = np.nan
    nobody.save("empty.npz")
    walk_result(5, time_s=90 + np.arange(5) / 30).save("later.npz")
    before = sorted((path.name, path.stat().st_mtime_ns) for path in here.iterdir())
    code, out, err = command("compare", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert re.search(words, err)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in here.iterdir()) == before
