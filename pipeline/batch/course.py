"""The way of one video through its jobs: of a long one, segments that may be done side by side."""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.batch.manifest import Manifest, Record
from pipeline.batch.recipe import Recipe
from pipeline.batch.storage import remove_folder
from pipeline.batch.tasks import Task
from pipeline.segments import Cuts, Span


@dataclass(frozen=True)
class Step:
    """A job of a video.

    first, last : stages of the video it does
    span : the segment that it is of, which ends up in ``target``; None: of the whole video
    spans, parts : the segments, in files, that it joins first
    label : which segment, for people to read
    """

    first: str
    last: str = "render"
    span: Span | None = None
    target: Path | None = None
    spans: tuple[Span, ...] = ()
    parts: tuple[Path, ...] = ()
    label: str = ""


@dataclass
class Course:
    """A video that is worked on.

    phases : groups of steps; those of a group may be done side by side, the groups follow
    searching : whether its first pass is still to come, which copies of the video wait for
    fault : why no more steps are begun
    frames, seconds : of the video, as far as it is known
    """

    task: Task
    record: Record
    first: str
    phases: deque[deque[Step]]
    searching: bool
    began_s: float = field(default_factory=time.monotonic)
    at_work: int = 0
    fault: str = ""
    frames: int = 0
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()

    def take(self) -> Step | None:
        """A step that can be begun; None if there is none at the moment."""
        while self.phases and not self.phases[0] and not self.at_work:
            self.phases.popleft()
        if self.fault or not self.phases or not self.phases[0]:
            return None
        self.at_work += 1
        return self.phases[0].popleft()

    def give_back(self, step: Step) -> None:
        """A step that was taken and is to be taken again."""
        self.at_work -= 1
        self.phases[0].appendleft(step)

    def finish(self, step: Step, warnings: Sequence[str]) -> None:
        """A step that is done; of a segment with warnings the video is not to be cut."""
        self.at_work -= 1
        if step.span is None:
            self.warnings = tuple(warnings)
        elif warnings:
            self.phases = deque([deque(), deque([Step(step.first)])])

    def fail(self, reason: str) -> None:
        """A step that has failed, and with it the video."""
        self.at_work -= 1
        self.fault = self.fault or reason

    @property
    def over(self) -> bool:
        """Whether nothing is being done for it any more."""
        return not self.at_work and (bool(self.fault) or not any(self.phases))


def course_of(
    task: Task,
    record: Record,
    first: str,
    cuts: Cuts,
    recipe: Recipe,
    manifest: Manifest,
    render: bool,
    forced: bool,
) -> Course:
    """The steps from the stage ``first`` on, less segments that were done before.

    ``render``: whether a video is wanted as well. ``forced``: not less those segments.
    """
    folder = manifest.segments_path(record.name)
    made_of = recipe.of(record.sha256)
    if forced:
        remove_folder(folder)
    phases = []

    def segments(stage: str, spans: Sequence[Span], suffix: str) -> tuple[Path, ...]:
        """Adds a phase; the files of all segments."""
        steps = []
        for number, span in enumerate(spans, 1):
            # What has the name is whole, and made of just this.
            text = json.dumps([made_of[stage], asdict(span)], sort_keys=True)
            digest = hashlib.sha256(text.encode()).hexdigest()[:20]
            target = folder / f"{stage}-{number:04d}-{digest}{suffix}"
            label = f"{number}/{len(spans)}"
            steps.append(Step(stage, span=span, target=target, label=label))
        phases.append(deque(step for step in steps if not step.target.exists()))
        return tuple(step.target for step in steps)

    last = "lift" if render and cuts.render else "render"
    if first == "detect" and cuts.detect:
        parts = segments("detect", cuts.detect, ".npz")
        phases.append(deque([Step("lift", last, spans=cuts.detect, parts=parts)]))
    elif first != "render" or last == "render":
        phases.append(deque([Step(first, last)]))
    if last == "lift":
        if first != "render":  # of a result that will be another one
            for path in folder.glob("render-*"):
                path.unlink(missing_ok=True)
        parts = segments("render", cuts.render, ".mp4")
        phases.append(deque([Step("render", spans=cuts.render, parts=parts)]))
    return Course(task, record, first, deque(phases), searching=first == "detect")
