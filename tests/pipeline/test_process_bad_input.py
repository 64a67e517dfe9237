"""Mistakes of the user, found before the long work, and what they leave behind."""

import os
import re

import pytest
import torch

import lifters3d
from pipeline.process import choose_device, estimate, process_video
from pipeline.rendering.video import render_video
from pipeline.settings import Settings
from weights.errors import Pose3dError


def refused(path, folder, settings, pose):
    """The message of a refusal that came before the first picture was looked at."""
    fake = pose()
    with pytest.raises(Pose3dError) as caught:
        process_video(path, folder, settings)
    assert fake.shapes == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_inputs_that_are_no_video(tmp_path, pose, tiny):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video\n" * 50)
    os.mkfifo(tmp_path / "pipe")
    out = tmp_path / "out"
    for name, words in {
        "absent.mp4": "no such file",
        ".": "is a folder",
        "empty.mp4": "is empty",
        "text.mp4": "not a video",
        "pipe": "is a pipe",
    }.items():
        message = refused(tmp_path / name, out, Settings(lifter=tiny), pose)
        assert words in message
        assert str(tmp_path) in message
    assert not out.exists()


def test_lifters_that_are_none(tmp_path, pose, clip, tiny):
    path, out = clip(), tmp_path / "out"
    other = tmp_path / "notes.safetensors"
    other.write_text("these are no weights")
    for lifter, words in {
        "mixst": "choose one of .*mixste.*did you mean mixste",
        "absent.safetensors": "no such weights file",
        str(other): "not a readable safetensors file",
        str(tmp_path): "a folder, not a weights file",
    }.items():
        assert re.search(words, refused(path, out, Settings(lifter=lifter), pose))
    assert not out.exists()


def test_a_lifter_of_other_joints_is_refused_before_the_first_frame(tmp_path, pose, clip):
    lifter = lifters3d.build("mixste", frames=9, joints=15, width=8, depth=1, heads=2)
    path = tmp_path / "humaneva.safetensors"
    lifters3d.save(lifter, "mixste", path, training={})
    fake = pose()
    with pytest.raises(Pose3dError, match="15 joints, not the 17"):
        estimate(clip(), Settings(lifter=str(path)))
    assert fake.shapes == []


def test_targets_that_cannot_be_written(tmp_path, pose, clip, tiny):
    path, settings = clip(), Settings(lifter=tiny)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper", tmp_path / "link"):
        assert "is not a folder" in refused(path, folder, settings, pose)
    (tmp_path / "out" / "clip_pose3d.mp4").mkdir(parents=True)
    assert "clip_pose3d.mp4 is a folder" in refused(path, tmp_path / "out", settings, pose)
    long = path.rename(path.with_name("n" * 240 + ".mp4"))
    assert "File name too long" in refused(long, tmp_path, settings, pose)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "link", long.name, "out"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_locked_folder(tmp_path, pose, clip, tiny):
    path = clip()
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    for folder in (locked, locked / "deeper"):
        assert "Permission denied" in refused(path, folder, Settings(lifter=tiny), pose)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_the_input_is_never_overwritten(tmp_path, pose, clip, tiny, link):
    real = clip("walk_pose3d.mp4")
    before = real.read_bytes()
    link(real, tmp_path / "walk.mp4")
    message = refused(tmp_path / "walk.mp4", tmp_path, Settings(lifter=tiny), pose)
    assert "is the input itself" in message
    assert real.read_bytes() == before
    assert not (tmp_path / "walk_pose3d.npz").exists()


def test_the_output_of_an_output_has_its_own_name(tmp_path, pose, clip, tiny):
    path = clip("walk_pose3d.mp4")
    before = path.read_bytes()
    pose()
    outcome = process_video(path, tmp_path, Settings(lifter=tiny))
    assert outcome.video_path.name == "walk_pose3d_pose3d.mp4"
    assert path.read_bytes() == before


def test_an_earlier_output_is_replaced_only_when_all_is_well(tmp_path, pose, clip, tiny):
    path, out = clip(), tmp_path / "out"
    pose()
    process_video(path, out, Settings(lifter=tiny))
    before = {p.name: p.read_bytes() for p in out.iterdir()}

    def fail(index):
        if index == 5:
            raise RuntimeError("the detector broke")

    pose(on_frame=fail)
    with pytest.raises(RuntimeError, match="broke"):
        process_video(path, out, Settings(lifter=tiny, fov=90.0))
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    pose()
    process_video(path, out, Settings(lifter=tiny, fov=90.0))
    assert (out / "clip_pose3d.npz").read_bytes() != before["clip_pose3d.npz"]


def test_a_result_of_another_video_is_not_drawn(tmp_path, pose, clip, tiny, listener):
    pose()
    result = estimate(clip("a.mp4"), Settings(lifter=tiny))
    other = clip("b.mp4", size=(80, 60))
    with pytest.raises(Pose3dError, match=r"80x60.* 64x48"):
        render_video(result, other, tmp_path / "out.mp4", listener)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    "wanted", ["", "gpu", "CPU", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:²", "mps", "cuda 0"]
)
def test_devices_that_are_none(wanted):
    with pytest.raises(Pose3dError, match="choose auto, cpu, cuda or cuda:N"):
        choose_device(wanted)


def test_devices():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(Pose3dError, match=r"'cuda:99' is not there.*--device cpu"):
        choose_device("cuda:99")


def test_range_outside_of_the_video(tmp_path, pose, clip, tiny):
    path = clip()
    pose()
    with pytest.raises(Pose3dError, match=r"no frame between 7 s and its end: it lasts 0\.40 s"):
        process_video(path, tmp_path / "out", Settings(lifter=tiny, start=7.0))
    assert not (tmp_path / "out").exists()
