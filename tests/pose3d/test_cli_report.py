"""`pose3d report` and `pose3d view`: pages from results, and what is refused in a line."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.walk_result import WALK, walk_result


@pytest.fixture
def result(here):
    return walk_result(12).save("walk_pose3d.npz")


@pytest.fixture
def opened(monkeypatch):
    """What is opened in the browser."""
    found = []
    monkeypatch.setattr("webbrowser.open", lambda url: found.append(url) or True)
    return found


def test_report(command, here, result, opened):
    code, out, err = command("report", result)
    assert (code, out) == (0, "walk_report.html\n")
    assert err == "no video of the result was found: --video adds one to the page\n"
    video = WALK.with_suffix(".mp4")
    asked = command("report", result, "--video", video, "-o", "new/page.HTML", "-q")
    assert asked == (0, "new/page.HTML\n", "")
    assert "<h1>walk</h1>" in Path("walk_report.html").read_text()
    gained = Path("new/page.HTML").stat().st_size - Path("walk_report.html").stat().st_size
    assert gained > 4 / 3 * video.stat().st_size
    assert opened == []


def test_nobody(command, here):
    nobody = walk_result(5)
    nobody.joints3d[:] = np.nan
    nobody.save("empty.npz")
    assert command("report", "empty.npz", "-q") == (0, "empty_report.html\n", "")
    assert "nobody was found" in Path("empty_report.html").read_text()


def test_view(command, here, opened):
    Path("there").mkdir()
    result = walk_result(5).save("there/b c_pose3d.npz")
    page = here / "there" / "b c_report.html"
    assert command("view", result, "--no-open", "-q") == (0, f"{Path('there') / page.name}\n", "")
    assert page.is_file()
    assert opened == []
    assert command("view", result, "-q")[0] == 0
    assert command("view", page) == (0, f"{page}\n", "")
    assert opened == [page.as_uri()] * 2


def test_view_without_a_browser(command, here, result, monkeypatch):
    monkeypatch.setattr("webbrowser.open", lambda url: False)
    code, out, err = command("view", result, "-q")
    assert (code, out) == (0, "walk_report.html\n")
    assert "no browser was found" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "absent.npz"], r"absent\.npz: cannot read the result: No such file"),
        (["report", "text.npz"], r"text\.npz: not a pose3d result"),
        (["view", "text.npz"], r"text\.npz: not a pose3d result"),
        (["view", "absent.html"], r"absent\.html: no such page"),
        (["report", "walk_pose3d.npz", "-o", "a.pdf"], r"a\.pdf: the report is a web page"),
        (["report", "walk_pose3d.npz", "-o", "folder.html"], r"folder\.html is a folder"),
        (["report", "walk_pose3d.npz", "-o", "text.npz/a.html"], r"text\.npz is not a folder"),
        (["report", "walk_pose3d.npz", "--video", "absent.mp4"], r"no such file: absent\.mp4"),
        (["report", "walk_pose3d.npz", "--video", "text.npz"], r"text\.npz"),
        (["report", "linked.html", "-o", "linked.html"], "is the input itself"),
        (["report"], "RESULT"),
    ],
)
def test_bad_input(command, here, result, opened, arguments, words):
    Path("folder.html").mkdir()
    Path("text.npz").write_text("This is no result.\n")
    Path("linked.html").symlink_to(result)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in here.iterdir())
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert re.search(words, err)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in here.iterdir()) == before
    assert opened == []
