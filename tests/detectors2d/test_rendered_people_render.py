"""Drawing with OpenGL: a man of boxes, the generators, the program; then the real assets."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from detectors2d.training.rendered_people import __main__ as program
from detectors2d.training.rendered_people import context
from detectors2d.training.rendered_people.anatomy import anchors, joints
from detectors2d.training.rendered_people.assets import Assets
from detectors2d.training.rendered_people.body import Body, to_world
from detectors2d.training.rendered_people.camera import Camera, look_at
from detectors2d.training.rendered_people.labels import labelled
from detectors2d.training.rendered_people.lighting import Place
from detectors2d.training.rendered_people.renderer import Figure, Posed, Renderer
from detectors2d.training.rendered_people.studio import crops, scenes
from tests.detectors2d import box_man
from weights.errors import Pose3dError

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared/people/assets"
SIZE = (96, 128)
# From in front the man shows all joints but those too deep in his boxes: ears 10 cm, wrists 12 cm
# behind the thumbs' boxes, ankles 15 cm behind the feet's.
FROM_AHEAD = [2, 2, 2, 1, 1, 2, 2, 2, 2, 1, 1, 2, 2, 2, 2, 1, 1]
NO_SPHERES = np.zeros((0, 4))
PLACE = Place("hall", 0.0, 0.5, np.array([1.0, 0.5, 1]), np.ones(3), 0, np.full(3, 0.3), 0.5)


needs_opengl = pytest.mark.skipif(box_man.opengl_is_missing(), reason="needs moderngl and an EGL")


@pytest.fixture(scope="module")
def assets(tmp_path_factory):
    return Assets(box_man.write_assets(tmp_path_factory.mktemp("people")))


@pytest.fixture(scope="module")
def man(assets):
    """The man of boxes: body, vertices, normals and joints of the world, as at rest."""
    body = Body(assets, [], "young_lightskinned_male")
    heads = np.stack([body.head[name] for name in body.bones])
    rest = np.tile(np.eye(3), (len(heads), 1, 1))
    coco, h36m = joints(body, anchors(body), rest[None], heads[None])
    vertices, normals = (to_world(x) for x in body.skinned(rest, heads))
    return body, vertices, normals, to_world(coco[0]), to_world(h36m[0])


def camera_at(distance):
    """In front of the man, at half of his height, who is 1.8 m tall."""
    w, h = SIZE
    intrinsics = np.array([[150.0, 0, w / 2], [0, 150, h / 2], [0, 0, 1]])
    return Camera(intrinsics, *look_at(np.array([distance, 0, 0.9]), [0.0, 0, 0.9]))


def draw(assets, man, camera, supersample=1, surroundings=None, second=None):
    """The man, and a second one moved by ``second`` (3,) m, if any: image, depth, figures."""
    body, vertices, normals, *_ = man
    renderer = Renderer(assets, SIZE, supersample)
    moves = [0] if second is None else [0, np.array(second)]
    posed = [Posed(Figure(renderer, body), vertices + move, normals) for move in moves]
    centre = np.array([0, 0, 1.0])
    drawn = renderer.render(posed, camera, PLACE, NO_SPHERES, centre, 1.6, surroundings)
    renderer.context.release()
    return drawn


@needs_opengl
def test_people_are_drawn_where_the_camera_projects_them(assets, man):
    body, vertices, _, coco, h36m = man
    camera = camera_at(4.0)
    for supersample in (1, 2):
        image, depth, figures = draw(assets, man, camera, supersample)
        assert image.shape == (SIZE[1], SIZE[0], 3)
        person = labelled(coco, h36m, vertices, body.height, 1, camera, depth, figures)
        np.testing.assert_allclose(person.visible_box, person.full_box, atol=1)
        np.testing.assert_array_equal(person.coco[:, 2], FROM_AHEAD)
        # The front of the trunk is 5 cm in front of its middle.
        x, y = np.floor(camera.project(np.array([[0.05, 0, 1.2]]))[0][0]).astype(int)
        assert depth[y, x] == pytest.approx(3.95, abs=0.01)
        assert figures[y, x] == 1
        assert figures[0, 0] == 0
        assert depth[0, 0] > 50


@needs_opengl
def test_who_stands_in_front_hides_who_stands_behind(assets, man):
    body, vertices, _, coco, h36m = man
    camera = camera_at(4.0)
    move = np.array([1.0, 0.35, 0])  # in front, to his left, which is on the right
    _, depth, figures = draw(assets, man, camera, second=move)
    behind = labelled(coco, h36m, vertices, body.height, 1, camera, depth, figures)
    ahead = labelled(
        coco + move, h36m + move, vertices + move, body.height, 2, camera, depth, figures
    )
    np.testing.assert_array_equal(ahead.coco[:, 2], FROM_AHEAD)
    # Seen from 4 m, his trunk is 0.467 +- 0.07 m to the left of the other's middle: before the
    # elbow at 0.4 m; his right arm and shoulder are before the other's left shoulder at 0.2 m.
    np.testing.assert_array_equal(behind.coco[[5, 7], 2], 1)
    np.testing.assert_array_equal(behind.coco[[0, 6, 8, 12, 14], 2], 2)
    alone = labelled(coco, h36m, vertices, body.height, 1, camera, *draw(assets, man, camera)[1:])
    np.testing.assert_array_equal(behind.mask, alone.mask & (figures != 2))


@needs_opengl
def test_photographs_stand_behind_people_unchanged(assets, man):
    photo = np.random.default_rng(0).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
    image, _, figures = draw(assets, man, camera_at(4.0), surroundings=photo)
    np.testing.assert_array_equal(image[figures == 0], photo[figures == 0])
    assert (image[figures == 1] != photo[figures == 1]).mean() > 0.9


def first(pictures, count=3):
    return list(itertools.islice(pictures, count))


def same(pictures, others):
    return all(
        (one.image == other.image).all()
        and all((a.coco == b.coco).all() for a, b in zip(one.people, other.people, strict=True))
        for one, other in zip(pictures, others, strict=True)
    )


@needs_opengl
def test_the_same_seed_gives_the_same_pictures_whatever_else_is_drawn(assets):
    options = {"size": SIZE, "procedural": 0.5}
    alone = first(crops(assets, seed=3, **options))
    others = first(scenes(assets, seed=4, people=(1, 2), **options))
    one, two = crops(assets, seed=3, **options), scenes(assets, seed=4, people=(1, 2), **options)
    mixed = [(next(one), next(two)) for _ in alone]
    assert same(alone, [a for a, _ in mixed])
    assert same(others, [b for _, b in mixed])
    assert not same(alone, alone[::-1])
    for picture in alone:
        (person,) = picture.people
        x, y = np.floor(person.coco[person.coco[:, 2] == 2, :2]).astype(int).T
        assert len(x) >= 4
        assert ((x >= 0) & (x < SIZE[0]) & (y >= 0) & (y < SIZE[1])).all()


@needs_opengl
def test_scenes_show_as_many_people_as_asked_for(assets):
    pictures = first(scenes(assets, seed=1, size=(160, 120), people=(2, 4)), 6)
    assert max(len(picture.people) for picture in pictures) <= 4
    assert sum(len(picture.people) for picture in pictures) >= 6
    with pytest.raises(ValueError, match="people"):
        next(scenes(assets, people=(3, 13)))


def run(*arguments, **options):
    command = [sys.executable, "-m", "detectors2d.training.rendered_people", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


@needs_opengl
def test_the_program_writes_a_coco_set(assets, tmp_path, capsys):
    out = tmp_path / "set"
    args = ["--assets", str(assets.folder), "--out", str(out), "--size", "96x128", "--n", "5"]
    program.main(["crops", *args, "--workers", "2", "--seed", "7"])
    program.main(["sheet", "--out", str(out)])
    content = json.loads((out / "annotations.json").read_text())
    assert [image["id"] for image in content["images"]] == [0, 1, 2, 3, 4]
    assert [one["image_id"] for one in content["annotations"]] == [0, 1, 2, 3, 4]
    for image, one in zip(content["images"], content["annotations"], strict=True):
        assert cv2.imread(str(out / image["file_name"])).shape == (128, 96, 3)
        x, y, v = np.reshape(one["keypoints"], (17, 3)).T
        assert ((v == 0) == ((x == 0) & (y == 0))).all()
        assert one["num_keypoints"] == (v > 0).sum()
        left, top, w, h = one["bbox"]
        assert 0 <= left <= left + w <= 96
        assert 0 <= top <= top + h <= 128
        assert 0 < one["area"] <= w * h + 1
    # The second process's pictures are those of the generator with its seed.
    truth = first(crops(assets, seed=[7, 1], size=SIZE), 3)
    for one, picture in zip(content["annotations"][2:], truth, strict=True):
        np.testing.assert_allclose(one["bbox"][:2], picture.people[0].box[:2], atol=0.006)
    assert (out / "sheet.png").exists()
    with pytest.raises(SystemExit) as left:
        program.main(["crops", *args])
    assert left.value.code == 2
    assert "has pictures already" in capsys.readouterr().err


@needs_opengl
@pytest.mark.slow
def test_nothing_is_lost_when_the_program_is_interrupted(assets, tmp_path):
    out = tmp_path / "set"
    options = ["--out", out, "--size", "48x64", "--n", 5000, "--workers", 2]
    started = run("crops", "--assets", assets.folder, *options, start_new_session=True)
    until = time.monotonic() + 60
    while len(list(out.glob("images/*/*.jpg"))) < 6 and time.monotonic() < until:
        time.sleep(0.1)
    os.killpg(started.pid, signal.SIGINT)  # as Ctrl-C does: to the processes too
    _, error = started.communicate(timeout=60)
    assert started.returncode == 130
    assert error.strip() == "error: interrupted; the pictures that were finished remain"
    content = json.loads((out / "annotations.json").read_text())
    written = sorted(str(path.relative_to(out)) for path in out.glob("images/*/*.jpg"))
    assert [image["file_name"] for image in content["images"]] == written
    assert 6 <= len(written) == len(content["annotations"]) < 5000
    assert not (out / "parts").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["crops", "--out", "x"], "give --assets DIR"),
        (["crops", "--assets", "/nowhere"], "--out is missing"),
        (["crops", "--assets", "/nowhere", "--out", "x"], "no such folder"),
        (["sheet", "--out", "/nowhere"], "missing or damaged"),
        (["finish", "--out", "/nowhere"], "nothing there to finish"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys, monkeypatch):
    monkeypatch.delenv("POSE3D_PEOPLE_ASSETS", raising=False)
    with pytest.raises(SystemExit) as left:
        program.main(arguments)
    error = capsys.readouterr().err
    assert left.value.code == 2
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "192"], "two numbers as in 1x2"),
        (["--size", "0x9"], "--size"),
        (["--people", "3-13"], "--people"),
        (["--backdrops", "/nowhere"], "no photographs"),
    ],
)
def test_bad_options_are_one_line(assets, options, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        program.main(
            ["scenes", "--assets", str(assets.folder), "--out", str(tmp_path / "x"), *options]
        )
    error = capsys.readouterr().err
    assert left.value.code == 2
    assert message in error
    assert error.count("\n") == 1


def test_without_moderngl_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "moderngl", None)
    with pytest.raises(Pose3dError, match="pip install"):
        context.open_context()


@needs_opengl
@pytest.mark.skipif(not REAL.is_dir(), reason="needs the assets of real-looking people")
def test_people_of_the_real_assets_look_like_people():
    pictures = first(crops(Assets(REAL), seed=2, procedural=0.5), 8)
    for picture in pictures:
        (person,) = picture.people
        assert 1.3 < person.height < 2.1
        assert 3 < picture.image.std() < 120
        shown = person.coco[person.coco[:, 2] == 2]
        x, y = np.floor(shown[:, :2]).astype(int).T
        near = cv2.dilate(person.mask.astype(np.uint8), np.ones((5, 5))) > 0
        assert near[y, x].mean() > 0.8
