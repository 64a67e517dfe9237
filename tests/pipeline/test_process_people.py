"""Who is there: frames with nobody, gaps, low scores, another person."""

import numpy as np
import pytest

import lifters3d
from pipeline.process import estimate, process_video
from pipeline.result import load_result
from pipeline.settings import Settings
from tests.pipeline.fakes import walking
from tests.pipeline.lifters import lift_sequence
from tests.pipeline.videos import stamps


def statuses(result):
    """Runs of equal statuses: [(status, length)]."""
    words = result.status[:, 0].tolist()
    runs = []
    for word in words:
        if runs and runs[-1][0] == word:
            runs[-1][1] += 1
        else:
            runs.append([word, 1])
    return [tuple(run) for run in runs]


def test_short_gaps_are_bridged_and_long_ones_are_not(tmp_path, pose, clip, tiny):
    gone = {0, 1, *range(10, 16), *range(25, 50), 58, 59}
    pose(absent=gone)
    path = clip(frames=60, size=(192, 108))
    outcome = process_video(path, tmp_path / "out", Settings(lifter=tiny, max_gap=0.3))
    result = outcome.result
    assert statuses(result) == [
        ("not_visible", 2),
        ("ok", 8),
        ("interpolated", 6),
        ("ok", 9),
        ("not_visible", 25),
        ("ok", 8),
        ("not_visible", 2),
    ]
    nobody = result.status[:, 0] == "not_visible"
    for array in (result.keypoints2d, result.scores2d, result.joints3d, result.root):
        assert np.isnan(array[nobody]).all()
        assert np.isfinite(array[~nobody]).all()
    ends = result.keypoints2d[[9, 16], 0]
    np.testing.assert_allclose(
        result.keypoints2d[12, 0], ends[0] + (ends[1] - ends[0]) * 3 / 7, rtol=1e-5
    )
    assert load_result(outcome.result_path) == result
    assert len(stamps(outcome.video_path)) == 60


def test_max_gap_0_bridges_nothing(pose, clip, tiny):
    pose(absent={5})
    result = estimate(clip(), Settings(lifter=tiny, max_gap=0.0))
    assert statuses(result) == [("ok", 5), ("not_visible", 1), ("ok", 6)]


def test_causal_bridges_nothing_even_between_frames_near_in_time(pose, clip, tiny):
    times = [0.0, 0.1, 0.2, 0.3, 0.31, 0.32, 0.42, 0.52]
    pose(absent={4})
    path = clip(times=times, name="jitter.mkv")
    result = estimate(path, Settings(lifter=tiny, causal=True))
    assert statuses(result) == [("ok", 4), ("not_visible", 1), ("ok", 3)]


@pytest.mark.parametrize("frames", [1, 5, 40])
def test_nobody_in_the_whole_video(tmp_path, pose, clip, tiny, frames):
    pose(absent=lambda index: True)
    outcome = process_video(clip(frames=frames), tmp_path / "out", Settings(lifter=tiny))
    assert statuses(outcome.result) == [("not_visible", frames)]
    assert outcome.result.warnings == ["no person was found in any frame"]
    assert np.isnan(outcome.result.joints3d).all()
    assert load_result(outcome.result_path) == outcome.result
    assert len(stamps(outcome.video_path)) == frames


def test_somebody_in_a_single_frame(tmp_path, pose, clip, tiny):
    pose(absent=lambda index: index != 7)
    outcome = process_video(clip(), tmp_path / "out", Settings(lifter=tiny))
    assert statuses(outcome.result) == [("not_visible", 7), ("ok", 1), ("not_visible", 4)]
    assert np.isfinite(outcome.result.root[7]).all()


def test_low_scores_are_marked(pose, clip, tiny):
    pose(scores=0.2, absent={3})
    result = estimate(clip(), Settings(lifter=tiny))
    assert statuses(result) == [("low_confidence", 3), ("interpolated", 1), ("low_confidence", 8)]
    assert np.isfinite(result.joints3d).all()


def test_another_person_is_lifted_apart(pose, clip, tiny):
    """The detector goes over to somebody else: neither is mixed with the other."""

    def place(index, size):
        return walking(index, size) + (0 if index < 20 else 400)

    path = clip(frames=40, size=(640, 360))
    pose(place=place, absent=range(18, 20))
    result = estimate(path, Settings(lifter=tiny, precision="fp32", smooth="none"))
    assert statuses(result) == [("ok", 18), ("not_visible", 2), ("ok", 20)]
    assert len(result.warnings) == 1
    assert "at 0.67 s" in result.warnings[0]
    lifter = lifters3d.load(tiny)
    for frames in (slice(0, 18), slice(20, 40)):
        alone = lift_sequence(
            lifter, result.keypoints2d[frames, 0], result.time_s[frames], (640, 360)
        )
        np.testing.assert_allclose(result.joints3d[frames, 0], alone, atol=1e-5)


def test_joints_far_outside_of_the_picture(tmp_path, pose, clip, tiny):
    pose(place=lambda index, size: walking(index, size) * 50 - 4000)
    outcome = process_video(clip(), tmp_path / "out", Settings(lifter=tiny))
    assert np.isfinite(outcome.result.joints3d).all()
    assert len(stamps(outcome.video_path)) == 12
