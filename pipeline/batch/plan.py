"""What is left to do for a video, and why."""

from __future__ import annotations

from pathlib import Path

from pipeline.batch.manifest import Manifest, Record
from pipeline.batch.recipe import STAGES, Recipe, changes


def plan(
    record: Record, recipe: Recipe, manifest: Manifest, render: bool, forced: str | None = None
) -> tuple[str | None, str]:
    """The first stage that must run for a video, after which all others do; and the reason.

    None: its outputs are what a new run would give. ``render``: whether a video is wanted as well
    as the result. ``forced``: a stage that is to run in any case.
    """
    made_of = recipe.of(record.sha256)
    force = STAGES.index(forced) if forced else len(STAGES)
    why = _stale(record, "lift", made_of["lift"], manifest.result_path(record.name))
    if force <= STAGES.index("lift"):
        why = f"--from-stage {forced}"
    if why:
        again = (
            forced == "detect" or manifest.detections_made_of(record.sha256) != made_of["detect"]
        )
        if not again and why == "new":
            why = "2D joints are found already"
        return ("detect" if again else "lift"), why
    if render:
        why = _stale(record, "render", made_of["render"], manifest.video_path(record.name))
        if forced == "render":
            why = "--from-stage render"
        if why:
            return "render", why
    return None, "done before"


def _stale(record: Record, stage: str, made_of: dict, path: Path) -> str:
    """Why a stage's output is not what it should be; "" if it is."""
    entry = record.stages.get(stage)
    if entry is None:
        if record.failed:
            return f"failed before: {record.failed}"
        return "new" if stage == "lift" else "not rendered yet"
    different = changes(entry["made_of"], made_of)
    if different:
        return f"{', '.join(different)} changed"
    try:
        size = path.stat().st_size
    except OSError:
        return f"{path.name} is not there any more"
    return "" if size == entry["bytes"] else f"{path.name} was changed"
