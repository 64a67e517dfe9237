"""The report page: its numbers, its text and its video, read back without the program's help."""

import base64
import hashlib
import itertools
import json
import math
import re
import shutil
import zlib
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

import pipeline.report
from pipeline.process import identify
from pipeline.rendering.clip import clip_of
from pipeline.rendering.layout import make_layout
from pipeline.report import choose_video, write_report
from pipeline.report.html import THREE_VERSION, moments
from pipeline.result import STATUSES
from pipeline.video import VideoWriter, probe
from tests.pipeline.clips import make_clip
from tests.pipeline.walk_result import WALK, walk_result
from weights.errors import Pose3dError

HOSTILE = "a</script><script>alert(1)</script>\"'&<b> \u00fc\u6f22\U0001f600 @@style@@ \\u003c"


class Page(HTMLParser):
    """Elements and texts of a page, as a browser would find them."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.texts, self._open = [], {}, []
        self.source = Path(path).read_bytes().decode()
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "br", "path"):
            self._open.append((tag, len(self.elements) - 1))

    def handle_endtag(self, tag):
        if self._open and self._open[-1][0] == tag:
            self._open.pop()

    def handle_data(self, data):
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    def inside(self, tag):
        """(attributes, text) of all elements of a tag."""
        return [
            (attributes, "".join(self.texts.get((tag, place), [])))
            for place, (name, attributes) in enumerate(self.elements)
            if name == tag
        ]

    def named(self, id_):
        found = [
            (a, "".join(self.texts.get((tag, place), [])))
            for place, (tag, a) in enumerate(self.elements)
            if a.get("id") == id_
        ]
        return found[0] if found else None

    @property
    def data(self):
        return json.loads(self.named("data")[1])


def unpacked(packed):
    """Values and step of an array, the last axis being time."""
    dtype = np.dtype(packed["type"]).newbyteorder("<")
    steps = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), dtype)
    steps = steps.reshape(packed["shape"])
    whole = np.cumsum(steps, axis=-1, dtype=dtype)
    absent = np.iinfo(dtype).max if dtype.kind == "u" else np.iinfo(dtype).min
    return np.where(whole == absent, np.nan, whole * packed["step"]), packed["step"]


def report_of(result, tmp_path, video=None, **options):
    path = tmp_path / "report.html"
    notes = write_report(result, path, video, **options)
    return Page(path), notes


def gappy(frames=60):
    """Two people; one is missing for ten frames, and some statuses differ."""
    result = walk_result(frames, people=2)
    result.joints3d[20:30, 1] = np.nan
    result.root[20:30, 1] = np.nan
    result.uncertainty[:] = np.linspace(0, 0.4, 17)
    result.uncertainty[20:30, 1] = np.nan
    result.status[20:30, 1] = "not_visible"
    result.status[40:42, 0] = "sides_repaired"
    return result


def test_joints_come_back(tmp_path):
    result = gappy()
    page, notes = report_of(result, tmp_path)
    data = page.data
    assert notes == []
    assert (data["frames"], data["every"]) == (60, 1)
    joints, step = unpacked(data["arrays"]["joints3d"])
    joints = np.moveaxis(joints, -1, 0)
    assert step <= 0.0011
    np.testing.assert_allclose(joints, clip_of(result).joints_world, atol=step / 2 + 1e-6)
    assert np.isnan(joints).any(axis=(2, 3)).sum() == 10
    # Whatever the room's axes are, distances within a person are those of the result.
    between = np.linalg.norm(joints[:, :, :, None] - joints[:, :, None], axis=-1)
    true = np.linalg.norm(result.joints3d[:, :, :, None] - result.joints3d[:, :, None], axis=-1)
    np.testing.assert_allclose(between, true, atol=2 * math.sqrt(3) * step)
    # Upright: heads are above feet.
    assert np.nanmin(joints[:, :, 10, 2] - joints[:, :, 3, 2]) > 1.2
    times, _ = unpacked(data["arrays"]["time"])
    np.testing.assert_allclose(times, result.time_s, atol=1e-6)
    doubt, step = unpacked(data["arrays"]["uncertainty"])
    np.testing.assert_allclose(np.moveaxis(doubt, -1, 0), result.uncertainty, atol=step / 2 + 1e-6)
    assert [person["id"] for person in data["people"]] == [1, 2]
    assert [person["frames"] for person in data["people"]] == [60, 50]


def test_spans(tmp_path):
    page, _ = report_of(gappy(), tmp_path)
    first, second = page.data["spans"]
    assert page.data["statuses"] == list(STATUSES)
    repaired, absent = STATUSES.index("sides_repaired"), STATUSES.index("not_visible")
    assert [span for span in first if span[2] == repaired] == [[1.3333, 1.4, repaired]]
    assert [span for span in second if span[2] == absent] == [[0.6667, 1.0, absent]]
    # Everybody's stretches cover the clip without holes.
    for spans in (first, second):
        assert spans[0][0] == 0
        assert spans[-1][1] == 2
        assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))
    text = " ".join(text for _, text in page.inside("li"))
    assert "person 1: left/right swap, undone in 2 frames" in text
    assert "person 2: not visible in 10 frames" in text
    seeks = [a["data-seek"] for a, _ in page.inside("button") if "data-seek" in a]
    assert seeks == ["1.3333", "0.6667"]


def curve(data, key, side):
    panel = next(panel for panel in data["panels"] if panel["key"] == key)
    values, _ = unpacked(data["arrays"][panel["array"]])
    return values[panel["lines"][side]], panel


def test_angles(tmp_path):
    result = gappy()
    data = report_of(result, tmp_path)[0].data
    for side, (hip, knee, foot) in {"right": (1, 2, 3), "left": (4, 5, 6)}.items():
        found, panel = curve(data, "knee_flexion", side)
        joints = result.joints3d.astype(np.float64)
        thigh = joints[:, :, hip] - joints[:, :, knee]
        shank = joints[:, :, foot] - joints[:, :, knee]
        cosine = (thigh * shank).sum(-1)
        cosine /= np.linalg.norm(thigh, axis=-1) * np.linalg.norm(shank, axis=-1)
        bent = 180 - np.degrees(np.arccos(np.maximum(cosine, -1))).T
        np.testing.assert_allclose(found, bent, atol=0.06)
        assert panel["unit"] == "\N{DEGREE SIGN}"
    shown = [panel["key"] for panel in data["panels"] if panel["shown"]]
    assert {"knee_flexion", "hip_flexion", "elbow_flexion"} <= set(shown)


def test_speeds(tmp_path):
    result = walk_result(30)
    pose = np.repeat(result.joints3d[:1], 30, axis=0)
    root = result.root[:1] + np.arange(30)[:, None, None] / 30 * np.array([1.5, 0, 0])
    moving = walk_result(30, joints3d=pose, root=root)
    data = report_of(moving, tmp_path)[0].data
    for key, side in (("pelvis", "middle"), ("wrist", "left"), ("ankle", "right")):
        np.testing.assert_allclose(curve(data, key, side)[0], 1.5, atol=0.003)
    assert np.isnan(curve(data, "doubt", "middle")[0]).all()


def test_hostile_names(tmp_path):
    result = walk_result(
        3,
        warnings=[HOSTILE, "a lone \ud800 surrogate, near 0.03 s"],
        provenance={"input": {"name": HOSTILE}, "settings": {HOSTILE: HOSTILE}, "x\udc80": None},
        program_version=HOSTILE,
    )
    shutil.copy(WALK.with_suffix(".mp4"), tmp_path / "a b#%'<\u00fc>.mp4")
    page, _ = report_of(result, tmp_path, tmp_path / "a b#%'<\u00fc>.mp4", title=HOSTILE)
    plain = report_of(walk_result(3), tmp_path)[0]
    # As many scripts as on a page of harmless names, and the video's.
    assert len(page.inside("script")) == len(plain.inside("script")) + 1
    assert not page.inside("b")
    assert page.inside("h1")[0][1] == HOSTILE
    assert page.inside("title")[0][1].startswith(HOSTILE)
    cells = [text for _, text in page.inside("td")]
    assert cells.count(HOSTILE) == 3
    assert page.inside("li")[0][1].startswith(HOSTILE)
    assert "&#55296;" in page.source


def test_only_its_own_scripts_run_and_nothing_is_loaded(tmp_path):
    page, _ = report_of(walk_result(3), tmp_path)
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv"))
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for attributes, text in page.inside("script")
        if "type" not in attributes
    ]
    assert len(hashes) > 3
    assert rules["script-src"].split() == hashes
    assert not {"src", "href", "action", "style", "onclick"} & {
        name for _, attributes in page.elements for name in attributes
    }


def test_video_is_embedded(tmp_path):
    video = WALK.with_suffix(".mp4")
    page, notes = report_of(walk_result(60), tmp_path, video)
    attributes, text = page.named("video-data")
    # 60 frames of 225, and nothing says that only these were wanted.
    assert notes == [f"{video} lasts 7.5 s, the result ends at 2.0 s: another video?"]
    ranged = walk_result(60, provenance={"settings": {"end": 2.0}})
    assert report_of(ranged, tmp_path, video)[1] == []
    assert base64.b64decode(text) == video.read_bytes()
    told = json.loads(attributes["data-video"])
    assert told == {"offset": 0, "part": [1, 1], "type": "video/mp4"}
    keypoints, step = unpacked(page.data["arrays"]["keypoints"])
    np.testing.assert_allclose(
        np.moveaxis(keypoints, -1, 0), walk_result(60).keypoints2d, atol=step / 2 + 1e-3
    )
    assert step == 0.25


def test_large_video_is_linked(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline.report, "MOST_EMBEDDED", 1000)
    video = tmp_path / "clips" / "a b#%\u00fc?.mp4"
    video.parent.mkdir()
    shutil.copy(WALK.with_suffix(".mp4"), video)
    page_path = tmp_path / "pages" / "new" / "report.html"
    ranged = walk_result(5, provenance={"settings": {"end": 0.15}})
    notes = write_report(ranged, page_path, video)
    assert len(notes) == 1
    assert "linked" in notes[0]
    attributes, text = Page(page_path).named("video-data")
    href = json.loads(attributes["data-video"])["href"]
    assert text == ""
    assert re.fullmatch(r"[\w./%-]+", href)
    assert (page_path.parent / unquote(href)).resolve() == video


def written(path, size, seconds=1.0, rate=10):
    with VideoWriter(path, *size, Fraction(rate)) as out:
        for i in range(round(seconds * rate)):
            out.write(np.zeros((size[1], size[0], 3), np.uint8), i / rate)
    return path


def test_rendered_video_shows_its_picture_alone(tmp_path):
    result = walk_result(10, provenance={"settings": {"layout": "side-by-side"}})
    layout = make_layout("side-by-side", clip_of(result))
    video = written(tmp_path / "wide.mp4", layout.size)
    page, _ = report_of(result, tmp_path, video)
    part = json.loads(page.named("video-data")[0]["data-video"])["part"]
    # The clip is 960 px wide, and drawn as it is.
    assert part[0] * layout.size[0] == pytest.approx(960)
    assert part[1] == 1
    assert "keypoints" not in page.data["arrays"]


def test_video_of_the_range_begins_with_the_result(tmp_path):
    result = walk_result(30, time_s=5 + np.arange(30) / 30)
    for seconds, offset in ((1.0, 5), (8.0, 0)):
        video = written(tmp_path / "part.mp4", (96, 54), seconds)
        page, _ = report_of(result, tmp_path, video)
        assert json.loads(page.named("video-data")[0]["data-video"])["offset"] == offset


def test_which_video(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results"
    folder.mkdir()
    path = folder / "clip_pose3d.npz"
    source = make_clip("clip.mp4", frames=6)
    result = walk_result(6, provenance={"input": identify(source), "settings": {}})
    assert choose_video(result, path).resolve() == (tmp_path / "clip.mp4").resolve()
    rendered = shutil.copy(source, folder / "clip_pose3d.mp4")
    Path("clip.mp4").write_bytes(b"another video")
    assert choose_video(result, path) == Path(rendered)
    flat = walk_result(6, provenance={"settings": {"layout": "3d-only"}})
    assert choose_video(flat, path) is None
    Path(rendered).write_bytes(b"no video")
    assert choose_video(result, path) is None


def test_unplayable_video(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = make_clip("clip.avi", frames=6, codec="mpeg4")
    result = walk_result(6, provenance={"input": identify(source)})
    assert not pipeline.report.playable(probe(source))
    assert choose_video(result, Path("clip_pose3d.npz")) == Path("clip.avi")
    rendered = make_clip("clip_pose3d.mp4", frames=6)
    assert choose_video(result, Path("clip_pose3d.npz")) == Path(rendered)
    _, notes = report_of(result, tmp_path, source)
    assert len(notes) == 1
    assert "browsers do not play mpeg4" in notes[0]


@pytest.mark.parametrize("people", [0, 1])
def test_nobody(tmp_path, people):
    result = walk_result(5, people=people)
    result.joints3d[:] = np.nan
    result.root[:] = np.nan
    page, _ = report_of(result, tmp_path)
    assert "nobody was found" in page.inside("p")[0][1]
    assert len(page.data["people"]) == people


def test_long_results_are_thinned(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.report.data.MOST_POSES", 50)
    result = gappy()
    page, notes = report_of(result, tmp_path)
    assert page.data["every"] == 3
    assert page.data["frames"] == 60
    times, _ = unpacked(page.data["arrays"]["time"])
    np.testing.assert_allclose(times, result.time_s[::3], atol=1e-6)
    assert unpacked(page.data["arrays"]["speeds"])[0].shape == (17, 2, 20)
    assert notes == ["the result is long: the page shows one frame in 3"]
    # Statuses are those of all frames.
    assert [1.3333, 1.4, 1] in page.data["spans"][0]


def test_size(tmp_path):
    few, many = walk_result(20, people=2), walk_result(220, people=2)
    sizes = [len(report_of(result, tmp_path)[0].source) for result in (few, many)]
    assert sizes[0] < 800_000
    # A minute of 30 frames/s of one person is less than half a megabyte.
    assert (sizes[1] - sizes[0]) / 400 * 1800 < 500_000


def test_refusals(tmp_path):
    nothing = walk_result(0)
    with pytest.raises(Pose3dError, match="no frames"):
        write_report(nothing, tmp_path / "a.html")
    with pytest.raises(Pose3dError, match="no such file"):
        write_report(walk_result(3), tmp_path / "a.html", tmp_path / "absent.mp4")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(Pose3dError, match="is a folder"):
        write_report(walk_result(3), tmp_path / "folder.html")
    video = tmp_path / "clip.html"
    shutil.copy(WALK.with_suffix(".mp4"), video)
    with pytest.raises(Pose3dError, match="input itself"):
        write_report(walk_result(3), video, video)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.html", "folder.html"]


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("the recording jumps, at 1.20, 3.40 s", [1.2, 3.4]),
        ("the recording jumps, at 1.20, 3.40, ... s", [1.2, 3.4]),
        ("left/right swap near 00:12", [12]),
        ("swaps near 01:02.5 and 00:03", [62.5, 3]),
        ("clip.mp4 is cut off: 9 frames could be read, up to 3.33 s of 700.00 s", [3.33]),
        ("exchanged from 2 to 4 s", [2, 4]),
        ("no frame rate: 30 frames/s are assumed", []),
        ("at 25 frames/s", []),
        ("coordinates from 0 to 1 are taken as parts of 640x480", []),
        ("left out 3 tracks of less than 5 frames", []),
    ],
)
def test_times_in_warnings(text, times):
    assert moments(text, 0, 100) == times


def test_three_js_is_the_version_that_is_told():
    folder = Path(pipeline.report.__file__).parent / "vendor"
    script = (folder / "three.min.js").read_text()
    assert script.startswith(f"/* three.js {THREE_VERSION}, (c)")
    assert len(script) < 800_000
    assert (folder / "LICENSE").read_text().startswith("The MIT License")
    # Revision 187 is version 0.187.0; three.js tells it to the page that it runs in.
    assert f'revision:"{THREE_VERSION.split(".")[1]}"' in script
