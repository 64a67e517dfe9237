"""Batches on a real Ray cluster of several nodes, some of which are killed."""

import json
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.batch.ray_crew import _unseen, connected
from pipeline.batch.work import Job
from pipeline.result import load_result
from pipeline.settings import Settings
from tests.pipeline.batch_fakes import drawn, lifted
from tests.pipeline.bucket import new_bucket
from tests.pipeline.ray_texts import add_node, kill_node, new_cluster, run_on_ray
from tests.pipeline.test_batch_kill import alive, finished, lines_of, tree, until, workers_of
from weights.errors import Pose3dError

ROOT = Path(__file__).parents[2]
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def head():
    pytest.importorskip("ray")
    cluster = new_cluster()
    yield cluster
    cluster.shutdown()


@pytest.fixture
def cluster(head):
    """The head alone; nodes that a test adds are removed after it."""
    yield head
    for node in list(head.worker_nodes):
        head.remove_node(node)
    with connected(head.address):
        until(lambda: sum(node["Alive"] for node in ray_nodes()) == 1)


def ray_nodes():
    import ray

    return ray.nodes()


@pytest.fixture
def texts(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def write(folder, count):
    for number in range(count):
        (folder / f"v{number}.txt").write_text(f"text {number}")


def check(output, count):
    """Every output is there once, and right."""
    expected = {}
    for number in range(count):
        result = lifted(f"text {number}", Settings())
        expected[f"v{number}_pose3d.npz"] = result
        expected[f"v{number}_pose3d.mp4"] = drawn(result, Settings())
    assert tree(output) == expected


def stages(log):
    return Counter(line for line in lines_of(log) if not line.startswith("start"))


@slow
def test_all_is_done_and_a_video_fails_alone(texts, tmp_path, cluster):
    add_node(cluster)
    add_node(cluster)
    write(texts, 6)
    (texts / "bad.txt").write_text("bad")
    (texts / "fault.txt").write_text("fault")
    (texts / "killed.txt").write_text("killed")
    log = tmp_path / "log"
    summary = run_on_ray(texts, tmp_path / "out", log, cluster.address)
    reasons = {outcome.task.name: outcome.reason for outcome in summary.of("failed")}
    assert reasons.keys() == {"bad", "fault", "killed"}
    assert reasons["bad"] == "is not a video"
    assert reasons["fault"].startswith("a fault in pose3d: KeyError: 'joint'")
    assert "ended unexpectedly (killed, or out of memory?)" in reasons["killed"]
    check(tmp_path / "out", 6)
    told = stages(log)
    # Three workers died over one video; no other one was begun twice.
    assert told.pop("detect killed.txt") == 3
    assert set(told.values()) == {1}
    assert len(told) == 3 * 6 + 2
    assert len(workers_of(log)) >= 4
    # Nothing is left: neither files, nor workers, nor work.
    assert not list((tmp_path / "out" / ".pose3d" / "work").iterdir())
    until(lambda: not any(map(alive, workers_of(log))))
    for name in ("bad", "fault", "killed"):
        (texts / f"{name}.txt").unlink()
    summary = run_on_ray(texts, tmp_path / "out", tmp_path / "log2", cluster.address)
    assert len(summary.of("skipped")) == 6
    assert not stages(tmp_path / "log2")
    with pytest.raises(Pose3dError, match="the lifter is not usable"):
        run_on_ray(texts, tmp_path / "out", log, cluster.address, lifter="unusable")


@slow
def test_a_node_is_killed_and_nothing_is_lost_or_done_twice(texts, tmp_path, cluster):
    nodes = [add_node(cluster), add_node(cluster)]
    write(texts, 16)
    output, log = tmp_path / "out", tmp_path / "log"
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(run_on_ray, texts, output, log, cluster.address, pause=0.3)
        until(lambda: len(finished(output)) >= 3 or batch.done())
        kill_node(cluster, nodes[0])
        done = finished(output)
        summary = batch.result()
    assert Counter(outcome.state for outcome in summary.outcomes) == {"done": 16}
    assert len({outcome.task.name for outcome in summary.outcomes}) == 16
    check(output, 16)
    told = stages(log)
    again = {line.split()[1] for line, count in told.items() if count > 1}
    # It had two workers, each with a video, and those alone are done anew.
    assert len(again) <= 2
    assert not again & done
    assert 1 <= len(done) < 16
    assert set(told.values()) <= {1, 2}
    assert not list((output / ".pose3d" / "work").iterdir())


@slow
def test_all_in_an_object_store(tmp_path, cluster):
    nodes = [add_node(cluster), add_node(cluster)]
    bucket, log = new_bucket(tmp_path / "bucket"), tmp_path / "log"
    for number in range(8):
        (bucket / f"in/v{number}.txt").write_bytes(f"text {number}".encode())
    output = bucket / "out"
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(run_on_ray, bucket / "in", output, log, cluster.address, pause=0.2)
        until(lambda: len(lines_of(log)) >= 4 + 6 or batch.done())
        kill_node(cluster, nodes[0])
        summary = batch.result()
    assert len(summary.of("done")) == 8
    for number in range(8):
        result = lifted(f"text {number}", Settings())
        assert (output / f"v{number}_pose3d.npz").read_bytes() == result
        video = (output / f"v{number}_pose3d.mp4").read_bytes()
        assert video == drawn(result, Settings())
    assert not (output / ".pose3d/work").exists()
    assert len({line.split()[1] for line, count in stages(log).items() if count > 1}) <= 2
    before = len(lines_of(log))
    summary = run_on_ray(bucket / "in", output, log, cluster.address)
    assert len(summary.of("skipped")) == 8
    assert not any("v" in line.split()[1] for line in lines_of(log)[before:])


@slow
def test_nodes_that_come_later_get_work(texts, tmp_path, cluster):
    add_node(cluster, cpus=1)
    write(texts, 12)
    log = tmp_path / "log"
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(run_on_ray, texts, tmp_path / "out", log, cluster.address, pause=0.5)
        until(lambda: len(lines_of(log)) >= 3 or batch.done())
        add_node(cluster, cpus=2)
        summary = batch.result()
    assert len(summary.of("done")) == 12
    assert len(workers_of(log)) == 3


@slow
def test_the_batch_itself_is_killed_and_run_again(texts, tmp_path, cluster):
    add_node(cluster)
    write(texts, 8)
    output, log = tmp_path / "out", tmp_path / "log"
    command = [sys.executable, "-m", "tests.pipeline.ray_texts", texts, output, log]
    command += [cluster.address, "0.2"]

    def start():
        return subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    first = start()
    until(lambda: len(lines_of(log)) >= 2 + 9, first)
    first.kill()
    first.communicate()
    until(lambda: not any(map(alive, workers_of(log))))
    done, before = finished(output), stages(log)
    assert 1 <= len(done) < 8
    second = start()
    out, err = second.communicate(timeout=120)
    assert (json.loads(out), err) == (
        {"done": 8 - len(done), "skipped": len(done), "failed": 0},
        "",
    )
    check(output, 8)
    again = stages(log) - before
    assert not {line.split()[1] for line in again} & done
    # Nothing of a killed batch is put in its place later.
    time.sleep(0.5)
    check(output, 8)


@slow
def test_too_little_room_is_told(texts, tmp_path, cluster):
    write(texts, 1)
    with pytest.raises(Pose3dError, match=r"no node .* has room for a worker, .* a CPU core and"):
        run_on_ray(texts, tmp_path / "out", tmp_path / "log", cluster.address)


@slow
def test_the_real_work_on_a_ray_of_its_own(tmp_path):
    pytest.importorskip("ray")
    pytest.importorskip("mediapipe")
    folder = tmp_path / "in"
    folder.mkdir()
    clip = (ROOT / "demos" / "walk.mp4").read_bytes()
    for name in ("a.mp4", "b.mp4"):
        # Other content, the same pictures.
        (folder / name).write_bytes(clip + name.encode())
    for name, engine in (("ray", ["ray", "--workers", "2"]), ("local", ["local"])):
        command = [sys.executable, "-m", "pose3d", "batch", folder, "-o", tmp_path / name]
        command += ["--end", "0.5"]
        done = subprocess.run(
            [*command, "--engine", *engine], cwd=ROOT, text=True, check=False, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        assert "videos: 2 done" in done.stdout
        lines = done.stderr.splitlines()
        assert all(line.startswith(("[", "warning")) for line in lines), done.stderr
    ours, theirs = tree(tmp_path / "ray"), tree(tmp_path / "local")
    assert ours.keys() == theirs.keys()
    assert len(ours) == 4
    for name in ("a", "b"):
        ours, theirs = (load_result(tmp_path / e / f"{name}_pose3d.npz") for e in ("ray", "local"))
        assert np.isfinite(theirs.joints3d).any()
        assert (ours.status == theirs.status).all()
        for part in ("keypoints2d", "joints3d", "root"):
            assert np.array_equal(getattr(ours, part), getattr(theirs, part), equal_nan=True)


def test_a_node_without_the_storage_says_so(tmp_path):
    gone = tmp_path / "mount"
    job = Job(tmp_path / "a.mp4", {}, 0, "detect", gone, gone, {}, gone / "out")
    assert _unseen(job).startswith(f"{gone}/out is not there on node ")
    assert "storage that all nodes share" in _unseen(job)


def test_what_cannot_be_connected_to():
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = f"127.0.0.1:{server.getsockname()[1]}"
    for address, words in [("ray://head:10001", "HOST:6379"), (nobody, "nothing answers")]:
        with pytest.raises(Pose3dError, match=words), connected(address):
            pass


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Pose3dError, match=r"pip install 'pose3d\[ray\]'"), connected():
        pass
