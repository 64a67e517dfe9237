"""The report page in a browser: it follows the time, it says what it shows, it loads nothing."""

import numpy as np
import pytest

from pipeline.rendering.clip import clip_of
from pipeline.rendering.palette import LEFT_COLOUR, RIGHT_COLOUR
from pipeline.report import write_report
from tests.pipeline.browser import CHROMIUM, Browser
from tests.pipeline.test_report_page import HOSTILE, gappy
from tests.pipeline.walk_result import WALK, walk_result

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here"),
]
VIDEO = WALK.with_suffix(".mp4")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture
def opened(browser, tmp_path):
    """Opens the page of a result, and makes sure afterwards that nobody complained."""

    def open_(result, video=None, **options):
        path = tmp_path / "report.html"
        write_report(result, path, video, **options)
        browser.said.clear()
        browser.requests.clear()
        browser.open(path)
        return browser

    yield open_
    assert browser.said == []
    assert all(url.startswith(("file:", "blob:")) for url in browser.requests)


def seek(browser, seconds):
    browser.value(f"pose3d.seek({seconds})")
    wanted = f"Math.abs(pose3d.data.times[pose3d.frame] - {seconds}) < 0.02"
    browser.wait(f"{wanted} && !pose3d.moved")


def projected(browser, person=0):
    found = browser.value(f"pose3d.space.projected({person})")
    return np.array([point or [np.nan, np.nan] for point in found], float)


def pinhole(browser, points):
    """Where points (N, 3) are seen by the page's camera, px: worked out from its place."""
    told = browser.value(
        "({eye: pose3d.space.camera.position.toArray(), at: pose3d.space.controls.target.toArray(),"
        " fov: pose3d.space.camera.fov, size: [pose3d.space.holder.clientWidth,"
        " pose3d.space.holder.clientHeight]})"
    )
    eye, at, size = (np.array(told[name], float) for name in ("eye", "at", "size"))
    ahead = (at - eye) / np.linalg.norm(at - eye)
    right = np.cross(ahead, [0, 0, 1])
    right /= np.linalg.norm(right)
    seen = (points - eye) @ np.stack([right, np.cross(ahead, right), ahead]).T
    focal = size[1] / 2 / np.tan(np.radians(told["fov"]) / 2)
    return seen[:, :2] / seen[:, 2:] * focal + size / 2


def test_skeleton_follows_the_time(opened):
    result = gappy()
    world = clip_of(result).joints_world
    browser = opened(result)
    places = []
    for frame in (0, 17, 45):
        seek(browser, frame / 30)
        for person in (0, 1):
            found = projected(browser, person)
            np.testing.assert_allclose(found, pinhole(browser, world[frame, person]), atol=0.7)
        places.append(found)
        assert browser.value("document.getElementById('frame').textContent") == (
            f"frame {frame + 1} of 60"
        )
    assert np.abs(places[0] - places[1]).max() > 5
    seek(browser, 25 / 30)  # the second person is not there
    assert np.isnan(projected(browser, 1)).all()
    assert np.isfinite(projected(browser, 0)).all()
    assert "2 not visible" in browser.value("document.getElementById('status').textContent")
    shown = "pose3d.space.figures.map((figure) => figure.group.visible)"
    assert browser.value(shown) == [True, False]


def test_sides_have_their_colours(opened, tmp_path):
    import cv2

    browser = opened(walk_result(60))
    browser.value("document.querySelector('[data-view=front]').click()")
    seek(browser, 0.5)
    browser.screenshot(tmp_path / "page.png")
    picture = cv2.imread(str(tmp_path / "page.png"))[..., ::-1].astype(float)
    left, top = browser.value(
        "(({left, top}) => [left, top])(pose3d.space.holder.getBoundingClientRect())"
    )
    points = projected(browser)
    for (knee, foot), colour in (((5, 6), LEFT_COLOUR), ((2, 3), RIGHT_COLOUR)):
        x, y = (points[knee] + points[foot]) / 2 + [left, top]
        found = picture[round(y), round(x)]
        # Shaded, so darker or lighter, but of that hue.
        hue = found / np.linalg.norm(found) - np.array(colour) / np.linalg.norm(colour)
        assert np.linalg.norm(hue) < 0.2


def test_video_and_skeleton_keep_together(opened):
    browser = opened(walk_result(60), VIDEO)
    browser.wait("pose3d.video && pose3d.video.readyState >= 2")
    seek(browser, 1.0)
    assert browser.value("pose3d.video.currentTime") == pytest.approx(1.01, abs=0.02)
    before = projected(browser)
    browser.press(" ", "Space", " ")
    browser.wait("pose3d.time > 1.2 || pose3d.time < 0.9")
    browser.value("pose3d.pause()")
    assert browser.value("pose3d.video.paused")
    shown, frame = browser.value("[pose3d.video.currentTime, pose3d.frame]")
    assert abs(frame - shown * 30) < 4
    assert np.abs(projected(browser) - before).max() > 2
    # Of the 2D joints there is something over the picture.
    inked = (
        "(() => {const c = document.getElementById('overlay'); return c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data.some((v) => v > 0)})()"
    )
    assert browser.value(inked)


def test_keys_and_clicks(opened):
    browser = opened(gappy())
    seek(browser, 0.5)
    browser.press("ArrowRight")
    browser.wait("pose3d.frame === 16")
    browser.press("ArrowLeft")
    browser.wait("pose3d.frame === 15")
    browser.press("End")
    browser.wait("pose3d.frame === 59")
    browser.press("Home")
    browser.wait("pose3d.frame === 0")
    browser.value("document.querySelector('[data-seek=\"1.3333\"]').click()")
    browser.wait("pose3d.frame === 40")
    box = browser.value(
        "(({left, top, width}) => [left, top, width])"
        "(document.getElementById('timeline').getBoundingClientRect())"
    )
    # The middle of the axis, between the numbers' margin and the right edge.
    browser.click(box[0] + 44 + (box[2] - 54) / 2, box[1] + 20)
    browser.wait("Math.abs(pose3d.time - 1) < 0.02")
    # Without a video the page's own clock plays, here twice as fast.
    browser.value("pose3d.speed = 2; document.getElementById('play').click()")
    browser.wait("!pose3d.playing && pose3d.frame === 59")


def test_hostile_names(opened):
    result = walk_result(3, warnings=[HOSTILE], provenance={"input": {"name": HOSTILE}})
    browser = opened(result, title=HOSTILE)
    assert browser.value("document.querySelector('h1').textContent") == HOSTILE
    assert browser.value("document.querySelector('#notices li').textContent") == HOSTILE


def test_phone(opened):
    browser = opened(gappy(), VIDEO)
    browser.resize(390, 844, mobile=True)
    try:
        browser.wait("pose3d.space.holder.clientWidth < 390")
        assert browser.value("document.documentElement.scrollWidth") <= 390
    finally:
        browser.resize(1400, 900)


def test_nobody(opened):
    result = walk_result(5)
    result.joints3d[:] = np.nan
    browser = opened(result, VIDEO)
    words = browser.value("document.getElementById('trouble').textContent")
    assert words.startswith("Nobody was found")
    browser.press("ArrowRight")
    browser.wait("pose3d.frame === 1")


def test_missing_linked_video(browser, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.report.MOST_EMBEDDED", 1000)
    video = tmp_path / "a clip.mp4"
    video.write_bytes(VIDEO.read_bytes())
    path = tmp_path / "report.html"
    write_report(walk_result(30), path, video)
    browser.open(path)
    browser.wait("pose3d.video && pose3d.video.readyState >= 1")
    video.unlink()
    browser.open(path)
    browser.wait("pose3d.video === null")
    assert "a%20clip.mp4" in browser.value("document.getElementById('trouble').textContent")
    seek(browser, 0.5)
    assert browser.value("pose3d.frame") == 15
