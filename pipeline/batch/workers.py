"""Worker processes: each does one video after the other, and none takes another one down.

A worker answers a ``Job`` with messages: ``("began",)`` when its networks are loaded; ``("stage",
name, total)`` and ``("advance", frames)``; ``("made", stage, path, frames, seconds)``; at last
``("done", warnings)`` or ``("failed", reason)``; or, after a fault of the program, with which it
ends because what it holds may be damaged, ``("broken", reason)``. ``("unusable", reason)``: no
video can be done with these settings.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import mkdtemp
from typing import Protocol

from pipeline.batch.find import plain_reason
from pipeline.batch.storage import at_hand, make_folder
from pipeline.batch.work import Job, VideoWork
from pipeline.settings import Settings
from weights.errors import Pose3dError

# Not fork: neither CUDA nor a process with threads survives it.
SPAWN = multiprocessing.get_context("spawn")
TELL_EVERY_S = 0.2


class Hand(Protocol):
    """A worker, wherever it is. folder: for its unfinished files."""

    folder: Path

    def give(self, job: Job) -> None:
        """Send a job, or nothing if the worker has died, which ``alive`` tells."""

    def messages(self) -> Iterator[tuple]:
        """What the worker has said until now."""

    def alive(self) -> bool:
        """Whether it can still do anything."""

    def why_dead(self) -> str:
        """How a worker ended that is not alive."""

    def stop(self, at_once: bool) -> None:
        """Tell it to end: at once, or after its video if it has one."""

    def join(self) -> None:
        """Wait for the end of a worker that was told to, for a while."""


class Crew(Protocol):
    """Where workers come from. slots: how many at once; tries: how many a video may cost."""

    slots: int
    tries: int

    def open(self) -> Iterable[int]:
        """The slots in which there is a worker, or can be one at once."""

    def hire(self, slot: int, folder: Path) -> Hand:
        """A new worker for an open slot."""

    def wait(self, hands: Sequence[Hand], seconds: float) -> None:
        """Until one of some workers says something or dies, or the time is over."""


class LocalCrew:
    """Processes of this machine.

    devices : the settings of each, which differ in nothing but the device
    threads : that each one's networks may use
    work : makes of settings what does a worker's jobs; None is ``VideoWork``
    """

    tries = 1  # what has killed one worker, too much memory above all, kills the next

    def __init__(
        self,
        devices: Sequence[Settings],
        threads: int = 1,
        work: Callable[[Settings], VideoWork] | None = None,
    ) -> None:
        self.devices, self.threads, self.work = devices, threads, work or VideoWork
        self.slots = len(devices)

    def open(self) -> Iterable[int]:
        return range(self.slots)

    def hire(self, slot: int, folder: Path) -> Worker:
        return Worker(slot, self.devices[slot], folder, self.threads, self.work)

    def wait(self, hands: Sequence[Worker], seconds: float) -> None:
        wait([each for hand in hands for each in (hand.connection, hand.process.sentinel)], seconds)


class Worker:
    """A process that waits for jobs.

    folder : for its unfinished files, and on this machine what it and its libraries print
    threads : that its networks may use
    work : makes of the settings what does the jobs
    """

    def __init__(
        self,
        slot: int,
        settings: Settings,
        folder: Path,
        threads: int,
        work: Callable[[Settings], VideoWork],
    ) -> None:
        self.slot = slot
        self.folder = folder
        make_folder(folder)
        # What is printed cannot go to a store.
        self._logs = folder if isinstance(folder, Path) else Path(mkdtemp(prefix="pose3d-"))
        self.connection, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(
            target=_serve,
            args=(theirs, settings, self._logs / "log.txt", threads, work),
            name=f"pose3d-worker-{slot}",
            daemon=True,
        )
        with _without_interrupts():
            self.process.start()
        theirs.close()

    def give(self, job: Job) -> None:
        """Send a job, or nothing if the process has died: its sentinel tells."""
        with suppress(OSError):
            self.connection.send(job)

    def messages(self) -> Iterator[tuple]:
        """What the worker has said until now."""
        try:
            while self.connection.poll():
                yield self.connection.recv()
        except (EOFError, OSError):
            return

    def alive(self) -> bool:
        """Whether the process is there."""
        return self.process.is_alive()

    def why_dead(self) -> str:
        """How a process ended that has ended."""
        self.process.join()
        code = self.process.exitcode
        if code < 0:
            name = signal.Signals(-code).name if -code in signal.valid_signals() else f"{-code}"
            hint = ", which the system does when memory runs out" if name == "SIGKILL" else ""
            return f"its process was ended by {name}{hint}"
        said = [line for line in self._log().splitlines() if line.strip()]
        return f"its process ended with code {code}" + (f": {said[-1].strip()}" if said else "")

    def _log(self) -> str:
        try:
            return (self._logs / "log.txt").read_text(errors="replace")[-2000:]
        except OSError:
            return ""

    def stop(self, at_once: bool) -> None:
        """Tell the process to end: at once, or after its video if it has one."""
        if at_once:
            self.process.terminate()
        else:
            self.connection.close()  # which it understands

    def join(self) -> None:
        """Wait for the end of a process that was told to, for a while."""
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()
        if self._logs != self.folder:
            shutil.rmtree(self._logs, ignore_errors=True)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C is for the parent alone: what is started here ignores it from its first moment."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(
    connection: Connection,
    settings: Settings,
    log: Path,
    threads: int,
    work: Callable[[Settings], VideoWork],
) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _write_to(log)
    # Before the libraries are imported, which read it then.
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    teller = Teller(lambda *message: connection.send(message))
    doing = work(settings)
    usable = True
    while usable:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        usable = do_job(doing, job, teller)


def do_job(doing: VideoWork, job: Job, teller: Teller) -> bool:
    """Do a job and tell all that the module's head names; whether the worker can do another."""
    try:
        doing.load(job.first)
    except Pose3dError as error:
        teller.tell("unusable", str(error))
        return False
    teller.tell("began")
    try:
        with at_hand(job, teller.made) as (near, made):
            warnings = doing.run(near, teller, made)
    except Pose3dError as error:
        teller.tell("failed", plain_reason(error, job.video))
    except Exception as error:
        traceback.print_exc()
        *_, last = traceback.extract_tb(error.__traceback__)
        text = " ".join(str(error).split())[:300]
        where = f"{Path(last.filename).name}, line {last.lineno}"
        teller.tell("broken", f"a fault in pose3d: {type(error).__name__}: {text} ({where})")
        return False
    else:
        teller.tell("done", warnings)
    return True


class Teller:
    """A progress whose listener is elsewhere. tell: sends a message there."""

    def __init__(self, tell: Callable[..., None]) -> None:
        self.tell = tell
        self._frames = 0
        self._told = 0.0

    def stage(self, name: str, total: int | None) -> None:
        self._flush()
        self.tell("stage", name, total)

    def advance(self, frames: int = 1) -> None:
        self._frames += frames
        if time.monotonic() - self._told > TELL_EVERY_S:
            self._flush()

    def made(self, stage: str, path: Path, frames: int, seconds: float) -> None:
        self._flush()
        self.tell("made", stage, str(path), frames, seconds)

    def _flush(self) -> None:
        self._told = time.monotonic()
        if self._frames:
            self.tell("advance", self._frames)
        self._frames = 0


def _end_with_parent() -> None:
    """A parent that was killed cannot end its workers."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _write_to(log: Path) -> None:
    """Whatever is printed here, by C++ too, goes to a file: the terminal is the parent's."""
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor, stream in ((1, sys.stdout), (2, sys.stderr)):
            if stream is not None:
                stream.flush()
            os.dup2(file, descriptor)
        os.close(file)
    except OSError:
        pass
