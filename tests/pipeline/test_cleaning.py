import numpy as np
import pytest

from pipeline.cleaning import fill_gaps, fill_joints, segments


def presence(text):
    return np.array([c == "x" for c in text])


def test_a_straight_path_with_uneven_times_is_restored():
    # A phone's uneven frames: interpolation by frame number would be wrong by up to 5 px.
    time_s = np.array([0.0, 0.033, 0.066, 0.150, 0.166, 0.2, 0.3, 0.333])
    path = np.stack([100 + 120 * time_s, 50 - 300 * time_s], -1)[:, None, :].repeat(17, 1)
    present = presence("xx...xxx")
    values = np.where(present[:, None, None], path, -1e6)
    filled, interpolated = fill_gaps(values, present, time_s)
    np.testing.assert_allclose(filled, path, atol=1e-4)
    assert filled.dtype == np.float32
    assert interpolated.tolist() == [False, False, True, True, True, False, False, False]


@pytest.mark.parametrize(("missing", "bridged"), [(1, True), (15, True), (16, False)])
@pytest.mark.parametrize("start_s", [0.0, 7200.0])
def test_half_a_second_at_30_frames_is_15_frames(missing, bridged, start_s):
    present = presence("xx" + "." * missing + "xx")
    time_s = start_s + np.arange(len(present)) / 30
    filled, interpolated = fill_gaps(np.ones((len(present), 4)), present, time_s, 0.5)
    assert interpolated.sum() == (missing if bridged else 0)
    assert np.isnan(filled[2:-2]).all() != bridged
    assert (filled[present] == 1).all()


def test_gap_is_measured_in_time_not_in_frames():
    present = presence("xx..xx")
    slow, fast = np.arange(6) / 2.0, np.arange(6) / 240.0
    assert not fill_gaps(np.ones((6, 2)), present, slow, 0.5)[1].any()
    assert fill_gaps(np.ones((6, 2)), present, fast, 0.5)[1].sum() == 2


def test_nothing_is_made_up_outside_and_long_gaps_stay_empty():
    present = presence("..x.x....x..")
    time_s = np.arange(12) / 10
    values = np.arange(12.0)[:, None]
    filled, interpolated = fill_gaps(values, present, time_s, 0.15)
    assert np.flatnonzero(interpolated).tolist() == [3]
    assert filled[3, 0] == 3
    assert np.flatnonzero(~np.isnan(filled[:, 0])).tolist() == [2, 3, 4, 9]
    assert segments(present | interpolated) == [(2, 5), (9, 10)]


@pytest.mark.parametrize("text", ["", ".", "x", "...", "xxx", "x..", "..x"])
def test_clips_without_a_gap_between_frames(text):
    present = presence(text)
    values = np.ones((len(text), 17, 2))
    filled, interpolated = fill_gaps(values, present, np.arange(len(text)) / 30)
    assert not interpolated.any()
    assert np.array_equal(np.isfinite(filled).all((1, 2)), present)


def test_equal_times_do_not_divide_by_zero():
    filled, interpolated = fill_gaps(np.ones((3, 1)), presence("x.x"), np.zeros(3))
    assert interpolated[1]
    assert filled[1, 0] == 1


def test_input_is_not_changed():
    values = np.zeros((3, 2))
    fill_gaps(values, presence("x.x"), np.arange(3) / 30)
    fill_joints(np.zeros((3, 17, 2)), np.zeros((3, 17)), np.arange(3) / 30)
    assert (values == 0).all()


@pytest.mark.parametrize(
    ("present", "time_s"),
    [([True] * 3, [0, 1]), ([True] * 2, [0, 1, 2]), ([True] * 3, [0, 2, 1])],
)
def test_wrong_arrays_are_refused(present, time_s):
    with pytest.raises(ValueError, match=r"time_s|present"):
        fill_gaps(np.ones((3, 2)), np.array(present), np.array(time_s, float))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("...", []),
        ("xxx", [(0, 3)]),
        ("x..xx.x", [(0, 1), (3, 5), (6, 7)]),
        (".x.", [(1, 2)]),
    ],
)
def test_segments(text, expected):
    assert segments(presence(text)) == expected


def walk(frames=20):
    time_s = np.arange(frames) / 25
    keypoints = np.arange(34.0).reshape(17, 2) + 200 * time_s[:, None, None]
    return keypoints, np.full((frames, 17), 0.9), time_s


def test_low_joint_is_replaced_and_the_others_are_not():
    truth, scores, time_s = walk()
    keypoints = truth.copy()
    keypoints[8:11, 9] += 80  # a wrist that jumped to the other one
    scores[8:11, 9] = 0.1
    filled, interpolated = fill_joints(keypoints, scores, time_s, min_score=0.3)
    np.testing.assert_allclose(filled, truth, atol=1e-4)
    assert np.argwhere(interpolated).tolist() == [[8, 9], [9, 9], [10, 9]]


def test_low_joint_stays_when_the_gap_is_long_or_open():
    keypoints, scores, time_s = walk()
    keypoints = keypoints + np.random.default_rng(0).normal(0, 5, keypoints.shape)
    scores[3:17, 5] = 0.1  # 14 frames of 0.04 s: 0.56 s
    scores[:2, 6] = np.nan
    scores[-2:, 7] = 0.1
    filled, interpolated = fill_joints(keypoints, scores, time_s, 0.3, 0.5)
    np.testing.assert_array_equal(filled, keypoints.astype(np.float32))
    assert not interpolated.any()
    assert fill_joints(keypoints, scores, time_s, 0.3, 0.56)[1].sum() == 14


def test_one_missing_joint_is_filled_but_an_absent_person_is_not():
    truth, scores, time_s = walk()
    keypoints = truth.copy()
    keypoints[4, 2] = np.nan
    keypoints[9:11] = np.nan
    scores[9:11] = np.nan
    scores[8, 3] = 0  # its next good neighbour is behind the absence
    filled, interpolated = fill_joints(keypoints, scores, time_s)
    assert np.isnan(filled[9:11]).all()
    seen = np.delete(np.arange(20), [9, 10])
    np.testing.assert_allclose(filled[seen], truth[seen], atol=1e-4)
    assert np.argwhere(interpolated).tolist() == [[4, 2], [8, 3]]
