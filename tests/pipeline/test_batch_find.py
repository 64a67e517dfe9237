"""Which files are videos, and what their outputs are called."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.batch.find import Video, find_videos
from pipeline.batch.manifest import Manifest, Record
from pipeline.video import VideoWriter
from tests.pipeline.clips import make_clip
from weights.errors import Pose3dError


@pytest.fixture
def clips(tmp_path):
    """A folder with a clip, to be copied under other names."""
    folder = tmp_path / "in"
    folder.mkdir()
    make_clip(folder / "a.mp4", frames=2)

    def add(*names):
        for name in names:
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            shutil.copy(folder / "a.mp4", path)
        return folder

    return add


def places(found):
    return [video.place for video in found.videos]


def faults(found):
    return {video.place: video.fault for video in found.videos if video.fault}


def test_videos_are_told_by_what_is_in_them(clips, tmp_path):
    folder = clips("b", "c.txt", "d.MOV", ".hidden.mp4", ".hidden/e.mp4", "sub/f.mp4")
    make_clip(folder / "g.webm", frames=2, codec="libvpx", options={})
    (folder / "notes.md").write_text("no video\n" * 50)
    np.savez(folder / "numbers.npz", a=np.arange(4))
    picture = np.zeros((48, 64, 3), np.uint8)
    cv2.imwrite(str(folder / "photo.jpg"), picture)
    cv2.imwrite(str(folder / "photo.png"), picture)
    os.mkfifo(folder / "pipe.mp4")
    (folder / "gone.mp4").symlink_to(tmp_path / "nowhere")
    found = find_videos([str(folder)])
    assert places(found) == ["a.mp4", "b", "c.txt", "d.MOV", "g.webm"]
    assert faults(found) == {}
    assert [path.name for path in found.others] == [
        "notes.md",
        "numbers.npz",
        "photo.jpg",
        "photo.png",
    ]
    assert places(find_videos([str(folder)], recursive=True))[-1] == "sub/f.mp4"


def test_broken_videos_are_told_from_other_files(clips):
    folder = clips("whole.mp4")
    content = (folder / "whole.mp4").read_bytes()
    (folder / "half.mp4").write_bytes(content[: len(content) // 2])
    (folder / "zero.MKV").touch()
    (folder / "zero.txt").touch()
    make_clip(folder / "song.mp4", frames=1, audio=True)
    sound = find_videos([str(folder)])
    assert set(faults(sound)) == {"half.mp4", "zero.MKV"}
    assert "unfinished or damaged recording" in faults(sound)["half.mp4"]
    assert faults(sound)["zero.MKV"] == "is empty (0 bytes)"
    # What is named is wanted, whatever it is called.
    found = find_videos([str(folder / "whole.mp4"), str(folder / "notes.md"), str(folder)][::2])
    assert len(found.others) == 1
    (folder / "notes.md").write_text("no video\n" * 50)
    named = find_videos([str(folder / "whole.mp4"), str(folder / "notes.md")])
    assert faults(named) == {"notes.md": "is not a video, or of a kind that cannot be read"}


def test_own_outputs_are_passed_over(clips):
    folder = clips()
    with VideoWriter(folder / "renamed.mp4", 64, 48, 30) as out:
        out.write(np.zeros((48, 64, 3), np.uint8), 0.0)
    for sources in ([str(folder)], [str(path) for path in folder.iterdir()]):
        found = find_videos(sources)
        assert places(found) == ["a.mp4"]
        assert [path.name for path in found.own] == ["renamed.mp4"]


def test_patterns_lists_and_names(clips, tmp_path, monkeypatch):
    folder = clips("b.mp4", "sub/c.mp4", "sub/deep.mp4", "other.md")
    monkeypatch.chdir(tmp_path)
    assert places(find_videos(["in/*.mp4"])) == ["a.mp4", "b.mp4"]
    assert places(find_videos(["in/**/*.mp4"])) == ["a.mp4", "b.mp4", "sub/c.mp4", "sub/deep.mp4"]
    assert places(find_videos(["in/b.mp4", "in/sub", "in/b.mp4"])) == [
        "b.mp4",
        "sub/c.mp4",
        "sub/deep.mp4",
    ]
    listed = tmp_path / "list.txt"
    listed.write_text(f"# two\n\nin/a.mp4\r\n  {folder / 'sub' / 'c.mp4'}  \nin/absent.mp4\n")
    found = find_videos([str(listed)])
    assert places(found) == ["a.mp4", "absent.mp4", "sub/c.mp4"]
    assert faults(found) == {"absent.mp4": "no such file"}
    # Names in a list are below its own folder.
    monkeypatch.chdir("/")
    assert places(find_videos([str(listed)])) == places(found)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("absent.mp4", "no such file or folder: absent.mp4"),
        ("*.mkv", r"no file matches \*.mkv"),
        ("empty", r"no video in empty; -r looks into the folders"),
        ("notes.txt", "notes.txt: not a list of videos"),
        ("texts", r"no video in texts \(not videos: 1, made by pose3d: 0\)"),
    ],
)
def test_nothing_to_be_found(tmp_path, monkeypatch, source, words):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("texts").mkdir()
    for path in ("notes.txt", "texts/notes.txt"):
        Path(path).write_text("remember the milk\n" * 9)
    with pytest.raises(Pose3dError, match=words) as caught:
        find_videos([source])
    assert "\n" not in str(caught.value)


def test_files_that_are_known_are_not_opened(clips, monkeypatch):
    folder = clips("b.mp4")
    monkeypatch.setattr("pipeline.batch.find.look", lambda path: pytest.fail(str(path)))
    found = find_videos([str(folder)], known=lambda p: True, outputs=[folder / "b.mp4"])
    assert places(found) == ["a.mp4"]
    assert found.own == [folder / "b.mp4"]


def names(folder, output, recursive=True):
    found = find_videos([str(folder)], recursive)
    manifest = Manifest(output)
    return dict(zip(places(found), manifest.names(found.videos), strict=True)), manifest


def test_no_two_videos_share_a_name(clips, tmp_path):
    folder = clips("sub/a.mp4", "b.mp4", "b.mov", "c.mp4", "c_pose3d.mp4", "d.MP4", "d")
    found, _ = names(folder, tmp_path / "out")
    assert found == {
        "a.mp4": "a",
        "b.mov": "b.mov",
        "b.mp4": "b.mp4",
        "c.mp4": "c",
        "c_pose3d.mp4": "c_pose3d",
        "d": "d",
        "d.MP4": "d.MP4",
        "sub/a.mp4": "sub/a",
    }
    # Outputs beside the inputs must not replace one.
    found, _ = names(folder, folder)
    assert found["c.mp4"] == "c.mp4"


def record(manifest, name, path):
    stat = path.stat()
    manifest.save(Record(name, str(path), stat.st_size, stat.st_mtime_ns, "0" * 64))


def test_names_stay(clips, tmp_path):
    folder, output = clips("b.mp4"), tmp_path / "out"
    found, manifest = names(folder, output)
    for place, name in found.items():
        record(manifest, name, folder / place)
    clips("a.mov", "a.avi")
    found, _ = names(folder, output)
    assert found == {"a.avi": "a.avi", "a.mov": "a.mov", "a.mp4": "a", "b.mp4": "b"}
    # Another folder's outputs are not replaced, as long as it is there.
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    assert names(other, output)[0]["b.mp4"] == "b.mp4"
    shutil.rmtree(folder)
    assert names(other, output)[0]["b.mp4"] == "b"


def test_names_are_shown_without_commands_to_terminals():
    shown = Video(Path("/a"), "red\x1b[31m\nü\udcff.mp4").shown
    assert shown == "red\\x1b[31m\\nü\ufffd.mp4"
