"""The simulated fleet against answers that are known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.scale.model import Knobs, plan
from benchmarks.scale.simulation import Step, expected_with_deaths, jobs_of, simulate
from tests.benchmarks.scale_costs import COSTS, videos
from weights.errors import Pose3dError


def whole(*seconds, size=0.0):
    """Videos of one step each."""
    return [[[(Step(each, size),)]] for each in seconds]


def test_one_worker_takes_the_sum_and_one_start():
    run = simulate(whole(3, 1, 4, 1, 5), workers=1, start_s=7)
    assert run.wall == pytest.approx(21)
    assert run.busy == pytest.approx(14)
    assert (run.deaths, run.lost, run.tail) == (0, 0, 0)


@pytest.mark.parametrize(("jobs", "workers", "rounds"), [(12, 4, 3), (13, 4, 4), (3, 8, 1)])
def test_equal_videos_take_whole_rounds(jobs, workers, rounds):
    assert simulate(whole(*[10] * jobs), workers).wall == pytest.approx(10 * rounds)


def test_a_long_video_at_the_end_keeps_one_worker_busy_alone():
    run = simulate(whole(*[1] * 8, 50), workers=4)
    assert run.wall == pytest.approx(52)
    assert run.tail == pytest.approx(50)
    assert simulate(whole(50, *[1] * 8), workers=4).wall == pytest.approx(50)


def test_phases_wait_for_all_jobs_of_the_one_before():
    # Four parts of 10 s on two workers, then what needs all of them, then two parts of 3 s.
    video = [[(Step(10),)] * 4, [(Step(5),)], [(Step(3),)] * 2]
    assert simulate([video], workers=2).wall == pytest.approx(20 + 5 + 3)
    # The rest of a video goes before those that nobody has begun.
    assert simulate([video, *whole(100)], workers=1).wall == pytest.approx(151)


def test_reading_is_held_up_by_the_storage():
    # 4 workers want 4 x 100 MB/s, the storage gives 100: 8 GB take 80 s, whatever the workers.
    videos = whole(*[10] * 8, size=1e9)
    assert simulate(videos, workers=4, bandwidth=1e8).wall == pytest.approx(80)
    assert simulate(videos, workers=4, bandwidth=4e8).wall == pytest.approx(20)


def test_steps_that_read_nothing_are_not_held_up():
    # The reader, alone, gets 50 of the 100 MB/s that it wants; the other's 15 s are its own.
    videos = [[[(Step(10, 1e9),)]], [[(Step(15),)]]]
    run = simulate(videos, workers=2, bandwidth=5e7)
    assert run.wall == pytest.approx(20)
    # Two at half speed until the first ends at 20 s (1 GB at 50 MB/s), then one at full speed.
    videos = [[[(Step(10, 1e9),)]], [[(Step(20, 2e9),)]]]
    assert simulate(videos, workers=2, bandwidth=1e8).wall == pytest.approx(20 + 10)


def mean_wall(video, mtbf, times, workers=1):
    rng = np.random.default_rng(1)
    return np.mean([simulate([video], workers, mtbf_s=mtbf, rng=rng).wall for _ in range(times)])


def test_deaths_cost_what_the_exponential_law_says():
    # (e - 1) times the time between failures, for a step as long as it.
    expected = 100 * (math.e - 1)
    assert expected_with_deaths(100, 100) == pytest.approx(expected)
    # One of 4000 varies by 1.3 times its mean: 2 % at most are three standard errors.
    assert mean_wall([[(Step(100),)]], 100, 4000) == pytest.approx(expected, rel=0.06)


def test_a_death_loses_a_segment_and_not_the_video():
    parts = [[(Step(10),)] * 10]
    expected = 10 * 100 * math.expm1(0.1)
    assert mean_wall(parts, 100, 1500) == pytest.approx(expected, rel=0.03)
    # Steps that are done are kept as well.
    steps = [[tuple([Step(10)] * 10)]]
    assert mean_wall(steps, 100, 1500) == pytest.approx(expected, rel=0.03)


def test_everything_is_done_once_whatever_dies():
    rng = np.random.default_rng(5)
    work = [[[(Step(s, 1e6), Step(2 * s))], [(Step(1),)] * 3] for s in rng.uniform(1, 30, 200)]
    total = sum(step.seconds for video in work for phase in video for job in phase for step in job)
    run = simulate(work, 7, start_s=2, mtbf_s=60, bandwidth=3e5, rng=rng)
    assert run.deaths > 50
    assert run.busy == pytest.approx(total)
    assert run.wall > (total + run.lost) / 7


def test_without_deaths_or_tails_the_simulation_is_the_closed_form():
    # 400 videos of 10 s on 4 workers.
    many = videos(seconds=[10.0] * 400)
    made = plan(COSTS, many, Knobs())
    run = simulate(jobs_of(COSTS, many, Knobs()), workers=4)
    assert run.wall == pytest.approx(3600 * (made.cores - made.driver_hours) / 4)
    assert run.wall == pytest.approx(made.bounds_s(cores=4)["cores"])


def test_largest_first_leaves_no_long_one_for_the_end():
    # ms a frame: two decodings, 2D, lifting, drawing, encoding; 10 frames a second; a start of 2 s.
    many = replace(videos(seconds=[100.0] * 8 + [4000.0]), bytes=np.array([1e6] * 8 + [4e7]))
    short, long = (2 + each * 10 * (4 + 20 + 0.1 + 2 + 10) / 1000 for each in (100, 4000))
    walls = [
        simulate(jobs_of(COSTS, many, Knobs(), largest_first=first), workers=4).wall
        for first in (False, True)
    ]
    assert walls == pytest.approx([2 * short + long, long])


def test_segments_let_many_workers_do_one_video():
    one = videos(seconds=[1000.0])
    knobs = Knobs()
    alone = simulate(jobs_of(COSTS, one, knobs), workers=10)
    split = simulate(jobs_of(COSTS, one, knobs, segment_s=100, overlap_s=0), workers=10)
    assert alone.wall == pytest.approx(plan(COSTS, one, knobs).longest_s)
    # All but the lifting (1 s) a tenth, and 10 starts (2 s each) instead of one, side by side.
    lift = 1000 * 10 * COSTS.person["lift"]
    assert split.wall == pytest.approx((alone.wall - lift - 2) / 10 + lift + 2)
    with pytest.raises(Pose3dError, match="overlap"):
        jobs_of(COSTS, one, knobs, segment_s=1, overlap_s=2)
