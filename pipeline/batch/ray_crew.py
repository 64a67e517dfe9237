"""Workers on the machines of a Ray cluster: an actor each, wherever Ray finds room for it.

Ray places them, gives them GPUs, and tells when one or its machine has died. It restarts nothing
and moves no data: who gets which video, what counts as done and which file goes where is decided
by the batch alone, as with processes of one machine.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

from pipeline.batch.resources import WORKER_BYTES, cores
from pipeline.batch.storage import make_folder
from pipeline.batch.work import Job, VideoWork
from pipeline.batch.workers import Teller, do_job
from pipeline.settings import Settings
from pipeline.version import VERSION
from weights.errors import Pose3dError

# Of a Ray that is started for one batch; results do not go through it.
OBJECT_STORE_BYTES = 100_000_000
# So many workers in a row that died before they could do anything mean that none ever will.
FAILED_STARTS = 10
LOOK_EVERY_S = 2.0
# Without any node: that of this process is gone, and what is started here as well.
NO_NODE_S = 20.0
# Without room for any worker, after which a batch gives up: clusters that grow do so in minutes.
NO_ROOM_S = 900.0


@contextmanager
def connected(address: str | None = None) -> Iterator[None]:
    """Ray, while the block runs: that at an address, at ``$RAY_ADDRESS``, or one on this machine.

    Raises
    ------
    Pose3dError
        if Ray is not installed, or there is no cluster that can be used at the address.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nobody is told of what is done here
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or it warns of a change
    try:
        import ray
        from ray._private import worker
    except ImportError:
        raise Pose3dError("--engine ray needs Ray: pip install 'pose3d[ray]'") from None
    # What it prints of dead workers, over the progress; the batch says it in a line.
    worker._worker_logs_enabled = False
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address.startswith("ray://"):
        raise Pose3dError(
            f"{address} is for Ray's clients: run pose3d on a machine of the cluster and give "
            "HOST:6379, the address that ray start told"
        )
    _check_answer(address)
    here = {"num_cpus": cores(), "object_store_memory": OBJECT_STORE_BYTES}
    options = {**here, "include_dashboard": False} if address == "local" else {}
    at_term = signal.getsignal(signal.SIGTERM)
    try:
        with _silence():
            ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **options)
    except Exception as error:  # of a dozen classes
        reason = " ".join(str(error).split())[:300]
        raise Pose3dError(
            f"no Ray cluster can be used at {address}: {reason}; if it wants a token, set "
            "RAY_AUTH_MODE=token here as well"
        ) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, at_term)  # Ray puts its own in its place
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _silence() -> Iterator[None]:
    """Whatever is written to standard error meanwhile, by C++ too, is lost."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _check_answer(address: str) -> None:
    """Ray itself tries for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Pose3dError(
            f"nothing answers at {address} ({reason}): give the address that ray start --head told"
        ) from None


class RayCrew:
    """Actors of the Ray cluster that is ``connected``.

    settings : of all workers; their device is what Ray gives them
    gpu : whether each one has a GPU to itself, beside a CPU core and ``WORKER_BYTES``
    workers : how many; None is as many as there is room for on the nodes, which may come and go
    most : no more than this in any case
    work : makes of settings what does a worker's jobs; None is ``VideoWork``

    Raises
    ------
    Pose3dError
        if the number is up to the cluster, and no node of it has room.
    """

    tries = 3  # the death of a worker or node is no sign that the video is the reason

    def __init__(
        self,
        settings: Settings,
        gpu: bool = False,
        workers: int | None = None,
        most: int = sys.maxsize,
        work: Callable[[Settings], VideoWork] | None = None,
    ) -> None:
        self.settings = replace(settings, device="cuda" if gpu else _without_gpu(settings))
        self.workers, self.most, self.work = workers, most, work or VideoWork
        self.needs = {"CPU": 1, "memory": WORKER_BYTES, **({"GPU": 1} if gpu else {})}
        # By number: a worker that died has a successor of another number.
        self._all: dict[int, RayWorker] = {}
        self._hired, self._failed_starts = 0, 0
        self._looked_s = self._room_s = time.monotonic()
        self._look()
        if not self.slots:
            raise Pose3dError(
                f"no node of the Ray cluster has room for a worker, which needs {self._needed()}"
            )

    def open(self) -> list[int]:
        """The numbers of the workers that are there; others are started where there is room."""
        if time.monotonic() - self._looked_s >= LOOK_EVERY_S:
            self._look()
        for number, worker in list(self._all.items()):
            if worker.alive():
                self._failed_starts *= not worker.started
                continue
            del self._all[number]
            self._failed_starts += not worker.started
            if self._failed_starts >= FAILED_STARTS:
                raise Pose3dError(f"a worker cannot start: {worker.why_dead()}")
        while len(self._all) < self.slots:
            self._all[self._hired] = RayWorker(self.settings, self.needs, self.work)
            self._hired += 1
        # Those of nodes that left before they had started would wait for a place for ever.
        for number in sorted(self._all, reverse=True)[: len(self._all) - self.slots]:
            if not self._all[number].started:
                self._all.pop(number).stop(at_once=True)
        return [number for number, worker in self._all.items() if worker.started]

    def hire(self, slot: int, folder: Path) -> RayWorker:
        worker = self._all[slot]
        worker.folder = folder
        make_folder(folder)
        return worker

    def wait(self, hands: Sequence[RayWorker], seconds: float) -> None:
        import ray

        # All, because those that start are waited for as well.
        refs = [worker.heard for worker in {*hands, *self._all.values()} if worker.alive()]
        if refs:
            ray.wait(refs, timeout=seconds)
        else:
            time.sleep(min(seconds, 0.1))

    def _look(self) -> None:
        """See how many workers there can be."""
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        room = sum(min(int(node.get(n, 0) // m) for n, m in self.needs.items()) for node in nodes)
        self.slots = min(room if self.workers is None else self.workers, self.most)
        self._looked_s = time.monotonic()
        if self.slots or self._all:
            self._room_s = self._looked_s
        elif not nodes and self._looked_s - self._room_s > NO_NODE_S:
            raise Pose3dError("no node of the Ray cluster is alive any more: run it again")
        elif self._looked_s - self._room_s > NO_ROOM_S:
            raise Pose3dError(
                "no node of the Ray cluster has had room for a worker, which needs "
                f"{self._needed()}, for {NO_ROOM_S / 60:.0f} minutes; run it again when one has"
            )

    def _needed(self) -> str:
        gpu = ", a GPU" if "GPU" in self.needs else ""
        return f"a CPU core{gpu} and {WORKER_BYTES / 1e9:.1f} GB"


def has_gpus() -> bool:
    """Whether any node of the cluster has a GPU."""
    import ray

    return ray.cluster_resources().get("GPU", 0) >= 1


def _without_gpu(settings: Settings) -> str:
    return "cpu" if settings.device == "auto" else settings.device


class RayWorker:
    """An actor, which may wait for a place.

    folder : for its unfinished files
    started : whether it has found a place, and runs
    heard : a reference to what it says next; it fails when the actor dies
    """

    folder: Path

    def __init__(
        self, settings: Settings, needs: dict[str, int], work: Callable[[Settings], VideoWork]
    ) -> None:
        import ray

        # Two calls at once: one does a job while another one listens.
        kind = ray.remote(max_restarts=0, max_concurrency=2)(_Actor)
        place = {"num_cpus": needs["CPU"], "num_gpus": needs.get("GPU", 0)}
        self._actor = kind.options(**place, memory=needs["memory"]).remote(settings, work)
        self.heard = self._actor.hear.remote()
        self.started = False
        self._host = "?"
        self._said: deque[tuple] = deque()
        self._dead = ""

    def give(self, job: Job) -> None:
        self._actor.do.remote(job)

    def messages(self) -> Iterator[tuple]:
        self._listen()
        while self._said:
            yield self._said.popleft()

    def alive(self) -> bool:
        self._listen()
        return not self._dead

    def why_dead(self) -> str:
        return self._dead

    def stop(self, at_once: bool) -> None:
        # Also "after its video": a batch says so to those alone that have none.
        self._end("it was told to end")

    def join(self) -> None:
        pass

    def _listen(self) -> None:
        """Fetch what the actor has said. There is one call at a time, so the order is right."""
        import ray

        while not self._dead and ray.wait([self.heard], timeout=0)[0]:
            try:
                said = ray.get(self.heard)
            except ray.exceptions.RayError as error:
                # Also if it may come back: nobody knows what of it got lost.
                self._end(_reason(error, self._host))
                return
            if not self.started:
                (_, self._host, version), *said = said
                self.started = True
                if version != VERSION:
                    said.append(("unusable", _other_version(version, self._host)))
            self._said.extend(message for message in said if message[0] != "dead")
            for _, why in (message for message in said if message[0] == "dead"):
                self._end(why)
            self.heard = self._actor.hear.remote()

    def _end(self, why: str) -> None:
        import ray

        self._dead = self._dead or why
        with contextlib.suppress(ray.exceptions.RayError):
            ray.kill(self._actor)


def _reason(error: Exception, host: str) -> str:
    """One line of Ray's many."""
    text = str(error)
    if "creation task" in text:
        return text.strip().splitlines()[-1].strip()
    if "OUT_OF_MEMORY" in text or "memory monitor" in text:
        return f"its process on {host} was ended by Ray, because the memory there ran out"
    if "node has died" in text or "node was terminated" in text:
        return f"its node {host} has died"
    if "unavailable" in text:
        return f"its node {host} cannot be reached"
    return f"its process on {host} ended unexpectedly (killed, or out of memory?)"


def _other_version(version: str, host: str) -> str:
    return f"node {host} has pose3d {version}, this machine {VERSION}: install the same everywhere"


class _Actor:
    """A worker's process, on its node."""

    def __init__(self, settings: Settings, work: Callable[[Settings], VideoWork]) -> None:
        self._teller = Teller(self._tell)
        self._said: SimpleQueue[tuple] = SimpleQueue()
        # Messages so far: told, given as answers, and known to have arrived.
        self._told = self._answered = self._arrived = 0
        self._arrival = threading.Condition()
        self._doing = work(settings)
        self._tell("here", socket.gethostname(), VERSION)

    def hear(self) -> list[tuple]:
        """What was said since the last call; waits until there is something."""
        with self._arrival:
            # Whoever asks again has got the last answer.
            self._arrived = self._answered
            self._arrival.notify()
        said = [self._said.get()]
        while not self._said.empty():
            said.append(self._said.get())
        self._answered += len(said)
        return said

    def _tell(self, *message: object) -> None:
        self._told += 1
        self._said.put(message)
        if message[0] == "began":
            # A video that ends its worker in its first moment would not be known to have done so.
            with self._arrival:
                self._arrival.wait_for(lambda: self._arrived >= self._told)

    def do(self, job: Job) -> None:
        """Do a job. It is not waited for: all that matters is said."""
        try:
            if why := _unseen(job):
                self._teller.tell("unusable", why)
            else:
                do_job(self._doing, job, self._teller)
        except Exception as error:  # a process would have ended with it
            text = " ".join(str(error).split())[:300]
            self._teller.tell("dead", f"{type(error).__name__}: {text} ({socket.gethostname()})")


def _unseen(job: Job) -> str:
    """Why a job cannot be done on this node, whose storage is not that of the batch."""
    for folder in (job.folder, job.video.parent):
        if isinstance(folder, Path) and not folder.is_dir():
            return (
                f"{folder} is not there on node {socket.gethostname()}: put videos and --output on "
                "storage that all nodes share, or give addresses such as s3://..."
            )
    return ""
