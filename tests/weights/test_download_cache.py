"""The cache folder of downloads: two processes, disks, offline use, verifying and removing."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.weights.site import CONTENT, HALF, entry, file, get, in_turn, kept, refused
from weights import download, store
from weights.errors import Pose3dError

ROOT = Path(__file__).parents[2]

PROGRAM = """
import sys
from weights import download, store
entry = store.Public("net", "pose2d", (sys.argv[1],), sys.argv[2], "", (), "", "")
print(download.fetch(entry, note=print, wait_s=0))
"""


def test_two_processes_at_once(site, folder):
    """The second waits for the first, and then need not ask."""
    waiting = threading.Event()

    def slow(handler):
        waiting.wait(30)
        file(CONTENT)(handler)

    site.pages["/net.pth"] = slow
    wanted = entry(site.url("/net.pth"))
    arguments = [sys.executable, "-u", "-c", PROGRAM, *wanted.urls, wanted.sha256]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    both = [
        subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    # Nothing is sent before one of them has the lock and the other one has said that it waits.
    said = {}
    readers = [
        threading.Thread(target=lambda p=process: said.update({p: p.stdout.readline()}))
        for process in both
    ]
    for reader in readers:
        reader.start()
    while not said and any(process.poll() is None for process in both):
        time.sleep(0.01)
    assert "another process is fetching net.pth" in "".join(said.values())
    waiting.set()
    for process, reader in zip(both, readers, strict=True):
        reader.join(60)
        rest, _ = process.communicate(timeout=60)
        assert (said[process] + rest).endswith(f"{folder / 'net.pth'}\n")
        assert process.returncode == 0
    assert (folder / "net.pth").read_bytes() == CONTENT
    assert kept(folder) == ["net.pth"]
    assert len(site.asked) == 1


def test_a_folder_that_cannot_be_made(site, folder):
    folder.parent.mkdir()
    folder.write_text("in the way")
    error = refused(entry(site.url("/net.pth")))
    assert str(folder) in error
    assert "POSE3D_HOME" in error
    assert site.asked == []


def test_a_folder_that_is_read_only(site, folder):
    folder.mkdir(parents=True)
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write anywhere")
    assert f"{folder}: cannot hold net (Permission denied)" in refused(entry(site.url("/net.pth")))
    assert site.asked == []


def test_no_room_is_told_before_anything_is_sent(site, folder, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    site.pages["/net.pth"] = file(CONTENT)
    error = refused(entry(site.url("/net.pth")))
    assert "net needs 1.0 MB and 1.0 MB are free" in error
    assert kept(folder) == []
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_024_000))
    assert get(entry(site.url("/net.pth"))).read_bytes() == CONTENT


def test_a_disk_that_fills_up(site, folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    site.pages["/net.pth"] = file(CONTENT)
    with monkeypatch.context() as broken:
        broken.setattr(download.os, "replace", full)
        error = refused(entry(site.url("/net.pth")))
    assert f"{folder}: cannot hold net (No space left on device); make room or" in error
    assert len(site.asked) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no disk that is always full")
def test_a_disk_that_is_full(site, folder, monkeypatch):
    monkeypatch.setattr(download, "_part", lambda _: Path("/dev/full"))
    monkeypatch.setattr(download, "_begin", lambda *_: None)
    site.pages["/net.pth"] = file(CONTENT)
    assert "No space left on device" in refused(entry(site.url("/net.pth")))
    assert len(site.asked) == 1


@pytest.mark.parametrize("variable", ["1", "true", None])
def test_offline(site, folder, monkeypatch, variable):
    site.pages["/net.pth"] = file(CONTENT)
    wanted = entry(site.url("/net.pth"))
    if variable:
        monkeypatch.setenv("POSE3D_OFFLINE", variable)
    error = refused(wanted, offline=variable is None)
    assert "pose3d weights fetch net" in error
    assert f"not in {folder}" in error
    assert site.asked == []
    assert not folder.exists()
    folder.mkdir(parents=True)
    (folder / "net.pth").write_bytes(CONTENT)
    assert get(wanted, offline=variable is None) == folder / "net.pth"
    assert site.asked == []


def test_the_variable_can_say_no(site, folder, monkeypatch):
    monkeypatch.setenv("POSE3D_OFFLINE", "0")
    site.pages["/net.pth"] = file(CONTENT)
    assert get(entry(site.url("/net.pth"))).is_file()


def test_shipped_weights_need_no_connection(folder):
    assert download.fetch("mixste", offline=True) == store.path_of("mixste")
    assert not folder.exists()


def test_verify(site, folder):
    site.pages["/net.pth"] = file(CONTENT)
    wanted = entry(site.url("/net.pth"))
    with pytest.raises(Pose3dError, match="pose3d weights fetch net"):
        download.verify(wanted)
    path = get(wanted)
    assert download.verify(wanted) == path
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(Pose3dError, match=r"damaged, its SHA-256 .* 'pose3d weights remove net'"):
        download.verify(wanted)
    assert download.verify(store.find("mixste")) == store.path_of("mixste")


def test_remove(site, folder):
    site.pages["/net.pth"] = in_turn(file(CONTENT), file(CONTENT, stop=HALF))
    wanted = entry(site.url("/net.pth"))
    assert not download.remove(wanted)
    assert not folder.exists()
    get(wanted)
    assert download.remove(wanted)
    assert kept(folder) == []
    refused(wanted, rounds=1)
    assert kept(folder) == [".net.pth.part", ".net.pth.part.json"]
    assert download.remove(wanted)
    assert kept(folder) == []
    assert not download.remove(wanted)


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("POSE3D_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    assert download.cache_folder() == tmp_path / ".cache" / "pose3d"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert download.cache_folder() == tmp_path / ".cache" / "pose3d"
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert download.cache_folder() == Path("/caches/pose3d")
    monkeypatch.setenv("POSE3D_HOME", "~/weights")
    assert download.cache_folder() == tmp_path / "weights"
