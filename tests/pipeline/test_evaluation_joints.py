"""Evaluation of lifters of other joints than Human3.6M's 17, each mirrored by its own sides."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import lifters3d
from lifters3d.data.clips import ClipSet
from lifters3d.data.mpi_inf_3dhp import MPI_INF_3DHP
from lifters3d.data.sets import open_set
from lifters3d.registry import Convention
from pipeline.evaluation import evaluate_lifter
from pose3d.evaluate import evaluate
from tests.lifters3d.prepared import (
    HUMANEVA_METADATA,
    message_of,
    pixels,
    world,
    write_2d,
    write_3d,
)
from tests.pipeline.networks import silent

# Two chunks of a walk: they count by their frames.
CHUNKS = {"Walking 1 chunk0": 4, "Walking 1 chunk1": 9, "Jog 1 chunk0": 12, "Box 1 chunk0": 5}
TESTED = [f"Validate/S{number}" for number in (1, 2, 3)]
# Of the 32 recorded joints those of the 17 but for the nose.
KEPT_16 = [0, 1, 2, 3, 6, 7, 8, 12, 13, 15, 17, 18, 19, 25, 26, 27]


@pytest.fixture(scope="module")
def humaneva(tmp_path_factory):
    """HumanEva-I, and its world positions."""
    folder = tmp_path_factory.mktemp("humaneva")
    positions_3d, positions_2d = {}, {}
    for subject, key in enumerate(TESTED):
        positions_3d[key] = {
            chunk: world(frames, 15, 10 * subject + seed)
            for seed, (chunk, frames) in enumerate(CHUNKS.items())
        }
        positions_2d[key] = {
            chunk: [pixels(frames, 15, seed) for seed in range(3)]
            for chunk, frames in CHUNKS.items()
        }
    write_3d(folder / "data_3d_humaneva15.npz", positions_3d)
    for kind in ("gt", "detectron_pt_coco"):
        write_2d(folder / f"data_2d_humaneva15_{kind}.npz", positions_2d, HUMANEVA_METADATA)
    return folder, positions_3d


@pytest.fixture(scope="module")
def noseless(tmp_path_factory):
    """Human3.6M with 2D of 16 joints, and its world positions."""
    folder = tmp_path_factory.mktemp("h36m")
    actions = {"Walking": world(7, 32, 1), "Sitting 1": world(12, 32, 2)}
    seen = {action: [pixels(len(actions[action]), 16, n) for n in range(4)] for action in actions}
    write_3d(folder / "data_3d_h36m.npz", {"S9": actions})
    write_2d(folder / "data_2d_h36m_hr.npz", {"S9": seen})
    return folder, actions


def measured(folder, tmp_path, **options):
    """What the command writes of a lifter, as JSON."""
    target = tmp_path / "results.json"
    evaluate(data=folder, json=target, device="cpu", **options)
    return json.loads(target.read_text())


def saved(lifter, path):
    lifters3d.save(lifter, "poseformer", path, training={})
    return path


def distances(chunks):
    """Mean distance of the joints of world positions from the first one, mm."""
    relative = np.concatenate([points - points[:, :1] for points in chunks])
    return 1000 * np.linalg.norm(relative, axis=-1).mean()


# Known errors ------------------------------------------------------------------------------------


def test_errors_of_nothing_on_humaneva(humaneva, tmp_path, capsys):
    folder, positions = humaneva
    weights = saved(silent(joints=15), tmp_path / "silent.safetensors")
    found = measured(folder, tmp_path, checkpoint=weights)
    expected = {}
    for key in TESTED:
        for action, take in (("Walk", "Walking"), ("Jog", "Jog"), ("Box", "Box")):
            chunks = [points for name, points in positions[key].items() if take in name]
            expected[f"{action} {key[-2:]}"] = distances(chunks)
    assert set(found["groups"]) == set(expected)
    for group, errors in found["groups"].items():
        assert errors["mpjpe_mm"] == pytest.approx(expected[group], rel=1e-4)
    assert found["mean"]["mpjpe_mm"] == pytest.approx(np.mean(list(expected.values())), rel=1e-4)
    assert found["pooled"]["frames"] == 3 * 3 * sum(CHUNKS.values())
    # What the papers do with the root is the same as on Human3.6M.
    assert (found["protocol"], found["root"]) == ("humaneva", "keep")
    assert "HumanEva-I protocol: silent.safetensors on humaneva" in capsys.readouterr().out


def test_errors_of_nothing_without_nose(noseless, tmp_path):
    folder, actions = noseless
    weights = saved(silent(joints=16), tmp_path / "silent.safetensors")
    expected = np.mean([distances([points[:, KEPT_16]]) for points in actions.values()])
    for root in ("auto", "keep", "zero", "subtract"):
        found = measured(folder, tmp_path, checkpoint=weights, keypoints="hr", root=root)
        assert found["mean"]["mpjpe_mm"] == pytest.approx(expected, rel=1e-4)
        assert len(found["mean"]["joint_mpjpe_mm"]) == 16


def test_the_root_is_what_was_asked_for(humaneva):
    """All joints 0.1 m to the right: subtracted they are nothing, mirrored they cancel."""
    clips, protocol = open_set(humaneva[0])

    def error(lifter, **options):
        return evaluate_lifter(lifter, clips, protocol, **options).headline.mpjpe_mm

    nothing = error(silent(joints=15), root="keep", flip_average=False)
    moved = silent(joints=15, bias=0.1)
    assert error(moved, root="subtract", flip_average=False) == pytest.approx(nothing, rel=1e-5)
    assert error(moved, root="keep", flip_average=True) == pytest.approx(nothing, rel=1e-5)
    assert abs(error(moved, root="keep", flip_average=False) - nothing) > 1


# The mirror --------------------------------------------------------------------------------------


class Oracle(nn.Module):
    """Answers every frame by a rule that a mirror cannot change, if it is the skeleton's own.

    A joint is as far away as it is right of the middle, if it is of the left side; as it is left
    of the middle, if it is of the right side; and x and y are scaled by a number that the two
    joints of a pair share. The root is the origin.
    """

    frames = 9
    convention = Convention("screen", "h36m", 50.0)

    def __init__(self, skeleton, output):
        super().__init__()
        self.placeholder = nn.Parameter(torch.zeros(1))
        self.joints, self.output = len(skeleton.names), output
        self.side = [{"L": 1.0, "R": -1.0}.get(name[0], 0.0) for name in skeleton.names]
        pairs = sorted({name.lstrip("LR") for name in skeleton.names})
        self.scale = [1.0 + pairs.index(name.lstrip("LR")) for name in skeleton.names]
        self.scale[skeleton.root] = 0.0

    def forward(self, keypoints):
        poses = torch.from_numpy(self.answer(keypoints.numpy()))
        middle = self.frames // 2
        return poses if self.output == "sequence" else poses[:, middle : middle + 1]

    def encode_frames(self, keypoints):
        return keypoints

    def lift_window(self, features):
        return self(features)

    def answer(self, keypoints):
        """(..., J, 3) of normalised keypoints (..., J, 2)."""
        x, y = keypoints[..., 0], keypoints[..., 1]
        scale, side = np.float32(self.scale), np.float32(self.side)
        return np.stack([scale * x, scale * y, side * x], axis=-1)


def told_by(oracle, clips):
    """The clips with joints as the oracle says them, at some place before the camera."""

    def truth(clip):
        (width, height), points = clip.size, clip.keypoints
        x, y = points[..., 0] * 2 / width - 1, (points[..., 1] * 2 - height) / width
        return oracle.answer(np.stack([x, y], axis=-1)) + np.array([0.2, 0.1, 4.0])

    return replace(clips, test=[replace(clip, joints=truth(clip)) for clip in clips.test])


@pytest.fixture(params=["humaneva", "noseless", "mpi_inf_3dhp"])
def test_set(request, noseless, humaneva):
    """Clips of 15, 16 and 17 joints, the last ones in another order than Human3.6M's."""
    if request.param == "humaneva":
        return open_set(humaneva[0])
    clips, protocol = open_set(noseless[0], "hr")
    if request.param == "noseless":
        return clips, protocol
    seen = [replace(clip, keypoints=pixels(len(clip.valid), 17)) for clip in clips.test]
    return ClipSet("mpi_inf_3dhp", MPI_INF_3DHP, train=[], test=seen), "3dhp"


@pytest.mark.parametrize("output", ["sequence", "center"])
def test_mirrored_by_the_skeletons_own_sides(test_set, output):
    clips, protocol = test_set
    oracle = Oracle(clips.skeleton, output)
    clips = told_by(oracle, clips)
    for root in ("keep", "zero", "subtract"):
        for flip in (True, False):
            results = evaluate_lifter(oracle, clips, protocol, root=root, flip_average=flip)
            assert results.headline.mpjpe_mm < 1e-2
    # Other sides, and the answers are wrong: the average is not left out.
    sideless = replace(clips, skeleton=replace(clips.skeleton, left=(), right=()))
    results = evaluate_lifter(oracle, sideless, protocol, root="keep")
    assert results.headline.mpjpe_mm > 50


# Errors ------------------------------------------------------------------------------------------


def test_lifters_that_do_not_fit(humaneva, noseless):
    def message(lifter, opened):
        return message_of(lambda: evaluate_lifter(lifter, *opened, root="subtract"))

    opened = open_set(humaneva[0])
    assert "takes 17 joints and the 2D of humaneva has 15" in message(silent(), opened)
    for normalisation in ("person", "frame"):
        lifter = silent(normalisation=normalisation, joints=15)
        text = message(lifter, opened)
        assert "humaneva has not the 17 joints of Human3.6M, of which this lifter's input" in text
        assert f"({normalisation} normalisation, h36m joints)" in text
    lifter = silent(joints=16)
    lifter.convention = Convention("screen", "derived", 50.0)
    assert "derived joints" in message(lifter, open_set(noseless[0], "hr"))


def test_several_test_sets_in_a_folder(humaneva, noseless, tmp_path):
    for folder, _ in (humaneva, noseless):
        for file in folder.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    message = message_of(open_set, tmp_path)
    file = tmp_path / "data_3d_humaneva15.npz"
    assert f"several data sets; which? {tmp_path / 'data_3d_h36m.npz'} or {file}" in message
    assert open_set(file)[1] == "humaneva"
    assert open_set(tmp_path / "data_3d_h36m.npz", "hr")[1] == "h36m"
    weights = saved(silent(joints=15), tmp_path / "silent.safetensors")
    assert measured(file, tmp_path, checkpoint=weights)["protocol"] == "humaneva"


def test_which_2d(humaneva):
    assert len(open_set(humaneva[0], "detectron")[0].test) == 36
    assert "which 2D is 'cpn'? There are: detectron_pt_coco, gt" in message_of(
        open_set, humaneva[0], "cpn"
    )


def test_checkpoints(humaneva, tmp_path, monkeypatch):
    def message(**options):
        return message_of(lambda: evaluate(data=humaneva[0], device="cpu", **options))

    monkeypatch.chdir(tmp_path)
    file = saved(silent(joints=15), tmp_path / "silent.safetensors")
    evaluate(data=humaneva[0], device="cpu", lifter="poseformer", checkpoint=file)
    assert "holds the lifter poseformer, not 'mixste'" in message(lifter="mixste", checkpoint=file)
    # Not the shipped weights, which --lifter would take.
    assert "mixste: no such weights file" in message(checkpoint=Path("mixste"))
    assert "a folder, not a weights file" in message(checkpoint=tmp_path)


def test_motion_capture_is_of_17_joints(tmp_path):
    file = saved(silent(joints=15), tmp_path / "silent.safetensors")
    mocap = tmp_path / "mocap.npz"
    mocap.touch()
    message = message_of(lambda: evaluate(data=mocap, device="cpu", checkpoint=file))
    assert "takes 15 joints, not the 17" in message
