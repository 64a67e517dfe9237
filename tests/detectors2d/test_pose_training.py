"""Training of 2D networks: what is learnt from, what is aimed at, and that a run can be broken."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from detectors2d.heatmaps import COCO_MIRROR
from detectors2d.registry import load_pose
from detectors2d.training.__main__ import main
from detectors2d.training.recipes import Recipe
from detectors2d.training.samples import Crops, Variation, read_people
from detectors2d.training.targets import gaussian_maps, heatmap_loss, side_loss, similarity
from detectors2d.training.train import measure, train
from weights.errors import Pose3dError

SIZE = (96, 128)
STILL = Variation(0, 0, 0, 0, 0, 0)
# Colours that linear interpolation and mirroring leave apart.
COLORS = np.array(
    [[40 + 100 * (n % 3), 40 + 100 * (n // 3 % 3), 40 + 100 * (n // 9)] for n in range(17)]
)


def write_set(folder, people=6, seed=0):
    """A COCO set: on a black picture, a disc of its own colour at each of a person's joints."""
    rng = np.random.default_rng(seed)
    images, annotations = [], []
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number in range(people):
        picture = np.zeros((240, 200, 3), np.uint8)
        places = [(50 + 34 * (n % 4), 40 + 36 * (n // 4)) for n in rng.permutation(20)[:17]]
        for place, color in zip(places, COLORS, strict=True):
            cv2.circle(picture, place, 9, color.tolist()[::-1], -1)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture)
        joints = np.concatenate([places, np.full((17, 1), 2)], axis=1)
        joints[number % 17, 2] = 1
        name = f"images/{number}.png"
        images.append({"id": number, "file_name": name, "width": 200, "height": 240})
        annotations.append(
            {
                "id": number + 1,
                "image_id": number,
                "category_id": 1,
                "keypoints": joints.ravel().tolist(),
                "bbox": [40, 30, 124, 170],
                "area": 9000,
                "iscrowd": 0,
            }
        )
    path = folder / "annotations.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return read_people([write_set(tmp_path_factory.mktemp("set"))])


@pytest.mark.parametrize(
    "variation",
    [STILL, replace(STILL, flip=1.0), Variation(0.2, 0.05, 25, 0.3, 0.5, 0)],
    ids=["still", "mirrored", "varied"],
)
def test_joints_stay_where_they_are_in_the_picture(people, variation):
    """The colour at every joint is that of the joint, whatever is done to the picture."""
    crops, seen = Crops(people, SIZE, variation), 0
    for key in [(epoch, person) for epoch in range(4) for person in range(len(people))]:
        crop, joints = crops[key]
        assert crop.shape == (128, 96, 3)
        for n, (x, y, weight) in enumerate(joints):
            column, row = round(float(x)), round(float(y))
            if not weight or not (2 <= column < 94 and 2 <= row < 126):
                continue
            seen += 1
            spot = crop[row, column].astype(int)
            # A mirrored left wrist is a right one.
            mirrored = np.abs(spot - COLORS[COCO_MIRROR[n]]).max() < 30
            own = np.abs(spot - COLORS[n]).max() < 30
            assert mirrored if variation.flip == 1 else (own or (mirrored and variation.flip))
    assert seen > 200


def test_samples_depend_on_seed_and_epoch_alone(people):
    one, again, other = (Crops(people, SIZE, Variation(), seed) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(one[2, 3], again[2, 3], strict=True))
    assert not np.array_equal(one[2, 3][1], one[3, 3][1])
    assert not np.array_equal(one[2, 3][1], other[2, 3][1])


def test_a_still_sample_is_the_crop_of_use(people):
    """The box is 124 x 170 px: 1.25 times 170 high, so that 128 px of crop are 212.5 of picture."""
    _, joints = Crops(people, SIZE, STILL)[0, 0]
    middle, factor = np.array([102, 115]), 128 / 212.5
    expected = (people.keypoints[0] - middle) * factor + [48, 64]
    np.testing.assert_allclose(joints[:, :2], expected, atol=1e-4)
    assert (joints[:, 2] == 1).all()


def test_gaussians():
    maps = gaussian_maps(torch.tensor([[[8.0, 12.0], [10.0, 12.0]]]), (96, 128), sigma=2.0)
    assert maps.shape == (1, 2, 32, 24)
    assert maps[0, 0, 3, 2] == 1
    assert maps[0, 0, 3, 3].item() == pytest.approx(np.exp(-1 / 8))
    assert maps[0, 0, 5, 2].item() == pytest.approx(np.exp(-1 / 2))
    assert maps[0, 1, 3, 2].item() == pytest.approx(np.exp(-1 / 32))  # half a cell away


def test_unlabelled_joints_do_not_count():
    joints = torch.tensor([[[8.0, 12.0, 1.0], [50.0, 50.0, 0.0]]])
    perfect = gaussian_maps(joints[..., :2], SIZE, 1.0)
    wrong = perfect.clone()
    wrong[:, 1] = 5
    assert heatmap_loss(wrong, joints, SIZE, 1.0) == 0
    wrong[:, 0] += 0.1
    assert heatmap_loss(wrong, joints, SIZE, 1.0).item() == pytest.approx(10, rel=1e-4)


def test_both_sides_in_both_maps_is_a_coin_thrown():
    """Equal heights cost ln 2 a joint; a lead of a whole peak 1 / (1 + e^-8) of certainty."""
    joints = torch.zeros(1, 17, 3)
    joints[0, 13] = torch.tensor([20.0, 100.0, 1.0])  # knees
    joints[0, 14] = torch.tensor([60.0, 100.0, 1.0])
    joints[0, 0] = torch.tensor([40.0, 20.0, 1.0])  # a nose has no other side
    true = gaussian_maps(joints[..., :2], SIZE, 1.0)
    hedged, swapped = true.clone(), true.clone()
    hedged[0, 13] = hedged[0, 14] = (true[0, 13] + true[0, 14]) / 2
    swapped[0, [13, 14]] = true[0, [14, 13]]
    weights = joints[..., 2]
    assert side_loss(hedged, true, weights).item() == pytest.approx(np.log(2), abs=1e-4)
    assert side_loss(true, true, weights).item() == pytest.approx(np.log1p(np.exp(-8)), abs=1e-5)
    assert side_loss(swapped, true, weights).item() == pytest.approx(8, abs=1e-3)
    for unlabelled in ([13], [14], [13, 14]):  # whose place is not known
        flags = weights.clone()
        flags[0, unlabelled] = 0
        assert side_loss(hedged, true, flags).item() == 0
    both = 1000 * (hedged - true).square().mean((2, 3))[0, [13, 14, 0]].mean()
    added = heatmap_loss(hedged, joints, SIZE, 1.0, sides=3) - heatmap_loss(
        hedged, joints, SIZE, 1.0
    )
    assert heatmap_loss(hedged, joints, SIZE, 1.0).item() == pytest.approx(both.item(), rel=1e-4)
    assert added.item() == pytest.approx(3 * np.log(2), abs=1e-3)


def test_sides_that_lie_in_one_place_teach_nothing():
    joints = torch.zeros(1, 17, 3)
    joints[0, [13, 14]] = torch.tensor([20.0, 100.0, 1.0])
    joints[0, [15, 16], 2] = 1
    joints[0, 15, :2], joints[0, 16, :2] = torch.tensor([20.0, 60]), torch.tensor([60.0, 60])
    true = gaussian_maps(joints[..., :2], SIZE, 1.0)
    maps = torch.zeros_like(true).requires_grad_()
    side_loss(maps, true, joints[..., 2]).backward()
    assert maps.grad[0, [13, 14]].abs().max() == 0
    assert maps.grad[0, 15].abs().max() > 0


def test_similarity_is_coco_s():
    """cocoeval.py: exp(-d^2 / (2 area (2 sigma)^2)), mean over labelled joints."""
    true = torch.zeros(2, 17, 2)
    found = true.clone()
    found[0, 0, 0] = 3.0  # the nose, sigma 0.026
    found[1] = 1e4
    labelled = torch.ones(2, 17, dtype=torch.bool)
    labelled[0, 2:] = False
    expected = (np.exp(-9 / (2 * 400 * 0.052**2)) + 1) / 2
    oks = similarity(found, true, labelled, torch.tensor([400.0, 400.0]))
    np.testing.assert_allclose(oks, [expected, 0], atol=1e-12)


RECIPE = Recipe(
    width=4,
    cam_blocks=1,
    modules=(1, 1, 1),
    size=(32, 64),
    steps=4,
    batch=4,
    warmup=2,
    precision="fp32",
)


def test_a_broken_run_ends_as_an_unbroken_one(people, tmp_path):
    lines = []
    whole = train(
        RECIPE, people, tmp_path / "a", validation=people, measure_every=2, tell=lines.append
    )
    assert len(lines) == 2
    assert lines[0].startswith("step 2, loss ")

    def stop(_):
        raise KeyboardInterrupt

    # Broken off after the measurement of step 2 was told, before it was kept.
    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, people, tmp_path / "b", measure_every=2, tell=stop)
    train(RECIPE, people, tmp_path / "b", measure_every=2, tell=lambda _: None)
    train(RECIPE, people, tmp_path / "b", measure_every=2, tell=lambda _: None)  # nothing to do
    a, b = load_pose(whole), load_pose(tmp_path / "b" / whole.name)
    for name, tensor in a.state_dict().items():
        assert torch.equal(tensor, b.state_dict()[name]), name
    assert a.config["modules"] == [1, 1, 1]
    assert (tmp_path / "a" / "log.csv").read_text().count("\n") == 3


def test_going_on_with_something_else_is_refused(people, tmp_path):
    train(replace(RECIPE, steps=1), people, tmp_path, measure_every=1, tell=lambda _: None)
    with pytest.raises(Pose3dError, match=r"of another run \(rate 0.002 there, 0.01 now"):
        train(replace(RECIPE, steps=1, rate=0.01), people, tmp_path, tell=lambda _: None)
    moved = replace(people, keypoints=people.keypoints + 1)  # as many, labelled otherwise
    with pytest.raises(Pose3dError, match=r"of another run \(labels_sha256"):
        train(replace(RECIPE, steps=1), moved, tmp_path, tell=lambda _: None)
    recipe = replace(RECIPE, width=8)
    with pytest.raises(Pose3dError, match="width 4, but the recipe says 8"):
        train(recipe, people, tmp_path / "x", init=tmp_path / "pose2d.safetensors")


@pytest.mark.slow
def test_it_learns(people, tmp_path):
    """Discs of one colour a joint are easy: half a minute finds many of them."""
    recipe = replace(RECIPE, width=8, size=(64, 96), steps=150, rate=5e-3, sigma=1.0)
    recipe = replace(recipe, variation=replace(STILL, shift=0.05), averaging=0.9)
    path = train(recipe, people, tmp_path, tell=lambda _: None)
    scores = measure(load_pose(path), people, "fp32", torch.device("cpu"))
    assert scores["pck10"] > 0.4
    fresh = measure(recipe.network().eval(), people, "fp32", torch.device("cpu"))
    assert fresh["pck10"] < 0.15


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[", "not a COCO keypoint file"),
        ('{"images": [], "annotations": []}', "nobody with labelled joints"),
        ('{"annotations": []}', "not a COCO keypoint file"),
    ],
)
def test_files_that_are_none(tmp_path, content, words):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(Pose3dError, match=words):
        read_people([path])


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("widht=3", "unknown part of the recipe 'widht'"),
        ("steps=many", "steps must be like 20000"),
        ("size=64", "size must be like 192x256"),
        ("size=100x100", "multiples of 32"),
        ("width=0", "width must be a whole number above zero"),
        ("batch=0", "batch must be 1 or more"),
        ("steps=0", "steps must be 1 or more"),
        ("rate=nan", "rate must be above 0"),
        ("precision=half", "precision must be one of fp32, bf16, fp16"),
        ("seed=-1", "seed must be 0 or more"),
        ("sides=nan", "sides must be 0 or more"),
        ("weight_decay=-1", "weight_decay must be 0 or more"),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path, capsys, setting, words):
    path = write_set(tmp_path)
    assert main([str(tmp_path / "run"), "--data", str(path), "--set", setting]) == 2
    assert words in capsys.readouterr().err


def test_devices_and_folders_that_cannot_be_used(people, tmp_path):
    with pytest.raises(Pose3dError, match="device 'foo' cannot be used: "):
        train(RECIPE, people, tmp_path / "a", device="foo")
    (tmp_path / "file").touch()
    with pytest.raises(Pose3dError, match="file: cannot be made"):
        train(RECIPE, people, tmp_path / "file", tell=lambda _: None)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_missing_picture_is_one_line(tmp_path, capsys, workers):
    path = write_set(tmp_path)
    for picture in (tmp_path / "images").iterdir():
        picture.unlink()
    settings = ["width=4", "modules=1x1x1", "size=32x64", "steps=2", "batch=2"]
    data = ["--data", str(path), "--workers", workers, "--set", *settings]
    assert main([str(tmp_path / "run"), *data]) == 2
    (line,) = (text for text in capsys.readouterr().err.splitlines() if "WARN" not in text)
    assert line.startswith(f"error: {tmp_path / 'images'}")


def test_boxes_of_no_size_are_left_out_and_others_must_be_numbers(tmp_path):
    path = write_set(tmp_path)
    content = json.loads(path.read_text())
    content["annotations"][0]["bbox"] = [10, 10, 0, 5]
    path.write_text(json.dumps(content))
    assert len(read_people([path])) == 5
    content["annotations"][1]["bbox"] = [10, 10, float("nan"), 5]
    path.write_text(json.dumps(content))
    with pytest.raises(Pose3dError, match="annotation 2 are not finite"):
        read_people([path])


def test_the_command(tmp_path, capsys):
    path = write_set(tmp_path)
    settings = ["width=4", "modules=1x1x1", "size=32x64", "steps=2", "batch=2"]
    data = ["--data", str(path), "--validation", str(path), "--set", *settings]
    assert main([str(tmp_path / "run"), *data]) == 0
    assert "pose2d.safetensors" in capsys.readouterr().out
    assert main([str(tmp_path / "run"), "--data", str(tmp_path / "no.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err
