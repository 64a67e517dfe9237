"""C3D, TRC and MOT: what stands in the files, read by their formats' descriptions."""

import struct
import sys

import numpy as np
import pytest

from pipeline.angles import DEFINITIONS
from pipeline.export import export
from tests.pipeline.exports import ELBOW, filmed, knees, prowler, room
from tests.pipeline.test_export_bvh import NAMES
from weights.errors import Pose3dError

TIME = np.arange(60) / 30


def opensim(positions):
    """Room (x right, y away, z up) to x away, y up, z right."""
    x, y, z = np.moveaxis(positions, -1, 0)
    return np.stack([y, z, x], axis=-1)


def uneven_times(frames=120):
    return np.cumsum(np.random.default_rng(4).uniform(0.01, 0.057, frames)) + 3


# C3D ---------------------------------------------------------------------------------------------


def c3d(result, tmp_path, **options):
    """What ezc3d reads, the bytes, and the note."""
    ezc3d = pytest.importorskip("ezc3d")
    (written,) = export(result, tmp_path / "people.c3d", **options)
    return ezc3d.c3d(str(written.path)), written.path.read_bytes(), written.note


def test_c3d_points(tmp_path):
    person = prowler(TIME, 0.7)
    file, _, note = c3d(filmed([person], rate=30), tmp_path)
    points = file["data"]["points"][:3].transpose(2, 1, 0)
    np.testing.assert_allclose(points, 1000 * room(person), atol=0.01)
    told = {name: file["parameters"]["POINT"][name]["value"] for name in ("LABELS", "UNITS")}
    assert told == {"LABELS": list(NAMES), "UNITS": ["mm"]}
    assert file["parameters"]["POINT"]["RATE"]["value"] == [30]
    assert file["parameters"]["POINT"]["X_SCREEN"]["value"] == ["+X"]
    assert file["parameters"]["POINT"]["Y_SCREEN"]["value"] == ["+Z"]
    assert "z up" in file["parameters"]["POSE3D"]["AXES"]["value"][0]
    assert "mm, z up" in note


def test_c3d_gaps_in_the_bytes(tmp_path):
    """A point that is not there has residual -1, others 0 or more; after c3d.org's description."""
    _, content, note = c3d(filmed([prowler(TIME)], absent=[(0, [0, 30, 31])]), tmp_path)
    points, first, last = (struct.unpack_from("<H", content, n)[0] for n in (2, 6, 8))
    scale, block, _, rate = struct.unpack_from("<fHHf", content, 12)
    assert (points, first, last, rate) == (17, 1, 60, 30)
    assert scale < 0  # coordinates are floats
    data = np.frombuffer(content, "<f4", 60 * 17 * 4, (block - 1) * 512).reshape(60, 17, 4)
    gone = np.isin(np.arange(60), [0, 30, 31])
    assert (data[gone, :, 3] == -1).all()
    assert (data[~gone, :, 3] >= 0).all()
    assert np.isfinite(data).all()
    assert "3 frames with absent points" in note


def test_c3d_of_several_people(tmp_path):
    people = [prowler(TIME, 0.2 * n) + np.array([n, 0, 0]) for n in range(16)]
    result = filmed(people, ids=np.arange(16) + 1)
    file, _, _ = c3d(result, tmp_path)
    labels = [*(file["parameters"]["POINT"]["LABELS"]["value"])]
    labels += file["parameters"]["POINT"]["LABELS2"]["value"]  # 272 of them
    assert labels == [f"P{n}:{name}" for n in range(1, 17) for name in NAMES]
    points = file["data"]["points"][:3].transpose(2, 1, 0).reshape(60, 16, 17, 3)
    np.testing.assert_allclose(points[:, 15], 1000 * room(people[15]), atol=0.01)
    assert file["parameters"]["SUBJECTS"]["NAMES"]["value"][0] == "P1"


def test_c3d_of_a_varying_rate(tmp_path):
    times = uneven_times()
    file, _, note = c3d(filmed([prowler(times)], time_s=times), tmp_path)
    points = file["data"]["points"][:3].transpose(2, 1, 0)
    even = times[0] + np.arange(len(points)) / 30
    inside = even <= times[-1]
    np.testing.assert_allclose(points[inside], 1000 * room(prowler(even))[inside], atol=10)
    assert file["parameters"]["POSE3D"]["START_TIME_S"]["value"][0] == pytest.approx(times[0])
    assert "resampled" in note


def test_c3d_without_its_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ezc3d", None)
    with pytest.raises(Pose3dError, match=r'ezc3d; pip install "pose3d\[export\]"'):
        export(filmed([prowler(TIME)]), tmp_path, ["trc", "c3d"])
    assert list(tmp_path.iterdir()) == []


def test_c3d_counts_frames_in_16_bits(tmp_path):
    pytest.importorskip("ezc3d")
    person = np.broadcast_to(prowler([0.0]), (65536, 17, 3))
    with pytest.raises(Pose3dError, match="holds 65535 frames, these are 65536"):
        export(filmed([person]), tmp_path, ["c3d"])


# TRC ---------------------------------------------------------------------------------------------


def trc(path):
    """Header as a dict, marker names, and the table (F, 2 + 3 n)."""
    lines = path.read_text().split("\n")
    assert lines[0].split("\t")[:3] == ["PathFileType", "4", "(X/Y/Z)"]
    assert lines[0].split("\t")[3] == path.name
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    names = lines[3].split("\t")
    count = int(header["NumMarkers"])
    assert names[:2] == ["Frame#", "Time"]
    markers = names[2::3][:count]
    assert set(names) == {"Frame#", "Time", "", *markers}
    labels = [f"{axis}{n}" for n in range(1, count + 1) for axis in "XYZ"]
    assert lines[4].split("\t") == ["", "", *labels]
    assert lines[5] == ""
    assert lines[-1] == ""
    rows = [[float(c) if c else np.nan for c in line.split("\t")] for line in lines[6:-1]]
    assert len(rows) == int(header["NumFrames"])
    return header, markers, np.array(rows)


def test_trc(tmp_path):
    person = prowler(TIME, np.pi / 2)  # away from the camera, which is forward in OpenSim
    gone = [10, 11]
    (written,) = export(filmed([person], absent=[(0, gone)]), tmp_path / "walk.trc")
    header, markers, table = trc(written.path)
    assert {header[name] for name in ("DataRate", "CameraRate", "OrigDataRate")} == {"30"}
    assert header["Units"] == "m"
    assert markers == list(NAMES)
    np.testing.assert_array_equal(table[:, 0], np.arange(60) + 1)
    np.testing.assert_allclose(table[:, 1], TIME, atol=1e-6)
    positions = table[:, 2:].reshape(60, 17, 3)
    assert np.isnan(positions[gone]).all()
    expected = opensim(room(person))
    expected[gone] = np.nan
    np.testing.assert_allclose(positions, expected, atol=2e-6)
    assert positions[-1, 0, 0] - positions[0, 0, 0] == pytest.approx(1.2 * TIME[-1], abs=1e-4)
    assert "2 frames with empty cells" in written.note


def test_trc_of_a_varying_rate_keeps_the_videos_time(tmp_path):
    times = uneven_times()
    person = prowler(times)
    gone = range(40, 60)
    result = filmed([person], time_s=times, absent=[(0, gone)])
    (written,) = export(result, tmp_path / "walk.trc")
    _, _, table = trc(written.path)
    np.testing.assert_allclose(np.diff(table[:, 1]), 1 / 30, atol=2e-6)
    assert table[0, 1] == pytest.approx(times[0], abs=1e-6)
    hip = table[:, 2:5]
    known = np.isfinite(hip).all(axis=1)
    expected = opensim(room(prowler(table[:, 1])))[:, 0]
    np.testing.assert_allclose(hip[known][:-1], expected[known][:-1], atol=0.03)
    lost = (table[:, 1] > times[39] + 1 / 60) & (table[:, 1] < times[60] - 1 / 60)
    np.testing.assert_array_equal(known, ~lost)


def test_trc_of_two_people(tmp_path):
    people = [prowler(TIME), prowler(TIME, 1) + np.array([0, 2, 0])]
    written = export(filmed(people), tmp_path, ["trc", "mot"], name="duo")
    names = ["duo_person1.trc", "duo_person2.trc", "duo_person1.mot", "duo_person2.mot"]
    assert [item.path.name for item in written] == names
    for item, person in zip(written, people, strict=False):
        table = trc(item.path)[2]
        np.testing.assert_allclose(table[:, 2:5], opensim(room(person))[:, 0], atol=2e-6)


# MOT ---------------------------------------------------------------------------------------------


def mot(path):
    """Header lines and the columns by name."""
    lines = path.read_text().split("\n")
    end = lines.index("endheader")
    rows = np.array([[float(cell) for cell in line.split("\t")] for line in lines[end + 2 : -1]])
    names = lines[end + 1].split("\t")
    assert f"nRows={len(rows)}" in lines[:end]
    assert f"nColumns={len(names)}" in lines[:end]
    return lines[:end], dict(zip(names, rows.T, strict=True))


def test_mot(tmp_path):
    person = prowler(TIME, 0.3)
    gone = [10, 11]
    (written,) = export(filmed([person], absent=[(0, gone)]), tmp_path / "walk.mot")
    header, columns = mot(written.path)
    assert "inDegrees=yes" in header
    assert "version=1" in header
    there = np.delete(np.arange(60), gone)
    assert next(iter(columns)) == "time"
    np.testing.assert_allclose(columns["time"], TIME[there], atol=1e-6)
    right, left = np.degrees(knees(TIME[there]))
    np.testing.assert_allclose(columns["knee_flexion_r"], right, atol=0.01)
    np.testing.assert_allclose(columns["knee_flexion_l"], left, atol=0.01)
    # The figure's upper arm is not in one plane with the swing.
    np.testing.assert_allclose(columns["elbow_flexion_r"], np.degrees(ELBOW), atol=0.7)
    path = np.stack([columns[f"pelvis_t{axis}"] for axis in "xyz"], axis=1)
    np.testing.assert_allclose(path, opensim(room(person))[there, 0], atol=2e-6)
    for name in columns.keys() - {"time", "pelvis_tx", "pelvis_ty", "pelvis_tz"}:
        assert f"{name}: {DEFINITIONS[name]}" in header
    assert not any("=" in line for line in header[5:])  # which OpenSim would take for settings
    assert "2 frames without the person left out" in written.note
