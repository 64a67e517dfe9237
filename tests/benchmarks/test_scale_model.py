"""The cost model against sums done by hand."""

import numpy as np
import pytest

from benchmarks.scale.model import Knobs, Mix, draw_videos, line, plan, spread_of
from tests.benchmarks.scale_costs import COSTS, videos
from weights.errors import Pose3dError


def test_lines_through_points():
    assert line([[1, 5], [2, 7], [4, 11]]) == pytest.approx((3, 2))
    # Neither part is negative: a cost that falls with the size is a constant, and none is below 0.
    assert line([[1, 2], [2, 5]])[0] == 0
    assert line([[1, 5], [2, 4]])[1] == 0
    assert line([[2, 6]]) == pytest.approx((0, 3))


def test_costs_of_one_hour_by_hand():
    # 3600 s at 10 frames/s of 1 megapixel: 36,000 frames.
    made = plan(COSTS, videos([3600.0], size=1e9), Knobs())
    expected = {
        "find": 0.03, "hash": 1, "start": 2, "decode": 2 * 72, "2d": 720, "lift": 3.6, "draw": 72,
        "encode": 360,
    }  # fmt: skip
    assert {stage: 3600 * hours for stage, hours in made.core_hours.items()} == (
        pytest.approx(expected)
    )
    assert made.gpu_hours == 0
    assert made.read == 3e9
    assert made.stored_bytes == pytest.approx(
        {"results": 18e6, "kept 2D": 3.6e6, "rendered": 720e6, "records": 4000}
    )
    assert sum(made.files.values()) == 4
    assert made.longest_s == pytest.approx(sum(expected.values()) - 1.03)


def test_knobs_turn_what_they_name():
    one = videos([3600.0], size=1e9)
    base = plan(COSTS, one, Knobs())
    plain = plan(COSTS, one, Knobs(render=False))
    assert plain.core_hours["draw"] == plain.core_hours["encode"] == 0
    assert plain.core_hours["decode"] == base.core_hours["decode"] / 2
    assert plain.read == 2e9
    assert plain.files["rendered"] == plain.stored_bytes["rendered"] == 0
    third = plan(COSTS, one, Knobs(stride=3))
    assert third.core_hours["2d"] == pytest.approx(base.core_hours["2d"] / 3)
    assert third.core_hours["decode"] == base.core_hours["decode"]
    all_people = plan(COSTS, one, Knobs(pose2d="hrnet", people=3, detector_s=0.1, detector_every=5))
    assert 3600 * all_people.core_hours["2d"] == pytest.approx(36000 * (3 * 0.2 + 0.02))
    assert 3600 * all_people.core_hours["lift"] == pytest.approx(3 * 3.6)
    on_gpu = plan(COSTS, one, Knobs(pose2d="hrnet", gpu_factor=100))
    assert on_gpu.core_hours["2d"] == on_gpu.core_hours["lift"] == 0
    assert 3600 * on_gpu.gpu_hours == pytest.approx((36000 * 0.2 + 3.6) / 100)


def test_pictures_are_drawn_no_larger_than_full_hd():
    full, four = (plan(COSTS, videos([100.0], megapixels=m), Knobs()) for m in (2.0736, 8.2944))
    assert four.core_hours["encode"] == pytest.approx(full.core_hours["encode"])
    assert four.stored_bytes["rendered"] == pytest.approx(full.stored_bytes["rendered"])
    assert four.core_hours["decode"] == pytest.approx(4 * full.core_hours["decode"])


def test_what_stands_in_the_way():
    made = plan(COSTS, videos([100.0] * 36), Knobs(render=False))
    work = 36 * (2 + 1000 * (2e-3 + 20e-3 + 1e-4))
    bounds = made.bounds_s(cores=10, bandwidth=1e6)
    assert bounds["cores"] == pytest.approx(work / 10)
    assert bounds["longest video"] == pytest.approx(work / 36)
    assert bounds["one driver"] == pytest.approx(36 * (0.03 + 1e-3))
    assert bounds["storage"] == pytest.approx(72)
    assert made.times(10).bounds_s(cores=100)["cores"] == pytest.approx(work / 10)


def test_money_is_prices_times_amounts():
    made = plan(COSTS, videos([3600.0]), Knobs(pose2d="hrnet", gpu_factor=10, render=False))
    stored = sum(made.stored_bytes.values()) / 1e9
    assert made.money(0.5, 2.0, 0.1, 12) == pytest.approx(
        0.5 * made.cores + 2 * made.gpu_hours + 1.2 * stored
    )


def test_drawn_videos_are_distributed_as_told():
    mix = Mix(sizes=((1000, 1000, 3.0), (2000, 1000, 1.0)), bits=0.08, rate=25)
    drawn = draw_videos(mix, 5000, np.random.default_rng(0))
    assert drawn.hours == pytest.approx(5000)
    assert np.median(drawn.seconds) == pytest.approx(240, rel=0.03)
    # exp(mu + sigma^2 / 2), of which the cut at ten hours takes little.
    assert drawn.seconds.mean() == pytest.approx(240 * np.exp(1.3**2 / 2), rel=0.03)
    assert (drawn.megapixels == 2).mean() == pytest.approx(0.25, abs=0.01)
    # 0.08 bits of 25 pictures a second of a million pixels are 250,000 bytes.
    assert drawn.bytes / drawn.seconds / drawn.megapixels == pytest.approx(250_000)


def test_videos_cost_as_measured_ones_did():
    # 100 frames of 1 megapixel: decoding 0.2 s a pass, start 2, 2D 2, lifting 0.01, drawing 1.2.
    clip = {"seconds": 10, "megapixels": 1, "rate": 10, "bytes": 1e6, "codec": "h264"}
    clip["core_s"] = {"detect": 2 + 0.2 + 3, "lift": 0.02, "render": 0.2 + 0.6}
    spread = spread_of(COSTS, [clip])
    assert spread == pytest.approx(np.array([[1.5, 2, 0.5]]))
    usual, drawn = (draw_videos(Mix(), 50, np.random.default_rng(0), s) for s in (None, spread))
    base, made = plan(COSTS, usual, Knobs()).core_hours, plan(COSTS, drawn, Knobs()).core_hours
    ratios = {stage: made[stage] / base[stage] for stage in made}
    expected = {"2d": 1.5, "lift": 2, "draw": 0.5, "encode": 0.5}
    assert ratios == pytest.approx(dict.fromkeys(ratios, 1.0) | expected)


def test_no_hours_are_refused():
    with pytest.raises(Pose3dError, match="--hours"):
        draw_videos(Mix(), 0, np.random.default_rng(0))


@pytest.mark.parametrize(
    "wrong", [{"pose2d": "openpose"}, {"stride": 0}, {"gpu_factor": 5.0}, {"people": -1}]
)
def test_wrong_knobs_are_refused(wrong):
    with pytest.raises(Pose3dError, match="--"):
        Knobs(**wrong)
