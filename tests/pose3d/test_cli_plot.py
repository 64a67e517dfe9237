"""`pose3d plot`: a picture from a result, and what is refused in a line."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.walk_result import walk_result


@pytest.fixture
def result(here):
    return walk_result(40).save("walk_pose3d.npz")


def test_pictures(command, here, result):
    assert command("plot", result) == (0, "angles.png\n", "")
    chosen = ["--angles", "knee, hip", "--speed", "wrist", "--height", "ankle", "--person", 1]
    assert command("plot", result, *chosen, "-o", "new/walk.svg") == (0, "new/walk.svg\n", "")
    drawn = Path("new/walk.svg").read_text()
    # Text is drawn as shapes; the times of one line's points are many.
    assert drawn.count("<path") > 20
    assert Path("angles.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in here.iterdir()) == ["angles.png", "new", result.name]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.npz"], r"absent\.npz: cannot read the result"),
        (["text.npz"], r"text\.npz: not a pose3d result"),
        (["empty.npz"], r"empty\.npz: nobody was found in any frame"),
        (
            ["walk_pose3d.npz", "--angles", "nees"],
            r"walk_pose3d\.npz: unknown angle 'nees': choose",
        ),
        (["walk_pose3d.npz", "--speed", "toe"], "unknown joint 'toe': choose of pelvis, hip"),
        (["walk_pose3d.npz", "--angles", ","], "nothing to draw: choose angles"),
        (["walk_pose3d.npz", "--person", "4"], r"no person 4 in it: it has 1"),
        (["walk_pose3d.npz", "-o", "a.jpg"], r"a\.jpg: choose a name that ends in \.png, \.pdf"),
        (["walk_pose3d.npz", "-o", "folder.png"], r"folder\.png is a folder"),
        (["walk_pose3d.npz", "-o", "text.npz/a.png"], r"text\.npz is not a folder"),
        (["linked.png", "-o", "linked.png"], "is the input itself"),
        ([], "RESULT"),
    ],
)
def test_bad_input(command, here, result, arguments, words):
    Path("folder.png").mkdir()
    Path("text.npz").write_text("This is no result.\n")
    Path("linked.png").symlink_to(result)
    nobody = walk_result(5)
    nobody.joints3d[:] = np.nan
    nobody.save("empty.npz")
    before = sorted((path.name, path.stat().st_mtime_ns) for path in here.iterdir())
    code, out, err = command("plot", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert re.search(words, err)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in here.iterdir()) == before
