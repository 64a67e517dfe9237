"""Whole test sets: held against an implementation in plain loops, and against known errors."""

import math
import weakref
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lifters3d.evaluation.protocols import H36M_ACTIONS, PAPERS_ROOT, evaluate_clips
from lifters3d.registry import BUILDERS
from weights.errors import Pose3dError

DATA = Path(__file__).parents[1] / "data" / "metrics.npz"
TO_H36M = [14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4]  # of MPI-INF-3DHP


@dataclass
class Clip:
    joints: np.ndarray
    action: str = "Walking"
    name: str = "clip"
    valid: np.ndarray = None
    frame_rate: float = 50.0
    subject: str = "S9"

    def __post_init__(self):
        if self.valid is None:
            self.valid = np.ones(len(self.joints), bool)


def walk(random, frames, joints=17):
    """A person who drifts in front of the camera, metres."""
    path = np.cumsum(random.normal(0, 0.02, (frames, joints, 3)), axis=0)
    return path + random.normal(0, 0.3, (joints, 3)) + [0.5, 0.2, 4.0]


def a_test_set(seed=0):
    """Clips of three actions of uneven length, some with frames that do not count."""
    random = np.random.default_rng(seed)
    clips = []
    for subject in ("S9", "S11"):
        for take, frames in (("Walking", 9), ("Walking 1", 4), ("Eating", 6), ("Photo 2", 1)):
            for camera in range(2):
                valid = random.random(frames + camera) < 0.8
                valid[0] = True
                joints = walk(random, frames + camera)
                clips.append(Clip(joints, take, f"{subject} {take} {camera}", valid))
    noise = {"Walking": 0.02, "Eating": 0.05, "Photo": 0.1}
    predictions = [
        clip.joints
        - clip.joints[:, :1]
        + random.normal(0, noise[clip.action.split()[0]], clip.joints.shape)
        for clip in clips
    ]
    return predictions, clips


def distance(a, b):
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def slow(predictions, clips, root):
    """Errors of every action, mm, in loops; poses of 17 joints with root 0."""
    found = {}
    for poses, clip in zip(predictions, clips, strict=True):
        group = found.setdefault(
            clip.action.split()[0], {"mpjpe": [], "p": [], "n": [], "joint3": [], "moves": []}
        )
        kept = {}
        for number in range(len(clip.valid)):
            if not clip.valid[number]:
                continue
            p = [1000 * joint for joint in poses[number]]
            t = [1000 * (joint - clip.joints[number][0]) for joint in clip.joints[number]]
            if root == "subtract":
                p = [joint - p[0] for joint in p]
            if root == "zero":
                p[0] = np.zeros(3)
            kept[number] = p, t
            group["mpjpe"].append(sum(map(distance, p, t)) / 17)
            group["joint3"].append(distance(p[3], t[3]))
            p, t = np.array(p), np.array(t)
            best = (p * t).sum() / (p * p).sum()
            group["n"].append(sum(map(distance, best * p, t)) / 17)
            middle_p, middle_t = p - p.mean(0), t - t.mean(0)
            turned = Rotation.align_vectors(middle_t, middle_p)[0].apply(middle_p)
            best = (turned * middle_t).sum() / (turned * turned).sum()
            group["p"].append(sum(map(distance, best * turned, middle_t)) / 17)
        moves = []
        for number, (p, t) in kept.items():
            if number - 1 in kept:
                before_p, before_t = kept[number - 1]
                for joint in range(17):
                    moves.append(distance(p[joint] - before_p[joint], t[joint] - before_t[joint]))
        if moves:
            group["moves"].append((len(kept), sum(moves) / len(moves)))
    return found


def mean(values):
    return sum(values) / len(values) if values else math.nan


def mean_move(moves):
    return sum(n * v for n, v in moves) / sum(n for n, _ in moves) if moves else math.nan


@pytest.mark.parametrize("root", ["subtract", "zero", "keep"])
def test_equals_plain_loops(root):
    predictions, clips = a_test_set()
    results = evaluate_clips(predictions, clips, root=root)
    expected = slow(predictions, clips, root)
    assert list(results.groups) == ["Eating", "Photo", "Walking"]
    for name, group in expected.items():
        errors = results.groups[name]
        assert errors.frames == len(group["mpjpe"])
        assert errors.mpjpe_mm == pytest.approx(mean(group["mpjpe"]))
        assert errors.p_mpjpe_mm == pytest.approx(mean(group["p"]))
        assert errors.n_mpjpe_mm == pytest.approx(mean(group["n"]))
        assert errors.joint_mpjpe_mm[3] == pytest.approx(mean(group["joint3"]))
        velocity = mean_move(group["moves"])
        assert errors.mpjve_mm_per_frame == pytest.approx(velocity, nan_ok=True)
        assert errors.mpjve_mm_per_s == pytest.approx(50 * velocity, nan_ok=True)
    groups = expected.values()
    assert results.mean.mpjpe_mm == pytest.approx(mean([mean(g["mpjpe"]) for g in groups]))
    assert results.mean.p_mpjpe_mm == pytest.approx(mean([mean(g["p"]) for g in groups]))
    assert results.pooled.mpjpe_mm == pytest.approx(mean([e for g in groups for e in g["mpjpe"]]))
    moves = [move for g in groups for move in g["moves"]]
    assert results.pooled.mpjve_mm_per_frame == pytest.approx(mean_move(moves))
    assert results.mean.frames == results.pooled.frames == sum(len(g["mpjpe"]) for g in groups)
    assert results.headline is results.mean


def test_equals_the_papers_code():
    with np.load(DATA) as file:
        golden = {key: value.astype(np.float64) for key, value in file.items()}
    # Both moved by the true root: distances and differences of velocities stay.
    predicted = golden["predicted"] - golden["target"][:, :1]
    errors = evaluate_clips([predicted], [Clip(golden["target"])], root="keep").pooled
    assert errors.mpjpe_mm == pytest.approx(1000 * golden["mpjpe"], abs=1e-4)
    assert errors.p_mpjpe_mm == pytest.approx(1000 * golden["p_mpjpe"], abs=1e-3)
    assert errors.mpjve_mm_per_frame == pytest.approx(1000 * golden["mpjve"], abs=1e-4)


@pytest.mark.parametrize(
    ("root", "joints"), [("subtract", [0, 30]), ("zero", [0, 0]), ("keep", [30, 0])]
)
def test_what_becomes_of_the_root(root, joints):
    """The prediction errs by 30 mm in the root alone."""
    truth = np.array([[[1.0, 2.0, 4.0], [1.5, 2.0, 4.0]]])
    predicted = np.array([[[0.0, 0.03, 0.0], [0.5, 0.0, 0.0]]])
    kept = predicted.copy()
    clips = [Clip(truth)]
    results = evaluate_clips([predicted], clips, root=root, joint_names=("root", "hand"))
    np.testing.assert_allclose(results.headline.joint_mpjpe_mm, joints, atol=1e-9)
    np.testing.assert_array_equal(predicted, kept)


def test_actions_count_alike_and_frames_count_alike():
    truth = np.zeros((4, 17, 3))
    predicted = truth.copy()
    predicted[:, 5, 0] = 0.17  # 10 mm a joint
    clips = [Clip(truth[:1], "Eating 1"), Clip(truth[:3], "Photo"), Clip(truth[:2], "Photo 1")]
    given = [predicted[:1], truth[:3], predicted[:2]]
    results = evaluate_clips(given, clips, root="keep")
    assert results.groups["Eating"].mpjpe_mm == pytest.approx(10)
    assert results.groups["Photo"].mpjpe_mm == pytest.approx(4)
    assert results.mean.mpjpe_mm == pytest.approx(7)
    assert results.pooled.mpjpe_mm == pytest.approx(5)


def test_velocity_stops_at_clips_and_at_frames_that_do_not_count():
    """Predictions jump by a metre between clips and over the gap, and nowhere else."""
    random = np.random.default_rng(0)
    clips = [Clip(walk(random, 6)), Clip(walk(random, 6))]
    clips[0].valid[2:4] = False
    predictions = [clip.joints - clip.joints[:, :1] for clip in clips]
    predictions[0][3:] += 1
    predictions[1] += 2
    errors = evaluate_clips(predictions, clips, root="keep").headline
    assert errors.mpjve_mm_per_frame == pytest.approx(0, abs=1e-9)
    assert errors.mpjpe_mm > 1000
    # Without the gap, one of the five moves of the first clip is wrong by a metre in every axis.
    clips[0].valid[:] = True
    errors = evaluate_clips(predictions, clips, root="keep").headline
    assert errors.mpjve_mm_per_frame == pytest.approx(1000 * math.sqrt(3) / 5 / 2)


def test_velocity_of_clips_counts_by_their_frames_and_rates():
    def drifting(frames, mm):
        poses = np.zeros((frames, 17, 3))
        poses[..., 2] = np.arange(frames)[:, None] * mm / 1000
        return poses

    clips = [Clip(np.zeros((n, 17, 3)), frame_rate=rate) for n, rate in ((2, 10), (6, 100), (1, 9))]
    given = [drifting(2, 8.0), drifting(6, 4.0), drifting(1, 0.0)]
    errors = evaluate_clips(given, clips, root="keep").headline
    assert errors.mpjve_mm_per_frame == pytest.approx((2 * 8 + 6 * 4) / 8)
    assert errors.mpjve_mm_per_s == pytest.approx((2 * 80 + 6 * 400) / 8)
    assert errors.frames == 9


def test_without_frame_rate_there_is_no_velocity_per_second():
    predictions, clips = a_test_set()
    clips = [replace(clip, frame_rate=None) for clip in clips]
    errors = evaluate_clips(predictions, clips, root="zero").pooled
    assert math.isnan(errors.mpjve_mm_per_s)
    assert errors.mpjve_mm_per_frame > 0


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e9])
def test_frames_that_do_not_count_are_not_looked_at(garbage):
    predictions, clips = a_test_set()
    expected = evaluate_clips(predictions, clips, root="keep")
    for poses, clip in zip(predictions, clips, strict=True):
        poses[~clip.valid] = garbage
        clip.joints[~clip.valid] = -garbage
    results = evaluate_clips(predictions, clips, root="keep")
    assert results.pooled.mpjpe_mm == expected.pooled.mpjpe_mm
    assert results.pooled.mpjve_mm_per_frame == expected.pooled.mpjve_mm_per_frame


def sequences(order=range(17)):
    """Two sequences of MPI-INF-3DHP with known errors: 14 joints first, pelvis, spine, head."""
    exact = np.zeros((4, 17, 3))
    exact[..., 2] = 4
    first, second = np.zeros((4, 17, 3)), np.zeros((1, 17, 3))
    first[0, 3, 0] = 0.15  # exactly the threshold: wrong
    first[1, 4, 0] = 0.149
    first[2, 15, 0] = 9  # the spine: PCK does not care
    first[3] = 9  # not valid
    second[0, :7, 1] = 0.2
    order = list(order)
    clips = [
        Clip(exact[:, order], "test", "TS1", np.array([True, True, True, False]), 25),
        Clip(exact[:1, order], "test", "TS2", np.array([True]), 25),
    ]
    return [first[:, order], second[:, order]], clips


@pytest.mark.parametrize("order", [range(17), TO_H36M])
def test_mpi_inf_3dhp(order):
    predictions, clips = sequences(order)
    root_joint = list(order).index(14)
    results = evaluate_clips(
        predictions, clips, root="subtract", protocol="3dhp", root_joint=root_joint
    )
    assert list(results.groups) == ["TS1", "TS2"]
    first, second = results.groups.values()
    assert (first.frames, second.frames) == (3, 1)
    # 40 of 42 joints have no error (below 30 of the thresholds), one 149 mm (below one).
    assert first.pck_150mm_percent == pytest.approx(100 * 41 / 42)
    assert first.auc_percent == pytest.approx(100 * (40 * 30 + 1) / 42 / 31)
    assert second.pck_150mm_percent == pytest.approx(50)
    assert second.auc_percent == pytest.approx(50 * 30 / 31)
    assert results.headline is results.pooled
    assert results.pooled.pck_150mm_percent == pytest.approx(100 * 48 / 56)
    assert results.mean.pck_150mm_percent == pytest.approx(50 * (41 / 42 + 1 / 2))
    # The data set's program averages position errors over all 17 joints.
    assert first.mpjpe_mm == pytest.approx((150 + 149 + 9000) / 51)
    assert second.mpjpe_mm == pytest.approx(7 * 200 / 17)


def test_humaneva_is_reported_by_action_and_subject():
    truth = np.zeros((2, 15, 3))
    clips = [Clip(truth, "Walk", subject=subject) for subject in ("S1", "S2", "S1")]
    given = [truth, truth + 0.03 / math.sqrt(3), truth - 0.02 / math.sqrt(3)]
    joints = [f"joint {number}" for number in range(15)]
    results = evaluate_clips(given, clips, root="keep", protocol="humaneva", joint_names=joints)
    assert {name: errors.mpjpe_mm for name, errors in results.groups.items()} == {
        "Walk S1": pytest.approx(10),
        "Walk S2": pytest.approx(30),
    }
    assert results.headline.mpjpe_mm == pytest.approx(20)


def test_human36m_has_no_pck():
    predictions, clips = a_test_set()
    errors = evaluate_clips(predictions, clips, root="keep").headline
    assert errors.pck_150mm_percent is None
    assert errors.auc_percent is None


def test_actions_stand_in_the_order_of_the_papers_tables():
    truth = np.zeros((1, 17, 3))
    clips = [Clip(truth, action) for action in ("Zebra", *sorted(H36M_ACTIONS), "Archery 3")]
    results = evaluate_clips([truth] * len(clips), clips, root="keep")
    assert list(results.groups) == [*H36M_ACTIONS, "Archery", "Zebra"]
    assert len(H36M_ACTIONS) == 15


def test_every_lifter_has_its_papers_root():
    assert PAPERS_ROOT.keys() == BUILDERS.keys()
    assert PAPERS_ROOT["strided"] == "zero"
    assert PAPERS_ROOT["mixste"] == PAPERS_ROOT["poseformer"] == "keep"


def test_predictions_are_taken_one_by_one():
    alive = []

    def predictions(clips):
        for clip in clips:
            assert sum(one() is not None for one in alive) <= 1
            poses = clip.joints.copy()
            alive.append(weakref.ref(poses))
            yield poses
            del poses

    _, clips = a_test_set()
    evaluate_clips(predictions(clips), clips, root="subtract")
    assert len(alive) == len(clips)


def given(change):
    predictions, clips = a_test_set()
    change(predictions, clips)
    return predictions, clips


def spoil(array, value):
    array[0, 3] = value


def forget(clip):
    clip.joints = None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, c: p.pop(), "as many predictions as clips"),
        (lambda p, c: c.pop(), "as many predictions as clips"),
        (lambda p, c: p.insert(0, p.pop()), r"clip S9 Walking 0: the prediction has shape \(2, 17"),
        (lambda p, c: spoil(p[1], np.nan), "S9 Walking 1: the prediction is not finite in 1 valid"),
        (lambda p, c: spoil(c[2].joints, np.inf), "S9 Walking 1 0: the truth is not finite in 1"),
        (lambda p, c: forget(c[1]), "clip S9 Walking 1: has no true 3D poses"),
        (lambda p, c: [clip.valid.fill(False) for clip in c], "no clip has a valid frame"),
        (lambda p, c: (p.clear(), c.clear()), "no clip has a valid frame"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(Pose3dError, match=message) as caught:
        evaluate_clips(*given(change), root="keep")
    assert "\n" not in str(caught.value)


def test_pck_needs_a_known_skeleton():
    clips = [Clip(np.zeros((2, 15, 3)))]
    with pytest.raises(Pose3dError, match="17 joints"):
        evaluate_clips(
            [clips[0].joints], clips, root="zero", protocol="3dhp", joint_names=["j"] * 15
        )


def test_unknown_choices():
    with pytest.raises(ValueError, match="'papers' is none of subtract, zero, keep"):
        evaluate_clips([], [], root="papers")
    with pytest.raises(ValueError, match="'coco' is none of h36m, humaneva, 3dhp"):
        evaluate_clips([], [], root="keep", protocol="coco")
