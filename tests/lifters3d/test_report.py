"""The table, the JSON file and the picture of an evaluation show its numbers."""

import io
import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from rich.console import Console

from lifters3d.evaluation.protocols import H36M_ACTIONS, evaluate_clips
from lifters3d.evaluation.report import BLUE, PINK, save_json, save_plot, show
from lifters3d.skeleton import JOINT_NAMES
from weights.errors import Pose3dError


def results_of(actions, protocol="h36m", frames=3, root="keep"):
    """Results with an error of 10, 20, ... mm in the actions (or sequences)."""
    random = np.random.default_rng(0)
    clips = [
        SimpleNamespace(
            name=action,
            action=action,
            joints=random.normal(size=(frames, 17, 3)),
            valid=np.ones(frames, bool),
            frame_rate=50.0,
        )
        for action in actions
    ]
    predictions = []
    for number, clip in enumerate(clips, start=1):
        away = random.normal(size=(frames, 17, 3))
        away *= 0.01 * number / np.linalg.norm(away, axis=-1, keepdims=True)
        predictions.append(clip.joints - clip.joints[:, :1] + away)
    return evaluate_clips(predictions, clips, root=root, protocol=protocol)


def printed(results, title="", **console):
    text = io.StringIO()
    show(results, Console(file=text, **console), title)
    return text.getvalue()


def rows_of(text):
    """First cell -> the other cells, of all lines that end in a number or a dash."""
    lines = [line.split() for line in text.splitlines()]
    return {line[0]: line[1:] for line in lines if len(line) > 2 and line[-1][-1] in "-0123456789"}


def test_table_shows_the_numbers():
    results = results_of(H36M_ACTIONS)
    text = printed(results, "mixste on gt", width=1000)
    assert text.startswith("Human3.6M protocol: mixste on gt\n")
    rows = rows_of(text)
    assert rows["Eating"][0] == "30.0"
    assert rows["WalkTogether"][0] == "150.0"
    mean = results.mean
    assert rows["mean"] == [
        "80.0",
        f"{mean.p_mpjpe_mm:.1f}",
        f"{mean.n_mpjpe_mm:.1f}",
        f"{mean.mpjve_mm_per_frame:.2f}",
        f"{50 * mean.mpjve_mm_per_frame:.0f}",
        "45",
    ]
    assert rows["RKnee"][0] == f"{mean.joint_mpjpe_mm[2]:.1f}"
    assert set(JOINT_NAMES) < rows.keys()
    assert "mean: plain mean of 15 actions, as papers report." in text
    assert "root stays and counts" in text
    assert "Not the papers' test set" not in text
    assert "PCK" not in text


def test_table_of_mpi_inf_3dhp():
    results = results_of(["TS1", "TS2"], "3dhp", root="subtract")
    text = printed(results, width=1000)
    assert rows_of(text)["TS2"][5:7] == ["100.0", f"{results.groups['TS2'].auc_percent:.1f}"]
    assert "all frames: each alike, as papers report." in text
    assert "14 joints" in text


def test_table_says_what_is_not_the_papers_test_set_or_not_measured():
    text = printed(results_of(["Eating", "Photo"], frames=1), width=1000)
    assert "it has 2 of their 15 actions" in text
    assert rows_of(text)["Eating"][3:5] == ["-", "-"]


@pytest.mark.parametrize(("protocol", "actions"), [("h36m", H36M_ACTIONS), ("3dhp", ["TS1"])])
def test_table_fits_a_terminal(protocol, actions):
    results = results_of(actions, protocol, frames=1500)
    text = printed(results, width=80, force_terminal=True, color_system=None)
    assert max(map(len, text.splitlines())) <= 80
    assert "all frames " in text
    assert "…" not in text


def test_names_are_shown_as_they_are():
    text = printed(results_of(["[red]a:smile:"]), "[bold]x", width=200)
    assert "[red]a:smile:" in text
    assert "[bold]x" in text


def test_json_holds_all_numbers(tmp_path):
    results = results_of(["TS1", "TS2"], "3dhp", root="zero")
    path = tmp_path / "errors.json"
    save_json(results, path, {"lifter": "mixste"})

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    content = json.loads(path.read_text("utf-8"), parse_constant=refuse)
    assert content["format"] == "pose3d-evaluation"
    assert content["about"] == {"lifter": "mixste"}
    assert (content["protocol"], content["root"]) == ("3dhp", "zero")
    assert content[content["headline"]]["mpjpe_mm"] == results.headline.mpjpe_mm
    assert content["groups"].keys() == {"TS1", "TS2"}
    errors = content["groups"]["TS2"]
    assert errors.keys() == vars(results.pooled).keys()
    for key in errors.keys() - {"frames"}:
        assert key.endswith(("_mm", "_mm_per_frame", "_mm_per_s", "_percent"))
    assert errors["auc_percent"] == results.groups["TS2"].auc_percent
    assert errors["joint_p_mpjpe_mm"]["Head"] == results.groups["TS2"].joint_p_mpjpe_mm[10]
    assert list(tmp_path.iterdir()) == [path]


def test_json_has_null_for_what_is_not_measured(tmp_path):
    save_json(results_of(["Eating"], frames=1), tmp_path / "errors.json")
    errors = json.loads((tmp_path / "errors.json").read_text())["mean"]
    assert errors["mpjve_mm_per_frame"] is None
    assert errors["joint_mpjve_mm_per_frame"]["Hip"] is None
    assert errors["pck_150mm_percent"] is None


def bars(picture, colour, half):
    """Lengths in px of the bars of a colour in the left (0) or right (1) half, from the top."""
    red, green, blue = bytes.fromhex(colour[1:])
    width = picture.shape[1] // 2
    mask = (picture[:, half * width : (half + 1) * width] == (blue, green, red)).all(-1)
    count, _, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    boxes = [boxes[number] for number in range(1, count) if boxes[number][3] > 11]
    return [box[2] for box in sorted(boxes, key=lambda box: box[1])]


def test_bars_are_as_long_as_the_errors(tmp_path):
    results = results_of(H36M_ACTIONS)
    save_plot(results, tmp_path / "errors.png", "a $title")
    picture = cv2.imread(str(tmp_path / "errors.png"))
    lengths = bars(picture, BLUE, 0)
    expected = np.array([*range(10, 151, 10), 80])
    assert len(lengths) == len(expected)
    scale = lengths[14] / 150
    np.testing.assert_allclose(lengths, expected * scale, atol=3)
    # The same scale right of it.
    joints = results.mean.joint_mpjpe_mm
    np.testing.assert_allclose(bars(picture, BLUE, 1), joints * scale, atol=3)
    assert list(tmp_path.iterdir()) == [tmp_path / "errors.png"]


def test_picture_of_mpi_inf_3dhp_shows_auc(tmp_path):
    results = results_of([f"TS{n}" for n in range(1, 7)], "3dhp", root="subtract")
    save_plot(results, tmp_path / "errors.png")
    lengths = bars(cv2.imread(str(tmp_path / "errors.png")), PINK, 0)
    shares = [errors.auc_percent for errors in (*results.groups.values(), results.pooled)]
    np.testing.assert_allclose(lengths, np.array(shares) * lengths[0] / shares[0], atol=3)


def test_a_picture_of_very_many_actions_shows_the_worst(tmp_path):
    results = results_of([f"action{n}" for n in range(60)], frames=1)
    save_plot(results, tmp_path / "errors.png", "long " * 100)
    picture = cv2.imread(str(tmp_path / "errors.png"))
    lengths = bars(picture, BLUE, 0)
    assert len(lengths) == 41
    np.testing.assert_allclose(lengths[:40], np.arange(600, 200, -10) * lengths[0] / 600, atol=3)
    assert picture.shape[0] < 2000


@pytest.mark.parametrize("save", [save_json, save_plot])
def test_unwritable_places_are_named(tmp_path, save):
    target = tmp_path / "missing" / "errors"
    with pytest.raises(Pose3dError, match=r"errors: cannot be written \(No such file"):
        save(results_of(["Eating"]), target)
