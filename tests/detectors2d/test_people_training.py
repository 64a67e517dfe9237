"""Training of the small detector of people: pictures, targets, measures, and the loop."""

import cv2
import numpy as np
import pytest
import torch

from detectors2d.people.centernet import CenterNet, decode, load_people, overlaps, prepare
from detectors2d.training.people import compose as composing
from detectors2d.training.people.__main__ import main
from detectors2d.training.people.compose import Sample, Stock, compose, mirrored, still
from detectors2d.training.people.evaluate import (
    average_precision,
    best_score,
    evaluate,
)
from detectors2d.training.people.targets import detection_loss, generalised_overlap, targets
from detectors2d.training.people.train import Recipe, train
from weights.errors import Pose3dError

NOBODY = np.zeros((0, 4), np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A stock of white figures, two black places without people and one with two grey people."""
    folder = tmp_path_factory.mktemp("stock")
    (folder / "people").mkdir()
    (folder / "places").mkdir()
    for number, shape in enumerate([(90, 30), (80, 50), (40, 90)]):
        figure = np.full((*shape, 4), 255, np.uint8)
        figure[:5, :10, 3] = 0
        cv2.imwrite(str(folder / f"people/{number}.webp"), figure)
    for number in range(3):
        cv2.imwrite(str(folder / f"places/{number}.jpg"), np.zeros((120, 160, 3), np.uint8))
    owners = np.zeros((120, 160), np.uint8)
    owners[20:80, 40:60] = 1
    owners[30:34, 100:104] = 2  # too small to count
    cv2.imwrite(str(folder / "places/2.png"), owners)
    return folder


@pytest.fixture(scope="module")
def stock(folder):
    return Stock([folder])


def test_a_place_as_it_is(stock):
    sample = still(stock, 2, (320, 240))
    np.testing.assert_array_equal(sample.boxes, [[80, 40, 120, 160]])
    np.testing.assert_array_equal(sample.doubtful, [[200, 60, 208, 68]])
    assert still(stock, 0, (64, 64)).boxes.shape == (0, 4)


def test_boxes_are_around_what_is_seen(folder, monkeypatch):
    """Without faults and things all that is bright is people, and every side of a box touches."""
    monkeypatch.setattr(composing, "with_faults", lambda image, rng: image)
    monkeypatch.setattr(composing._Canvas, "add_thing", lambda *_: None)
    monkeypatch.setattr(composing, "_dressed", lambda rgb, rng: rgb)
    monkeypatch.setattr(composing, "recoloured", lambda image, *_: image.copy())
    stock, people = Stock([folder]), 0
    stock.places.pop()
    for seed in range(40):
        sample = compose(stock, (160, 128), np.random.default_rng(seed))
        bright = sample.image[..., 0] > 100
        people += len(sample.boxes)
        covered = np.zeros_like(bright)
        for x1, y1, x2, y2 in np.concatenate([sample.boxes, sample.doubtful]).astype(int):
            assert 0 <= x1 < x2 <= 160
            assert 0 <= y1 < y2 <= 128
            # Soft edges and enlargement may move a side by two px.
            covered[max(0, y1 - 2) : y2 + 2, max(0, x1 - 2) : x2 + 2] = True
        assert not (bright & ~covered).any()
        if len(sample.boxes) == 1 and not len(sample.doubtful):
            y, x = np.nonzero(bright)
            around = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])
            np.testing.assert_allclose(sample.boxes[0], around, atol=2)
    assert people > 40


def test_mirrored_people():
    image = np.arange(4 * 10 * 3, dtype=np.uint8).reshape(4, 10, 3)
    boxes = np.array([[1, 0, 4, 3]], np.float32)
    turned = mirrored(Sample(image, boxes, NOBODY))
    np.testing.assert_array_equal(turned.boxes, [[6, 0, 9, 3]])
    np.testing.assert_array_equal(turned.image[0:3, 6:9], image[0:3, 1:4][:, ::-1])
    assert turned.doubtful.shape == (0, 4)


def test_pictures_depend_on_the_generator_alone(stock):
    one, again, other = (
        compose(stock, (96, 64), np.random.default_rng(seed)) for seed in (5, 5, 6)
    )
    assert np.array_equal(one.image, again.image)
    assert np.array_equal(one.boxes, again.boxes)
    assert not np.array_equal(one.image, other.image)


def test_a_folder_without_a_stock(tmp_path):
    with pytest.raises(Pose3dError, match=r"holds no people/\*.webp and places/\*.jpg"):
        Stock([tmp_path])


def test_targets_of_one_person():
    """A box of 32 x 64 px around 48, 48: the middle is in the cell of column 6, row 6."""
    heat, sides = targets(np.array([[32, 16, 64, 80.0]]), NOBODY, (96, 96))
    assert heat.shape == (12, 12)
    assert heat.max() == heat[6, 6] == 1
    # One cell further in x, where the deviation is 0.54 * 4 / 6 cells.
    assert heat[6, 7] == pytest.approx(np.exp(-0.5 * (6 / (0.54 * 4)) ** 2), rel=1e-5)
    np.testing.assert_allclose(sides[:4, 6, 6], [52 - 32, 52 - 16, 64 - 52, 80 - 52])
    assert sides[4].sum() == pytest.approx(np.log(32 * 64), rel=1e-5)


def test_answers_to_targets_are_the_boxes():
    """Also of people who overlap and are cut off, but not of those of one cell."""
    boxes = np.array(
        [[0, 0, 50, 128], [30, 20, 90, 128], [100, 10, 120, 60], [140, 90, 160, 128]], np.float32
    )
    heat, sides = targets(boxes, NOBODY, (160, 128))
    maps = torch.from_numpy(np.concatenate([heat[None] * 20 - 10, sides[:4]]))[None]
    ((found, _),) = decode(maps)
    assert len(found) == 4
    np.testing.assert_allclose(overlaps(boxes, found).max(1), 1, atol=1e-4)


def test_doubtful_people_do_not_count():
    heat, sides = targets(NOBODY, np.array([[16, 16, 48, 48.0]]), (64, 64))
    assert (heat == -1).sum() == 16
    assert (heat[2:6, 2:6] == -1).all()
    heat, sides = (torch.from_numpy(part)[None] for part in (heat, sides))
    quiet = torch.full((1, 5, 8, 8), -20.0)
    loud = quiet.clone()
    loud[0, 0, 3, 3] = 20
    assert detection_loss(loud, heat, sides) == detection_loss(quiet, heat, sides)
    loud[0, 0, 0, 0] = 20
    assert detection_loss(loud, heat, sides) > detection_loss(quiet, heat, sides) + 10


def test_generalised_overlaps():
    """Rezatofighi et al. 2019: of equal boxes 1; of apart ones the gap counts against them."""
    box = torch.tensor([[4.0, 4, 4, 4]])
    # Right half of it; the same size 8 further right (they touch); 8 apart.
    others = torch.tensor([[4.0, 4, 4, 4], [0, 4, 4, 4], [-4, 4, 12, 4], [-12, 4, 20, 4]])
    found = [generalised_overlap(box, other[None]).item() for other in others]
    np.testing.assert_allclose(found, [1, 0.5, 0, -8 / 24], atol=1e-6)


def sample(boxes, doubtful=NOBODY):
    return Sample(np.zeros((100, 100, 3), np.uint8), np.array(boxes, np.float32), doubtful)


def test_average_precision():
    """Right, wrong, right of 4 people: precisions 1 and 2/3 where a person was found."""
    found = average_precision(np.array([0.5, 0.9, 0.7]), np.array([True, True, False]), 4)
    assert found == pytest.approx((1 + 2 / 3) / 4)
    assert np.isnan(average_precision(np.zeros(0), np.zeros(0, bool), 0))


def test_measures():
    """Found once, found again (an alarm), missed, found weakly; a doubtful one does not count."""
    people = sample(
        [[0, 0, 10, 20], [40, 40, 60, 70], [80, 0, 90, 90]],
        np.array([[10, 80, 30, 90]], np.float32),
    )
    boxes = [[0, 0, 10, 20], [0, 0, 10, 18], [80, 0, 90, 80], [10, 80, 30, 89], [70, 70, 75, 75]]
    scores = np.array([0.9, 0.8, 0.4, 0.7, 0.6], np.float32)
    row = evaluate([(np.array(boxes, np.float32), scores)], [people])
    assert row["alarms"] == 2
    assert row["recall"] == pytest.approx(1 / 3)
    sizes = [row[f"recall_{size}"] for size in ("small", "middle", "large")]
    assert sizes == [1, 0, 0]
    assert row["ap50"] == pytest.approx((1 + 2 / 4) / 3)


def test_the_best_score():
    """F1 of 3 people is 2 * 2 / (3 + 3) from 0.4 on, 2 / 4 from 0.9 on, 6 / 8 from 0.1 on."""
    people = sample([[0, 0, 10, 20], [40, 40, 60, 70], [80, 0, 90, 90]])
    boxes = [[0, 0, 10, 20], [20, 0, 30, 20], [40, 40, 60, 70], [70, 70, 75, 75], [80, 0, 90, 80]]
    scores = np.array([0.9, 0.8, 0.4, 0.3, 0.1], np.float32)
    assert best_score([(np.array(boxes, np.float32), scores)], [people]) == pytest.approx(0.1)
    scores[4] = 0.01
    boxes[4] = [0, 0, 1, 1]
    assert best_score([(np.array(boxes, np.float32), scores)], [people]) == pytest.approx(0.4)


def test_a_small_network_learns_rectangles():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = CenterNet((16, 16, 16, 16), (1, 1, 1, 1), 16)
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3)

    def pictures(count):
        images, boxes = np.zeros((count, 64, 96, 3), np.uint8), []
        for image in images:
            w, h = rng.integers(12, 40, 2)
            x, y = rng.integers(0, 96 - w), rng.integers(0, 64 - h)
            image[y : y + h, x : x + w] = rng.integers(100, 256, 3)
            boxes.append(np.array([[x, y, x + w, y + h]], np.float32))
        return torch.from_numpy(images), boxes

    for _ in range(80):
        images, boxes = pictures(8)
        answers = [targets(one, NOBODY, (96, 64)) for one in boxes]
        heat, sides = (torch.from_numpy(np.stack(part)) for part in zip(*answers, strict=True))
        detection_loss(network(prepare(images)), heat, sides).backward()
        optimiser.step()
        optimiser.zero_grad()
    images, boxes = pictures(20)
    with torch.inference_mode():
        found = decode(network.eval()(prepare(images)))
    likeness = [overlaps(b, f[:1]).max(initial=0) for b, (f, _) in zip(boxes, found, strict=True)]
    assert np.mean(np.array(likeness) > 0.5) > 0.8


def test_a_broken_run_ends_as_an_unbroken_one(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("detectors2d.training.people.train.COARSE", ((64, 32), (32, 64)))
    monkeypatch.setattr("detectors2d.training.people.train.FINE", ((64, 64),))
    recipe, lines = Recipe(steps=4, batch=2, warmup=2, precision="fp32", averaging=0.5), []
    stock = Stock([folder])
    options = {"validation": stock, "validation_pictures": 2, "measure_every": 2}
    whole = train(recipe, stock, tmp_path / "whole", tell=lines.append, **options)
    assert [line.split(",")[0] for line in lines] == ["step 2", "step 4"]
    assert "composed_ap50" in lines[0]
    assert "rendered_recall" in lines[0]

    def stop(line):
        raise KeyboardInterrupt

    kept = []
    monkeypatch.setattr("detectors2d.training.loop.CHECKPOINT_S", -1)  # at every step
    with pytest.raises(KeyboardInterrupt):
        train(recipe, stock, tmp_path / "broken", tell=stop, **options)
    broken = train(recipe, stock, tmp_path / "broken", tell=kept.append, **options)
    assert [line.split(",")[0] for line in kept][-1] == "step 4"
    one, other = load_people(whole).state_dict(), load_people(broken).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(Pose3dError, match="of another run"):
        train(Recipe(steps=5, batch=2), stock, tmp_path / "whole")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--set", "stepps=3"], "unknown part of the recipe 'stepps'"),
        (["--set", "steps=many"], "steps must be like 6000, not 'many'"),
        (["--set", "batch=0"], "batch must be 1 or more"),
        (["--init", "none.safetensors"], "none.safetensors: no such weights file"),
    ],
)
def test_bad_input_is_a_line(folder, tmp_path, capsys, change, words):
    assert main([str(tmp_path / "run"), "--data", str(folder), *change]) == 2
    message = capsys.readouterr().err
    assert words in message
    assert message.count("\n") == 1
