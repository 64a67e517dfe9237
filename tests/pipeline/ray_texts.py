"""A Ray cluster of several nodes on this machine, and a program that runs a batch of texts on it.

python -m tests.pipeline.ray_texts FOLDER OUTPUT LOG ADDRESS [PAUSE]
"""

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

from pipeline.batch.find import Video
from pipeline.batch.manifest import Manifest
from pipeline.batch.ray_crew import RayCrew, connected
from pipeline.batch.run import run_batch
from pipeline.batch.storage import StoredPath
from pipeline.batch.tasks import Summary
from pipeline.settings import Settings
from tests.pipeline.batch_fakes import Ears, recipe, texts_of
from tests.pipeline.bucket import FakeWorkOnBuckets

NODE = {"object_store_memory": 80_000_000, "include_dashboard": False}
# A node that is gone is missed after seconds, not after a quarter of a minute.
QUICK = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}


def new_cluster():
    """A head that takes no work. Whoever needs nodes adds them."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    head = {**NODE, "num_cpus": 0, "_system_config": QUICK}
    return Cluster(initialize_head=True, head_node_args=head)


def add_node(cluster, cpus=2):
    return cluster.add_node(**NODE, num_cpus=cpus)


def kill_node(cluster, node):
    """As if the machine had lost its power."""
    raylet = node.all_processes["raylet"][0].process.pid
    for pid in [*children_of(raylet), raylet]:
        os.kill(pid, signal.SIGKILL)
    cluster.remove_node(node, allow_graceful=False)


def children_of(pid):
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                children.append(int(stat.parent.name))
        except OSError:
            continue
    return children


def logged(log, pause, settings):
    """The stand-in's work, which takes these from the environment."""
    os.environ["POSE3D_TEST_LOG"], os.environ["POSE3D_TEST_PAUSE"] = str(log), str(pause)
    return FakeWorkOnBuckets(settings)


def run_on_ray(folder, output, log, address, pause=0.0, workers=None, **settings):
    """A batch of texts on a cluster; what became of it."""
    chosen, summary = Settings(**settings), Summary()
    if isinstance(folder, StoredPath):
        videos = [Video(path, path.name) for path in folder.files(recursive=True)]
    else:
        videos = texts_of(folder)
    with connected(address):
        crew = RayCrew(chosen, workers=workers, work=partial(logged, log, pause))
        run_batch(videos, Manifest(output), crew, recipe(chosen), Ears(), summary)
    return summary


if __name__ == "__main__":
    folder, output, log, address, *pause = sys.argv[1:]
    summary = run_on_ray(folder, output, log, address, *map(float, pause))
    print(json.dumps({s: len(summary.of(s)) for s in ("done", "skipped", "failed")}))
