"""A fleet of workers that works through videos: a simulation, event by event.

A video is a chain of phases, a phase some jobs that can be done side by side, a job a chain of
steps that one worker does (first pass, lifting, rendering). What a finished step has made is kept,
so that a worker that dies loses the step that it was at; another one takes its place and, when it
has started, the rest of the job. Steps that read share the bandwidth of the storage: while they
want more than there is, all of them are slowed down alike.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.scale.model import Costs, Knobs, Videos, stage_seconds
from weights.errors import Pose3dError


@dataclass(frozen=True)
class Step:
    """Seconds of a worker at full speed, and bytes that are read evenly over them."""

    seconds: float
    bytes: float = 0.0


Job = tuple[Step, ...]
Phases = Sequence[Sequence[Job]]


@dataclass(frozen=True)
class Run:
    """How it went, in seconds.

    wall : until the last job was done
    busy : of workers, for steps that were finished, at full speed
    lost : of workers, in steps that deaths broke off
    tail : from the last moment at which all workers had work, to the end
    deaths : of workers that were at work
    """

    wall: float
    busy: float
    lost: float
    tail: float
    deaths: int


def jobs_of(
    costs: Costs,
    videos: Videos,
    knobs: Knobs,
    *,
    segment_s: float | None = None,
    overlap_s: float = 2.0,
    largest_first: bool = True,
) -> list[Phases]:
    """What a fleet of workers, a core each, has to do for videos; finding and hashing left out.

    segment_s : videos longer than one and a half of it are split, the first pass into jobs of about
        so many seconds that begin ``overlap_s`` earlier, and the rendering; lifted they are whole
    largest_first : the order of files' sizes, in which pose3d works; else that of the videos
    """
    if segment_s is not None and segment_s <= overlap_s:
        raise Pose3dError(f"--segment must be longer than the overlap of {overlap_s:g} s")
    cost = stage_seconds(costs, videos, knobs)
    passes = 2 if knobs.render else 1
    found = cost["decode"] / passes + cost["2d"]
    drawn = cost["decode"] * (passes - 1) / passes + cost["draw"] + cost["encode"]
    work = []
    for start, first, lift, last, size, seconds in zip(
        cost["start"], found, cost["lift"], drawn, videos.bytes, videos.seconds, strict=True
    ):
        render = Step(last, size) if knobs.render else Step(0.0)
        if segment_s is None or seconds <= 1.5 * segment_s:
            work.append([[(Step(start + first, size), Step(lift), render)]])
            continue
        count = round(seconds / segment_s)
        part = (seconds / count + overlap_s) / seconds
        work.append(
            [
                [(Step(start + first * part, size * part),)] * count,
                [(Step(lift),)],
                [(Step(render.seconds / count, render.bytes / count),)] * count,
            ]
        )
    if largest_first:
        order = np.argsort(-videos.bytes, kind="stable")
        work = [work[index] for index in order]
    return work


def simulate(
    work: Sequence[Phases],
    workers: int,
    *,
    start_s: float = 0.0,
    mtbf_s: float = math.inf,
    bandwidth: float = math.inf,
    rng: np.random.Generator | None = None,
) -> Run:
    """Let workers do videos in their order.

    start_s : until a new worker can begin
    mtbf_s : mean time between the failures of one worker, exponential
    bandwidth : bytes a second that the storage gives all workers together
    """
    if workers < 1 or mtbf_s <= 0 or bandwidth <= 0:
        raise Pose3dError("workers, mtbf and bandwidth must be above 0")
    rng = rng or np.random.default_rng(0)
    fleet = _Fleet(work, workers, start_s, bandwidth)
    deaths = _deaths(workers, mtbf_s, rng)
    death_s, victim = next(deaths)
    full_s = 0.0
    while fleet.give():
        end_s, reads = fleet.next_end()
        if fleet.at_work == workers:
            full_s = min(end_s, death_s)
        if death_s < end_s:
            fleet.forward(death_s)
            fleet.die(victim)
            death_s, victim = next(deaths)
        else:
            fleet.forward(end_s)
            fleet.end_step(reads)
    return Run(fleet.now, fleet.busy, fleet.lost, fleet.now - full_s, fleet.deaths)


def _deaths(workers: int, mtbf_s: float, rng: np.random.Generator) -> Iterator[tuple[float, int]]:
    """When who dies: each worker without a memory of how long it has lived."""
    now = 0.0
    while True:
        now += math.inf if mtbf_s == math.inf else rng.exponential(mtbf_s / workers)
        yield now, int(rng.integers(workers))


@dataclass
class _Worker:
    """since: where the clock of its step stood when it began. rate: bytes a second that it wants.

    job: video, phase, number in the phase, and step; None if it has none. ends: tells its step's
    end from those of steps that were broken off.
    """

    job: tuple[int, int, int, int] | None = None
    started: bool = False
    since: float = 0.0
    rate: float = 0.0
    ends: int = -1


class _Fleet:
    def __init__(
        self, work: Sequence[Phases], workers: int, start_s: float, bandwidth: float
    ) -> None:
        self.work, self.start_s, self.bandwidth = work, start_s, bandwidth
        self.waiting = deque(
            (video, 0, number, 0) for video, phases in enumerate(work)
            for number in range(len(phases[0]))
        )  # fmt: skip
        self.open_jobs = [len(phases[0]) for phases in work]  # of every video's phase
        self.workers = [_Worker() for _ in range(workers)]
        self.idle = list(range(workers))[::-1]
        # Two clocks: of all, and of steps that read, which stands for their progress.
        self.now = self.read_clock = 0.0
        self.demand = 0.0
        # Heaps of the ends of steps: of those that read by their clock.
        self.ends: dict[bool, list[tuple[float, int, int]]] = {False: [], True: []}
        self.steps_begun = 0
        self.busy = self.lost = 0.0
        self.deaths = 0

    @property
    def at_work(self) -> int:
        return len(self.workers) - len(self.idle)

    @property
    def speed(self) -> float:
        """Of steps that read."""
        return min(1.0, self.bandwidth / self.demand) if self.demand > 0 else 1.0

    def give(self) -> bool:
        """Give work to those who have none; whether anybody has any."""
        while self.idle and self.waiting:
            number = self.idle.pop()
            self.workers[number].job = self.waiting.popleft()
            self._begin(number)
        return self.at_work > 0

    def _step(self, worker: _Worker) -> Step:
        video, phase, number, place = worker.job
        return self.work[video][phase][number][place] if worker.started else Step(self.start_s)

    def _begin(self, number: int) -> None:
        worker = self.workers[number]
        step = self._step(worker)
        reads = step.bytes > 0 and step.seconds > 0 and self.bandwidth < math.inf
        worker.rate = step.bytes / step.seconds if reads else 0.0
        self.demand += worker.rate
        worker.since = self.read_clock if reads else self.now
        worker.ends = self.steps_begun = self.steps_begun + 1
        heapq.heappush(self.ends[reads], (worker.since + step.seconds, worker.ends, number))

    def next_end(self) -> tuple[float, bool]:
        """When the next step ends, and whether it is one that reads."""
        for ends in self.ends.values():
            while ends and self.workers[ends[0][2]].ends != ends[0][1]:
                heapq.heappop(ends)  # broken off
        plain, reading = (ends[0][0] if ends else math.inf for ends in self.ends.values())
        reading = self.now + (reading - self.read_clock) / self.speed
        return (reading, True) if reading < plain else (plain, False)

    def forward(self, time: float) -> None:
        time = max(time, self.now)  # rounding
        self.read_clock += (time - self.now) * self.speed
        self.now = time

    def end_step(self, reads: bool) -> None:
        _, _, number = heapq.heappop(self.ends[reads])
        worker = self.workers[number]
        seconds = self._step(worker).seconds
        self._break_off(worker)
        video, phase, index, place = worker.job
        if worker.started:
            self.busy += seconds
            place += 1
        worker.started = True
        if place < len(self.work[video][phase][index]):
            worker.job = video, phase, index, place
            self._begin(number)
            return
        worker.job = None
        self.idle.append(number)
        self.open_jobs[video] -= 1
        if not self.open_jobs[video] and phase + 1 < len(self.work[video]):
            jobs = len(self.work[video][phase + 1])
            self.open_jobs[video] = jobs
            self.waiting.extendleft((video, phase + 1, job, 0) for job in reversed(range(jobs)))

    def die(self, number: int) -> None:
        worker = self.workers[number]
        worker.started = False
        if worker.job is None:
            return
        self.deaths += 1
        self.lost += (self.read_clock if worker.rate else self.now) - worker.since
        self._break_off(worker)
        self.waiting.appendleft(worker.job)
        worker.job = None
        self.idle.append(number)

    def _break_off(self, worker: _Worker) -> None:
        self.demand -= worker.rate
        worker.rate, worker.ends = 0.0, -1


def expected_with_deaths(seconds: float, mtbf_s: float) -> float:
    """Seconds that a step takes on average, begun anew at each death of a worker (starts at once).

    (exp(d / m) - 1) m for a step of d and a mean time m between failures: the first of endlessly
    many attempts that lasts d.
    """
    return seconds if mtbf_s == math.inf else mtbf_s * math.expm1(seconds / mtbf_s)
