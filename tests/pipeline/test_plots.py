"""Pictures of a result: the lines that they hold, and what is refused."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Polygon, Rectangle

from pipeline.angles import joint_angles
from pipeline.comparison import compare_poses, read_poses
from pipeline.plots import BRIDGED, SIDES, draw_comparison, draw_result, save_figure
from pipeline.world import up_direction
from tests.pipeline.walk_result import WALK, walk_result
from weights.errors import Pose3dError


def panels(figure):
    """Heading of every panel: {label: line}."""
    return {
        axes.get_title("left"): {line.get_label(): line for line in axes.lines}
        for axes in figure.axes
    }


def test_left_and_right_in_one_panel():
    result = walk_result(60)
    figure = draw_result(result, "walk.npz", angles=["knee"])
    assert [text.get_text() for text in figure.texts] == ["walk.npz, person 1"]
    (axes,) = figure.axes
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("degrees", "time, s")
    assert axes.get_title("left") == "knee flexion"
    assert axes.get_title("right").startswith("0 straight, positive bent")
    lines = panels(figure)["knee flexion"]
    expected = joint_angles(result.joints3d[:, 0])
    assert list(lines) == ["right", "left"]
    for side, line in lines.items():
        np.testing.assert_array_equal(line.get_xdata(), result.time_s)
        np.testing.assert_array_equal(line.get_ydata(), expected[f"knee_flexion_{side[0]}"])
        assert line.get_color() == SIDES[side]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["right", "left"]


def test_a_part_of_a_name_chooses():
    figure = draw_result(
        walk_result(30), "", angles=["HIP", "trunk_lean"], speeds=["wrist"], heights=["ankle"]
    )
    found = {heading: len(lines) for heading, lines in panels(figure).items()}
    assert found == {
        "hip flexion": 2,
        "hip adduction": 2,
        "trunk lean forward": 1,
        "trunk lean right": 1,
        "wrist speed": 2,
        "ankle height": 2,
    }
    units = [axes.get_ylabel() for axes in figure.axes]
    assert units == ["degrees"] * 4 + ["m/s", "m"]
    # One time axis under all of them.
    assert [bool(axes.get_xlabel()) for axes in figure.axes] == [False] * 5 + [True]


def test_the_sides_are_not_exchanged():
    """Joint 13 of Human3.6M is the left wrist."""
    result = walk_result(30)
    result.joints3d[:, 0, 13] += np.linspace(0, 1, 30)[:, None] * [1, 0, 0]
    figure = draw_result(walk_result(30), "", speeds=["wrist"])
    moved = draw_result(result, "", speeds=["wrist"])
    before, after = panels(figure)["wrist speed"], panels(moved)["wrist speed"]
    np.testing.assert_array_equal(before["right"].get_ydata(), after["right"].get_ydata())
    assert np.abs(before["left"].get_ydata() - after["left"].get_ydata()).max() > 0.1


def test_gaps_stay_gaps_and_bridges_are_shaded():
    result = walk_result(60)
    result.joints3d[20:30] = np.nan
    result.joints3d[25] = walk_result(60).joints3d[25]
    result.status[40:43] = "interpolated"
    result.status[50] = "interpolated"
    figure = draw_result(result, "", angles=["knee", "elbow"])
    for axes, lines in zip(figure.axes, panels(figure).values(), strict=True):
        values = lines["left"].get_ydata()
        absent = [*range(20, 25), *range(26, 30)]
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(values)), absent)
        # A line has no ink for a frame alone.
        assert lines["left"].get_markevery() == [25]
        spans = [
            patch.get_extents().transformed(axes.transData.inverted())
            for patch in axes.patches
            if isinstance(patch, (Rectangle, Polygon))
        ]
        edges = np.array([[span.x0, span.x1] for span in spans]) * 30
        np.testing.assert_allclose(edges, [[39.5, 42.5], [49.5, 50.5]], atol=1e-6)
        assert {to_hex(patch.get_facecolor()).upper() for patch in axes.patches} == {BRIDGED}
    assert figure.legends[0].get_texts()[-1].get_text() == "interpolated"


def test_heights_are_above_the_floor():
    figure = draw_result(walk_result(225), "", heights=["ankle", "head"])
    lines = panels(figure)
    ankle = np.minimum(*(line.get_ydata() for line in lines["ankle height"].values()))
    assert 0.05 < np.median(ankle) < 0.12
    (head,) = lines["head height"].values()
    assert 1.4 < np.median(head.get_ydata()) < 2.0


def test_who_is_drawn():
    result = walk_result(40, people=2)
    result.joints3d[:30, 0] = np.nan
    expected = joint_angles(result.joints3d[:, 1], up=up_direction(result.joints3d))
    for person in (None, 2):  # 2 is seen longer
        figure = draw_result(result, "a", angles=["elbow"], person=person)
        assert figure.texts[0].get_text() == "a, person 2"
        line = panels(figure)["elbow flexion"]["right"]
        np.testing.assert_array_equal(line.get_ydata(), expected["elbow_flexion_r"])
    figure = draw_result(result, "a", angles=["elbow"], person=1)
    assert np.isnan(panels(figure)["elbow flexion"]["right"].get_ydata()[:30]).all()


def test_one_frame_can_be_drawn(tmp_path):
    save_figure(draw_result(walk_result(1), "", angles=["knee"]), tmp_path / "a.png")


@pytest.mark.parametrize(
    ("suffix", "begins"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".SVG", b"<?xml")]
)
def test_formats(tmp_path, suffix, begins):
    figure = draw_result(walk_result(20), "läufer $x_$ 走.npz", angles=["knee"])
    path = tmp_path / f"knee{suffix}"
    save_figure(figure, path)
    assert path.read_bytes().startswith(begins)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"angles": ["knees"]}, "unknown angle 'knees': choose of hip_flexion, .*knee_flexion"),
        ({"speeds": ["finger"]}, "unknown joint 'finger': choose of pelvis, hip, .*wrist"),
        ({"heights": ["finger"]}, "unknown joint 'finger'"),
        ({"angles": ["knee"], "person": 7}, "no person 7 in it: it has 1, 2"),
        ({"angles": ["knee"], "person": 2}, "person 2 has no 3D pose"),
        ({}, "nothing to draw: choose angles, speeds or heights"),
    ],
)
def test_refused(choice, words):
    result = walk_result(10, people=2)
    result.joints3d[:, 1] = np.nan
    with pytest.raises(Pose3dError, match=words):
        draw_result(result, "", **choice)


def test_nobody_to_draw():
    for result in (walk_result(0), walk_result(5, people=0)):
        with pytest.raises(Pose3dError, match="nobody was found"):
            draw_result(result, "", angles=["knee"])
    with pytest.raises(Pose3dError, match=r"a\.jpg: choose a name that ends in \.png"):
        save_figure(draw_result(walk_result(5), "", angles=["knee"]), "a.jpg")


def test_a_comparison(tmp_path):
    result = walk_result(60)
    result.joints3d[:, 0, 13, 0] += 0.034
    result.joints3d[20:25] = np.nan
    comparison = compare_poses(read_poses(result.save(tmp_path / "a.npz")), read_poses(WALK))
    figure = draw_comparison(comparison)
    assert figure.texts[0].get_text() == "a.npz against walk.npz"
    over_time, by_joint = figure.axes
    assert (over_time.get_ylabel(), by_joint.get_ylabel()) == ("mm", "mm")
    line, aligned = over_time.lines
    assert (line.get_label(), aligned.get_label()) == ("MPJPE", "P-MPJPE")
    # The truth has 225 frames.
    seen = np.setdiff1d(np.arange(60), np.arange(20, 25))
    np.testing.assert_array_equal(np.flatnonzero(np.isfinite(line.get_ydata())), seen)
    np.testing.assert_allclose(line.get_ydata()[seen], 2, atol=1e-3)
    heights = [bar.get_height() for bar in by_joint.containers[0]]
    np.testing.assert_allclose(heights, 34 * (np.arange(17) == 13), atol=1e-3)
    assert [label.get_text() for label in by_joint.get_xticklabels()][13] == "LWrist"
