"""Lifting by windows with every kind of real network, held against the plain loop of the papers.

How sequence lifters' windows lie and are blended is seen closer in ``test_lifting_windows``, what
causal windows hold in ``test_windows_causal``.
"""

import numpy as np
import pytest
import torch

from lifters3d.normalisation import frame, person
from lifters3d.skeleton import flip
from pipeline import windows
from pipeline.lifting import lift_sequences
from pipeline.windows import lift_windows, window_starts
from tests.pipeline.lifters import SIZE, evenly, on_screen
from tests.pipeline.networks import (
    CENTRE,
    CONVENTIONS,
    FRAMES,
    KINDS,
    SEQUENCE,
    counted,
    figure,
    network,
    plain_loop,
    tensors,
)

# Of one frame, shorter than the receptive field; with chunks of 10 frames borders are everywhere.
LENGTHS = [1, 5, 9, 12]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@torch.inference_mode()
def lifted(lifter, *sequences, causal=None, flip_average=True, **options):
    """What ``lift_windows`` makes of sequences in px, as arrays."""
    options["flip_average"] = flip_average
    if causal is not None:
        options["causal"] = causal
    return [p.joints.numpy() for p in lift_windows(lifter, tensors(*sequences), SIZE, **options)]


def assert_near(ours, expected, atol=1e-5):
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=0, atol=atol)


# A window a frame --------------------------------------------------------------------------------


@pytest.mark.parametrize("normalisation", CONVENTIONS)
@pytest.mark.parametrize("kind", CENTRE)
def test_a_window_a_frame_is_the_plain_loop(kind, normalisation, monkeypatch):
    monkeypatch.setattr(windows, "FEATURE_FRAMES", 10)
    lifter = network(kind, normalisation)
    clips = [figure(length, seed=length) for length in LENGTHS]
    expected = [plain_loop(lifter, clip) for clip in clips]
    for batch in (1, 3, 7, None):
        for ours, plain in zip(lifted(lifter, *clips, batch=batch), expected, strict=True):
            assert_near(ours, plain)
    # Not all the same, so that the comparison says something.
    assert expected[-1].std(axis=0).min() > 1e-3


@pytest.mark.parametrize("normalisation", CONVENTIONS)
@pytest.mark.parametrize("kind", ["poseformer", "liftformer causal"])
def test_without_flip_averaging(kind, normalisation):
    lifter, clip = network(kind, normalisation), figure(14)
    (ours,) = lifted(lifter, clip, flip_average=False)
    assert_near(ours, plain_loop(lifter, clip, flip_average=False))
    assert np.abs(ours - lifted(lifter, clip)[0]).max() > 1e-2


def test_longer_chunks_than_the_clip():
    """The usual size of the chunks, over a border between two people."""
    lifter = network("liftformer", "frame")
    clips = figure(700, seed=1), figure(700, seed=2)
    for ours, clip in zip(lifted(lifter, *clips, batch=100), clips, strict=True):
        for part in (slice(0, 4), slice(322, 326), slice(696, 700)):
            around = slice(max(0, part.start - 8), part.stop + 8)
            inner = slice(part.start - around.start, part.stop - around.start)
            # A piece of the clip has the clip's ends only where the clip has them.
            assert_near(ours[part], plain_loop(lifter, clip[around])[inner])


@pytest.mark.parametrize("normalisation", ["screen", "frame"])
@pytest.mark.parametrize("kind", CENTRE)
def test_frames_are_encoded_once(kind, normalisation):
    lifter = network(kind, normalisation)
    with counted(lifter) as calls:
        lifted(lifter, figure(40), figure(12), flip_average=False, batch=5)
    assert sum(calls["encode_frames"]) == 52
    assert sum(calls["lift_window"]) == 52
    assert "forward" not in calls


# Sequence lifters --------------------------------------------------------------------------------


@torch.inference_mode()
def plain_blend(lifter, keypoints):
    """(n, 17, 3): overlapping windows one by one, weighted by a raised cosine, written out anew."""
    points = torch.tensor(keypoints, dtype=torch.float32)
    inputs = {
        "screen": torch.tensor(on_screen(keypoints), dtype=torch.float32),
        "frame": frame(points[None], FRAMES)[0],
        "person": points,
    }[lifter.convention.normalisation]
    # Three frames beyond each end, and more where the clip is short.
    lack = max(0, FRAMES - len(points) - 6)
    before, after = 3 + lack // 2, 3 + lack - lack // 2
    rows = [0] * before + list(range(len(points))) + [len(points) - 1] * after
    weight = 0.501 - 0.5 * np.cos(2 * np.pi * (np.arange(FRAMES) + 0.5) / FRAMES)
    total, share = np.zeros((len(rows), 17, 3)), np.zeros((len(rows), 1, 1))
    for start in window_starts(len(rows), FRAMES):
        window = inputs[rows[start : start + FRAMES]][None]
        if lifter.convention.normalisation == "person":
            window = person(window)
        poses = (lifter(window) + flip(lifter(flip(window))))[0].numpy() / 2
        total[start : start + FRAMES] += weight[:, None, None] * poses
        share[start : start + FRAMES] += weight[:, None, None]
    return (total / share)[before : len(rows) - after]


@pytest.mark.parametrize("normalisation", CONVENTIONS)
@pytest.mark.parametrize("kind", SEQUENCE)
def test_overlapping_windows_are_blended(kind, normalisation):
    lifter = network(kind, normalisation)
    clips = [figure(length, seed=length) for length in LENGTHS]
    for batch in (1, 3, 7, None):
        for ours, clip in zip(lifted(lifter, *clips, batch=batch), clips, strict=True):
            assert_near(ours, plain_blend(lifter, clip))


# Several people ----------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("normalisation", CONVENTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_people_of_one_batch_do_not_see_each_other(kind, normalisation, causal, monkeypatch):
    monkeypatch.setattr(windows, "FEATURE_FRAMES", 10)
    lifter = network(kind, normalisation, frame_rate=30.0)
    clips = [figure(length, seed=length) for length in (11, 4, 1)]

    def together(clips):
        pairs = [(clip, evenly(len(clip), 45.0 if causal else 30.0) + 3) for clip in clips]
        lifted = lift_sequences(lifter, pairs, SIZE, causal=causal, batch=7)
        return [one.joints for one in lifted]

    ours = together(clips)
    for clip, joints in zip(clips[:2], ours, strict=False):
        assert_near(together([clip])[0], joints)
    other = together([clips[0], clips[1][::-1] * 1.7 + 300, clips[2]])
    for number in (0, 2):
        assert_near(other[number], ours[number], atol=1e-6)
    assert np.abs(other[1] - ours[1]).max() > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_and_empty_stretches(kind):
    lifter = network(kind)
    assert lift_sequences(lifter, [], SIZE) == []
    nothing, clip = np.zeros((0, 17, 2)), figure(7)
    for causal in (False, True):
        pairs = [(nothing, evenly(0)), (clip, evenly(7)), (nothing, evenly(0))]
        before, ours, after = (
            one.joints for one in lift_sequences(lifter, pairs, SIZE, causal=causal)
        )
        assert before.shape == after.shape == (0, 17, 3)
        (alone,) = lift_sequences(lifter, pairs[1:2], SIZE, causal=causal)
        assert_near(ours, alone.joints)


# Memory ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("normalisation", CONVENTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_more_windows_at_once_than_a_batch(kind, normalisation, causal):
    lifter = network(kind, normalisation)
    clocks = [np.arange(21.0), np.arange(8.0)] if causal else None
    for batch in (1, 5):
        with counted(lifter) as calls:
            lifted(lifter, figure(21), figure(8), causal=clocks, batch=batch)
        windows_of = calls.get("forward") or calls["lift_window"]
        assert max(windows_of) == batch
        # Full batches, over the border between the people, but for the last one.
        count = sum(windows_of) // 2  # each also mirrored
        assert len(windows_of) == 2 * -(-count // batch)


def test_features_at_once_do_not_grow_with_the_clip(monkeypatch):
    """Features are held of a chunk and the windows' reach around it, whatever the clip's length."""
    monkeypatch.setattr(windows, "FEATURE_FRAMES", 20)
    lifter, between = network("poseformer"), []
    with counted(lifter) as calls:
        lift_window = lifter.lift_window

        def watch(tokens):
            between.append(sum(calls["encode_frames"]))
            return lift_window(tokens)

        lifter.lift_window = watch
        lifted(lifter, figure(200), flip_average=False, batch=4)
    encoded = np.diff(np.unique(between), prepend=0)
    assert len(encoded) == 10
    assert encoded.max() == 20 + FRAMES - 1


# Missing joints ----------------------------------------------------------------------------------


@pytest.mark.parametrize("normalisation", CONVENTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_missing_joints_stay_where_they_are(kind, normalisation):
    lifter, clip, time_s = network(kind, normalisation), figure(44), evenly(44)
    whole = lift_sequences(lifter, [(clip, time_s)], SIZE)[0].joints
    for lost in ([13], [0], [0, 1, 4], list(range(17))):
        holed = clip.copy()
        holed[21, lost] = np.nan
        holed[22, lost[0], 1] = np.inf
        ours = lift_sequences(lifter, [(holed, time_s)], SIZE)[0].joints
        assert np.isfinite(ours).all()
        # A window reaches T // 2 to each side (T - 1 if blended); sizes of frames as far again.
        reach = FRAMES - 1 if kind in SEQUENCE or kind == "liftformer causal" else FRAMES // 2
        reach += FRAMES // 2 if normalisation == "frame" else 0
        far = np.abs(np.arange(44) - 21.5) > reach + 1
        assert far.sum() >= 14
        assert_near(ours[far], whole[far], atol=1e-6)
        assert np.abs(ours - whole)[21].max() > 1e-3


# Progress ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [30.0, 60.0, 10.0])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", ["mixste", "strided"])
def test_every_frame_is_told(kind, causal, rate):
    lifter, told = network(kind, frame_rate=30.0), []
    pairs = [(figure(n), evenly(n, rate)) for n in (33, 1, 0, 50)]
    lift_sequences(lifter, pairs, SIZE, causal=causal, batch=6, done=told.append)
    assert sum(told) == 84
    assert min(told) >= 0
    assert len(told) > 2 or kind == "strided"
