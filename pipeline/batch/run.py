"""A batch: videos are hashed, planned, given to workers; what they make is put in its place.

This process alone renames finished files and writes records, one after the other: whenever it is
killed, what is in its place is whole, and what is not is made again.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.batch.course import Course, Step, course_of
from pipeline.batch.find import Video
from pipeline.batch.locks import working_folder
from pipeline.batch.manifest import Manifest, Record
from pipeline.batch.plan import plan
from pipeline.batch.recipe import STAGES, Recipe
from pipeline.batch.storage import StoredPath, move, place, remove_folder
from pipeline.batch.tasks import Listener, Outcome, Summary, Task, largest_first, tasks_of
from pipeline.batch.work import Job
from pipeline.batch.workers import Crew, Hand
from pipeline.segments import Cut, Cuts
from weights.errors import Pose3dError
from weights.files import in_unicode

# So many deaths of workers in a row, none of which had begun a video, mean that none ever will.
STILLBORN = 3


def run_batch(
    videos: Sequence[Video],
    manifest: Manifest,
    crew: Crew,
    recipe: Recipe,
    listener: Listener,
    summary: Summary,
    *,
    render: bool = True,
    shard: tuple[int, int] = (1, 1),
    limit: int | None = None,
    from_stage: str | None = None,
    cut: Cut | None = None,
) -> None:
    """Work on videos; ``summary`` is filled on the way: it is right after an exception, too.

    Parameters
    ----------
    crew : who does the work
    render : whether videos are wanted as well as results
    shard : of the batches that share the output folder
    limit : work on so many videos at most; those that are done already do not count
    from_stage : a stage that is run anew in any case
    cut : cuts long videos into segments; None leaves all of them whole

    Raises
    ------
    Pose3dError
        if another batch is at work there, or no video can be done with these settings.
    """
    with working_folder(manifest.home, shard) as folder:
        manifest.read()  # what another batch did before this one had the lock
        tasks = tasks_of(videos, manifest, shard)
        tasks = tasks if limit else largest_first(tasks, manifest)
        listener.begin(len(tasks))
        _Batch(
            manifest=manifest,
            crew=crew,
            recipe=recipe,
            listener=listener,
            summary=summary,
            render=render,
            limit=math.inf if limit is None else limit,
            from_stage=from_stage,
            cut=cut,
            waiting=deque(tasks),
        ).run(folder)


@dataclass
class _Running:
    """What a worker is at. fault: why no output is taken any more."""

    worker: Hand
    course: Course
    step: Step
    begun: bool = False
    stage: str = "starting"
    done: int = 0
    total: int | None = None
    fault: str = ""


@dataclass
class _Batch:
    manifest: Manifest
    crew: Crew
    recipe: Recipe
    listener: Listener
    summary: Summary
    render: bool
    limit: float
    from_stage: str | None
    cut: Cut | None
    # Where tasks are: not looked at, being hashed, with a record, about to be cut, worked on.
    waiting: deque[Task]
    hashing: deque[tuple[Task, Future]] = field(default_factory=deque)
    ready: deque[tuple[Task, Record]] = field(default_factory=deque)
    cutting: list[tuple[Task, Record, str, Future]] = field(default_factory=list)
    courses: list[Course] = field(default_factory=list)
    running: dict[int, _Running] = field(default_factory=dict)
    workers: dict[int, Hand] = field(default_factory=dict)
    stillborn: int = 0
    # How many workers have died over a video, or a segment of it, by its name.
    deaths: Counter[tuple[str, str]] = field(default_factory=Counter)

    def run(self, folder: Path) -> None:
        began_s, count = time.monotonic(), len(self.waiting)
        at_once = True
        # One hashes, one looks for where to cut.
        pool = ThreadPoolExecutor(2, "read")
        try:
            while self.waiting or self.hashing or self.ready or self.cutting or self.courses:
                self._hash_ahead(pool)
                self._give_work(folder, pool)
                if self.limit <= 0 and not self.cutting and not self.courses:
                    break
                self._listen()
            at_once = False
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in self.workers.values():
                worker.stop(at_once)
            for worker in self.workers.values():
                worker.join()
            self.summary.left = count - len(self.summary.outcomes)
            self.summary.took_s = time.monotonic() - began_s

    def _hash_ahead(self, pool: ThreadPoolExecutor) -> None:
        """Read some videos ahead, so that no worker waits for it."""
        ahead = 2 * self.crew.slots + 2
        while self.waiting and len(self.hashing) + len(self.ready) < ahead:
            task = self.waiting.popleft()
            if task.video.fault:
                self._end(None, Outcome(task, "failed", task.video.fault))
                continue
            known = self.manifest.of(task.video.path)
            if known is not None and self.manifest.knows(task.video.path):
                self.ready.append((task, replace(known, name=task.name)))
                continue
            future = pool.submit(self.manifest.identify, task.video, task.name)
            self.hashing.append((task, future))
        while self.hashing and self.hashing[0][1].done():
            task, future = self.hashing.popleft()
            try:
                self.ready.append((task, future.result()))
            except OSError as error:
                self._end(None, Outcome(task, "failed", f"cannot be read ({error.strerror})"))

    def _give_work(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        for slot in self.crew.open():
            if slot in self.running:
                continue
            chosen = self._next_step(pool)
            if chosen is None:
                return
            course, step = chosen
            if slot not in self.workers:
                own = folder / f"{slot}-{time.monotonic_ns()}"
                self.workers[slot] = self.crew.hire(slot, own)
            worker = self.workers[slot]
            self.running[slot] = _Running(worker, course, step)
            worker.give(self._job(course, step, worker.folder))

    def _next_step(self, pool: ThreadPoolExecutor) -> tuple[Course, Step] | None:
        """What is to be done next: the rest of videos that were begun, then others."""
        while True:
            for course in self.courses:
                step = course.take()
                if step is not None:
                    return course, step
            for each in self.cutting:
                task, record, first, future = each
                if future.done():
                    self.cutting.remove(each)
                    self._begin(task, record, first, future.result())
                    break
            else:
                if self.limit <= 0 or len(self.cutting) >= self.crew.slots:
                    return None
                chosen = self._next()
                if chosen is None:
                    return None
                self.limit -= 1
                # From a store, every segment would fetch the whole video.
                if self.cut is None or isinstance(chosen[0].video.path, StoredPath):
                    self._begin(*chosen, Cuts())
                else:
                    future = pool.submit(self.cut, chosen[0].video.path)
                    self.cutting.append((*chosen, future))

    def _begin(self, task: Task, record: Record, first: str, cuts: Cuts) -> None:
        # What is forced takes no segments from before.
        forced, known = self.from_stage is not None, (self.recipe, self.manifest)
        self.courses.append(course_of(task, record, first, cuts, *known, self.render, forced))

    def _next(self) -> tuple[Task, Record, str] | None:
        """The next video that is due; those that are not are done with here."""
        busy = {course.record.sha256 for course in self.courses if course.searching}
        busy |= {record.sha256 for _, record, first, _ in self.cutting if first == "detect"}
        for task, record in list(self.ready):
            # Copies wait: the first pass over one is that over all.
            if record.sha256 in busy:
                continue
            self.ready.remove((task, record))
            first, _ = plan(record, self.recipe, self.manifest, self.render, self.from_stage)
            try:
                if first is None:
                    if self.manifest.of(task.video.path) != record:
                        self.manifest.save(record)  # the file was moved or touched
                    if self.cut is not None:  # of a batch that was killed at its very end
                        remove_folder(self.manifest.segments_path(record.name))
                    self._end(None, Outcome(task, "skipped"))
                    continue
                self.manifest.check_targets(task.name, task.video.path)
            except (OSError, Pose3dError) as error:
                self._end(None, Outcome(task, "failed", _one_line(error), first))
                continue
            return task, record, first
        return None

    def _job(self, course: Course, step: Step, folder: Path) -> Job:
        path, record = course.task.video.path, course.record
        return Job(
            video=path,
            identity={
                "name": in_unicode(path.name),
                "bytes": record.bytes,
                "sha256": record.sha256,
            },
            mtime_ns=record.mtime_ns,
            first=step.first,
            detections=self.manifest.detections_path(record.sha256),
            result=self.manifest.result_path(record.name),
            made_of=self.recipe.of(record.sha256)["detect"],
            folder=folder,
            last=step.last,
            span=step.span,
            spans=step.spans,
            parts=step.parts,
        )

    def _listen(self) -> None:
        """Hear what workers say, until one does or a moment has passed."""
        pause_s = 0.02 if self.hashing or self.cutting else 0.5
        if self.running:
            self.crew.wait([running.worker for running in self.running.values()], pause_s)
        elif self.hashing or self.cutting:
            time.sleep(pause_s)
        else:
            self.crew.wait([], pause_s)
        for slot, running in list(self.running.items()):
            dead = not running.worker.alive()  # before its last words are heard
            for message in running.worker.messages():
                self._hear(slot, running, *message)
                if slot not in self.running:
                    break
            if dead and self.workers.get(slot) is running.worker:
                self._bury(slot, running)

    def _hear(self, slot: int, running: _Running, kind: str, *rest) -> None:
        if kind == "began":
            self.stillborn, running.begun = 0, True
        elif kind == "unusable":
            raise Pose3dError(rest[0])
        elif kind == "stage":
            running.stage, running.total = rest
            running.stage = f"{running.stage} {running.step.label}".strip()
            running.done = 0
        elif kind == "advance":
            running.done += rest[0]
        elif kind == "made":
            self._keep(running, *rest)
        elif kind == "done":
            self._end_step(slot, running, running.fault, rest[0])
        elif kind in ("failed", "broken"):
            self._end_step(slot, running, running.fault or rest[0])
            if kind == "broken":
                worker = self.workers.pop(slot)
                worker.stop(at_once=True)
                worker.join()
        if slot in self.running:
            task = running.course.task
            self.listener.work(slot, task, running.stage, running.done, running.total)

    def _keep(self, running: _Running, stage: str, path: str, frames: int, seconds: float) -> None:
        """Put a whole file in its place, then note it: killed in between, it is made once more."""
        if running.fault:
            return
        course, record, manifest = running.course, running.course.record, self.manifest
        try:
            if stage == "part":
                move(place(path), running.step.target)
                if manifest.of(course.task.video.path) != record:
                    manifest.save(record)  # that it need not be hashed again
                return
            targets = {
                "detect": manifest.detections_path(record.sha256),
                "lift": manifest.result_path(record.name),
                "render": manifest.video_path(record.name),
            }
            course.frames, course.seconds, course.searching = frames, seconds, False
            size = place(path).stat().st_size
            # What is made of the old file is out of date from here on, and so is the old file.
            for later in STAGES[STAGES.index(stage) :]:
                record.stages.pop(later, None)
            manifest.save(record)
            move(place(path), targets[stage])
            if stage != "detect":
                made_of = self.recipe.of(record.sha256)[stage]
                record.stages[stage] = {"made_of": made_of, "bytes": size}
            record.frames, record.seconds = frames, seconds
            manifest.save(record)
        except (OSError, Pose3dError) as error:
            running.fault = f"cannot be put in its place: {_one_line(error)}"

    def _end_step(
        self, slot: int, running: _Running, fault: str, warnings: Sequence[str] = ()
    ) -> None:
        del self.running[slot]
        course = running.course
        if fault:
            course.fail(fault)
        else:
            course.finish(running.step, warnings)
        if course.over:
            self._finish(slot, course)

    def _finish(self, slot: int, course: Course) -> None:
        self.courses.remove(course)
        fault, record = course.fault, course.record
        record.failed = fault or None
        try:
            self.manifest.save(record)
        except Pose3dError as error:
            fault = fault or _one_line(error)
        if not fault:
            remove_folder(self.manifest.segments_path(record.name))
        outcome = Outcome(
            course.task,
            "failed" if fault else "done",
            fault,
            course.first,
            course.frames,
            course.seconds,
            time.monotonic() - course.began_s,
            course.warnings,
        )
        self._end(slot, outcome)

    def _bury(self, slot: int, running: _Running) -> None:
        """A worker is dead: its video has failed, unless it never came to it or has another try."""
        worker = self.workers.pop(slot)
        why = worker.why_dead()
        worker.join()
        if slot not in self.running:  # it had finished
            return
        course, name = running.course, (running.course.task.name, running.step.label)
        if running.begun:
            self.deaths[name] += 1
            if running.fault or self.deaths[name] >= self.crew.tries:
                self._end_step(slot, running, running.fault or why)
                return
        else:
            self.stillborn += 1
            if self.stillborn >= STILLBORN * self.crew.tries:
                raise Pose3dError(f"a worker cannot start: {why}; fewer --workers need less memory")
        del self.running[slot]
        course.give_back(running.step)
        if course.over:  # another segment has failed
            self._finish(slot, course)

    def _end(self, slot: int | None, outcome: Outcome) -> None:
        self.summary.outcomes.append(outcome)
        self.listener.end(slot, outcome)


def _one_line(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return " ".join(reason.split())
