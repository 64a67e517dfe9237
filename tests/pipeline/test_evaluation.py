"""Evaluation on prepared files: of a lifter that always answers 0, whose errors are known.

Test sets of other joints than Human3.6M's 17 are in ``test_evaluation_joints``.
"""

import json

import numpy as np
import pytest

import lifters3d
from lifters3d.data.h36m_cameras import cameras
from lifters3d.data.sets import open_set
from pipeline.evaluation import evaluate_lifter
from tests.pipeline.networks import silent
from weights.errors import Pose3dError

ACTIONS = {"Walking": 7, "Sitting 1": 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Human3.6M of two actions of one test subject, with two kinds of 2D."""
    folder = tmp_path_factory.mktemp("h36m")
    random = np.random.default_rng(0)
    joints = {action: random.normal(0, 0.5, (n, 32, 3)) for action, n in ACTIONS.items()}
    world = {
        action: (points + np.array([0, 0, 1])).astype(np.float32)
        for action, points in joints.items()
    }
    np.savez(folder / "data_3d_h36m.npz", positions_3d=np.array({"S9": world}, object))
    for kind in ("gt", "cpn_ft_h36m_dbb"):
        pixels = {
            action: [random.uniform(100, 900, (n, 17, 2)).astype(np.float32) for _ in range(4)]
            for action, n in ACTIONS.items()
        }
        np.savez(folder / f"data_2d_h36m_{kind}.npz", positions_2d=np.array({"S9": pixels}, object))
    return folder


def distances(clips, about=(0.0, 0.0, 0.0)):
    """Mean over actions of the mean distance of root-relative joints from a point, mm."""
    actions = {}
    for clip in clips.test:
        relative = clip.joints - clip.joints[:, :1] - np.asarray(about)
        actions.setdefault(clip.action.split()[0], []).append(np.linalg.norm(relative, axis=-1))
    return 1000 * np.mean([np.concatenate(found).mean() for found in actions.values()])


@pytest.mark.parametrize("name", ["poseformer", "mixste"])
def test_errors_of_nothing(folder, name):
    clips, protocol = open_set(folder)
    assert (protocol, len(clips.test)) == ("h36m", 2 * len(cameras("S9")))
    for root in ("keep", "zero", "subtract"):
        results = evaluate_lifter(silent(name), clips, protocol, root=root, flip_average=False)
        assert results.headline.mpjpe_mm == pytest.approx(distances(clips), rel=1e-5)
        assert set(results.groups) == {"Walking", "Sitting"}
        assert results.pooled.frames == 4 * sum(ACTIONS.values())


def test_the_root_is_what_was_asked_for(folder):
    """All joints 0.1 m to the right: kept they are wrong by that, subtracted they are nothing."""
    clips, protocol = open_set(folder)
    lifter = silent(bias=0.1)
    options = {"flip_average": False}
    kept = evaluate_lifter(lifter, clips, protocol, root="keep", **options)
    assert kept.headline.mpjpe_mm == pytest.approx(distances(clips, (0.1, 0, 0)), rel=1e-5)
    taken = evaluate_lifter(lifter, clips, protocol, root="subtract", **options)
    assert taken.headline.mpjpe_mm == pytest.approx(distances(clips), rel=1e-5)
    # Mirrored and averaged, right and left cancel.
    both = evaluate_lifter(lifter, clips, protocol, root="keep", flip_average=True)
    assert both.headline.mpjpe_mm == pytest.approx(distances(clips), rel=1e-5)


def test_which_2d(folder):
    assert not np.array_equal(
        open_set(folder, "cpn")[0].test[0].keypoints,
        open_set(folder)[0].test[0].keypoints,
    )
    with pytest.raises(Pose3dError, match=r"which 2D is 'sh'.*cpn_ft_h36m_dbb, gt"):
        open_set(folder, "sh")


def test_what_is_refused(folder, tmp_path):
    clips, protocol = open_set(folder)
    with pytest.raises(Pose3dError, match=r"none of data_3d_h36m\.npz, .*, data_test_3dhp\.npz"):
        open_set(tmp_path)
    with pytest.raises(Pose3dError, match="no such folder"):
        open_set(tmp_path / "x")
    with pytest.raises(Pose3dError, match="takes 16 joints"):
        evaluate_lifter(silent(joints=16), clips, protocol, root="subtract")
    with pytest.raises(Pose3dError, match="--root subtract"):
        evaluate_lifter(silent(normalisation="frame"), clips, protocol, root="keep")


def test_mpi_inf_3dhp(tmp_path):
    random = np.random.default_rng(1)
    frames = 6
    joints = random.normal(0, 70, (frames, 17, 3)) + np.array([0, 0, 3000])
    valid = np.array([1, 1, 0, 1, 1, 1])
    sequence = {
        "data_2d": random.uniform(200, 1800, (frames, 17, 2)).astype(np.float32),
        "data_3d": joints.astype(np.float32),
        "valid": valid,
    }
    np.savez(tmp_path / "data_test_3dhp.npz", data=np.array({"TS1": sequence}, object))
    clips, protocol = open_set(tmp_path)
    results = evaluate_lifter(silent(), clips, protocol, root="subtract")
    error = np.linalg.norm(joints - joints[:, 14:15], axis=-1)[valid > 0]
    assert protocol == "3dhp"
    assert results.headline.mpjpe_mm == pytest.approx(error.mean(), rel=1e-4)
    assert results.headline.frames == 5
    # Head top to left ankle; not pelvis, spine and head.
    assert results.headline.pck_150mm_percent == pytest.approx(100 * (error[:, :14] < 150).mean())


def test_json_of_the_command(folder, tmp_path, capsys):
    from pose3d.evaluate import evaluate

    weights = tmp_path / "silent.safetensors"
    lifters3d.save(silent(), "poseformer", weights, training={})
    target = tmp_path / "results.json"
    plot = tmp_path / "results.png"
    evaluate(
        data=folder,
        lifter=str(weights),
        keypoints="cpn",
        root="auto",
        json=target,
        plot=plot,
        flip=True,
        device="cpu",
        precision="fp32",
    )
    clips, _ = open_set(folder, "cpn")
    found = json.loads(target.read_text())
    assert found["mean"]["mpjpe_mm"] == pytest.approx(distances(clips), rel=1e-4)
    assert plot.read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    assert f"{distances(clips):.1f}" in out
    assert out.splitlines()[-1] == str(plot)
