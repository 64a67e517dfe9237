"""What `pose3d doctor` says of weights: shipped, fetched, where they are kept, which are taken."""

import shutil

import pytest

from pose3d import doctor, probes
from pose3d.probes import FAULT, GOOD, NOTE, STOP
from weights import store


@pytest.fixture
def own_weights(tmp_path, monkeypatch):
    """A copy of the shipped weights, which may be damaged."""
    place = tmp_path / "weights"
    place.mkdir()
    for entry in store.entries().values():
        shutil.copy(store.FOLDER / entry.file, place)
    monkeypatch.setattr(store, "FOLDER", place)
    return place


def test_damaged_weights(own_weights):
    entries = store.entries()
    path = own_weights / entries["mixste"].file
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    (own_weights / entries["strided"].file).unlink()
    rows = {name: rest for name, *rest in doctor._shipped()}
    assert rows["mixste"][0] == STOP  # the lifter that is taken when none is named
    assert f"{path}: damaged, its SHA-256 begins with " in rows["mixste"][1]
    assert rows["mixste"][2] == rows["strided"][2] == "install pose3d again"
    assert rows["strided"][0] == FAULT
    good = [name for name in entries if name not in ("mixste", "strided")]
    assert "liftformer" in good
    assert rows["shipped"][1] == f"{', '.join(good)}: SHA-256 right"


def test_a_registry_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "REGISTRY", tmp_path / "none.toml")
    (finding,) = doctor._guarded("Weights", "shipped", doctor._shipped)
    assert (finding.state, finding.mend) == (FAULT, "install pose3d again")
    assert "none.toml: cannot be read" in finding.found


def test_where_fetched_weights_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("POSE3D_HOME", str(tmp_path / "new" / "cache"))
    ((_, state, found, mend),) = doctor._home()
    assert (state, mend) == (GOOD, "")
    assert found.startswith(f"{tmp_path}/new/cache: can be written, ")
    assert list(tmp_path.iterdir()) == []  # nothing was made
    usage = shutil.disk_usage(tmp_path)._replace(free=3e8)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    ((_, state, found, mend),) = doctor._home()
    assert (state, "0.3 GB free" in found, "make room" in mend) == (NOTE, True, True)
    (tmp_path / "file").touch()
    monkeypatch.setenv("POSE3D_HOME", str(tmp_path / "file" / "cache"))
    ((_, state, found, mend),) = doctor._home()
    assert (state, "cannot be written" in found) == (FAULT, True)
    assert "set POSE3D_HOME" in mend


def test_public_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("POSE3D_HOME", str(tmp_path))
    ((_, state, found),) = doctor._public()
    assert (state, found[:5]) == (GOOD, "none;")
    known = store.public()
    (tmp_path / known["rtmdet-m"].file).write_bytes(bytes(2_000_000))
    (tmp_path / known["rtmdet-tiny"].file).touch()
    empty, whole = doctor._public()
    assert empty[:3] == ("rtmdet-tiny", FAULT, "0 bytes, not more")
    assert empty[3] == "pose3d weights remove rtmdet-tiny; pose3d weights fetch rtmdet-tiny"
    assert "rtmdet-m (2 MB)" in whole[2]


def test_what_finds_the_joints(tmp_path, monkeypatch):
    """What was fetched, and whether the packages for it are there."""
    known = store.public()
    monkeypatch.setenv("POSE3D_HOME", str(tmp_path))
    state, found, advice = probes._pose2d()
    assert (state, found) == (GOOD, "mediapipe for one person, hrnet-w20-cam for several")
    assert "pose3d weights fetch" in advice
    (tmp_path / known["hrnet-w32-256x192"].file).touch()
    assert probes._pose2d() == (GOOD, "hrnet-w32-256x192, people by centernet", "")
    (tmp_path / known["rtmdet-tiny"].file).touch()
    monkeypatch.setattr(probes.importlib.util, "find_spec", lambda name: None)
    state, found, mend = probes._pose2d()
    assert (state, mend) == (STOP, 'pip install "pose3d[mm]"')
    assert found.startswith("hrnet-w32-256x192, people by rtmdet-tiny, which lacks mmengine")
