"""The text of the report page: everything from the result is escaped, nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path

from pipeline.rendering.text import time_code
from pipeline.report.data import spans
from pipeline.result import STATUSES, PoseResult

FOLDER = Path(__file__).parent
_OWN = ("data", "scene", "plots", "page", "controls")
SCRIPTS = ("vendor/three.min.js", *(f"page/{name}.js" for name in _OWN))
THREE_VERSION = "0.187.0"
MOST_MOMENTS = 12  # of one notice that can be clicked on
STATUS_WORDS = {
    "ok": "ok",
    "sides_repaired": "left/right swap, undone",
    "interpolated": "interpolated",
    "low_confidence": "low confidence",
    "not_visible": "not visible",
    "decode_error": "damaged frame",
}
# Words after which warnings name times: "at 1.20, 3.40 s"; "near 00:12".
_TIMES = re.compile(
    r"\b(?:at|near|around|from|until|up to) "
    r"((?:(?:\d+:)?\d+(?:\.\d+)?(?:, | and | to )?)+)(?:\.\.\. ?)?( s\b|s\b)?"
)


def fill(result: PoseResult, title: str, data: dict, video: dict | None, content: str) -> bytes:
    """The page.

    Parameters
    ----------
    title : heading of the page
    data : ``page_data``
    video : JSON values for the page's ``makeVideo``; None without a video
    content : the video in base64; empty if it is linked
    """
    scripts = [_read(name) for name in SCRIPTS]
    style = _read("page/page.css")
    blocks = [f'<script type="application/json" id="data">{_json(data)}</script>']
    if video is not None:
        told = html.escape(_json(video))
        blocks.append(
            f'<script type="text/plain" id="video-data" data-video="{told}">{content}</script>'
        )
    # Nothing but these scripts and this style runs, and nothing is loaded but the video.
    policy = (
        f"default-src 'none'; img-src data:; media-src blob: 'self' file:; "
        f"script-src {' '.join(map(_hash, scripts))}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "version": html.escape(result.program_version),
        "title": html.escape(title),
        "style": style,
        "summary": _summary(result, data),
        "statuses": _legend(result),
        "notices": _notices(result),
        "tables": "".join(_tables(result)),
        "data": "\n".join(blocks),
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    page = re.sub("@@([a-z]+)@@", lambda found: parts[found[1]], _read("page/page.html"))
    # Names of files may hold what is no text: browsers show such a character reference as a box.
    return page.encode("utf-8", "xmlcharrefreplace")


@cache
def _read(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(value: object) -> str:
    """JSON that ends no script element: "<" only as an escape, and ASCII alone."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _summary(result: PoseResult, data: dict) -> str:
    found = sum(person["frames"] > 0 for person in data["people"])
    people = "nobody was found" if not found else f"{found} {'person' if found == 1 else 'people'}"
    lifter = result.provenance.get("weights", {})
    lifter = lifter.get("lifter", {}) if isinstance(lifter, dict) else {}
    words = [
        people,
        f"{len(result)} frames, {time_code(float(result.time_s[-1] - result.time_s[0]))}",
        f"{float(result.frame_rate):.5g} frames/s",
    ]
    if isinstance(lifter, dict) and lifter.get("name"):
        words.append(f"lifted by {lifter['name']}")
    if data["every"] > 1:
        words.append(f"one frame in {data['every']} is shown")
    return html.escape(" \N{MIDDLE DOT} ".join(words))


def _legend(result: PoseResult) -> str:
    present = set(result.status.ravel().tolist())
    if present <= {"ok"}:
        return ""
    return "".join(
        f'<span><i class="swatch {name}"></i>{STATUS_WORDS[name]}</span>'
        for name in STATUSES
        if name in present
    )


def moments(text: str, first: float, last: float) -> list[float]:
    """Times in seconds that a warning names, those from ``first`` to ``last``."""
    found = []
    for listed, unit in _TIMES.findall(text):
        for minutes, seconds in re.findall(r"(?:(\d+):)?(\d+(?:\.\d+)?)", listed):
            if minutes or unit:
                found.append(60 * int(minutes or 0) + float(seconds))
    return [time for time in found if first <= time <= last]


def _notices(result: PoseResult) -> str:
    first, last = result.time_s[[0, -1]].tolist()
    items = [_notice(text, moments(text, first, last), " data-warned") for text in result.warnings]
    for person, own in zip(result.ids.tolist(), spans(result), strict=True):
        who = f"person {person}: " if result.people > 1 else ""
        statuses = result.status[:, result.ids.tolist().index(person)]
        for number, status in enumerate(STATUSES):
            starts = [start for start, _, kind in own if kind == number]
            if status == "ok" or not starts:
                continue
            count = int((statuses == status).sum())
            frames = f"{count} frame{'s' if count > 1 else ''}"
            items.append(_notice(f"{who}{STATUS_WORDS[status]} in {frames}", starts))
    return f"<ul>{''.join(items)}</ul>" if items else "<p>None.</p>"


def _notice(text: str, times: list[float], mark: str = "") -> str:
    buttons = "".join(
        f'<button type="button" data-seek="{time:.4f}"{mark} title="Go there">{time_code(time)}'
        "</button>"
        for time in times[:MOST_MOMENTS]
    )
    more = f" and {len(times) - MOST_MOMENTS} more" if len(times) > MOST_MOMENTS else ""
    return f"<li>{html.escape(text)}<br>{buttons}{more}</li>"


def _tables(result: PoseResult) -> Iterator[str]:
    width, height = result.picture_size
    yield _table(
        "versions and units",
        {
            "pose3d": result.program_version,
            "three.js": THREE_VERSION,
            "picture": f"{width} x {height} px",
            "frame rate": f"{result.frame_rate} frames/s",
            "axes": result.axes,
            "units": result.units,
        },
    )
    if result.world is not None:
        yield _table("room, estimated", asdict(result.world))
    plain = {}
    for name, value in result.provenance.items():
        if isinstance(value, dict):
            yield _table(name, value)
        else:
            plain[name] = value
    if plain:
        yield _table("other", plain)


def _table(name: str, values: dict) -> str:
    rows = "".join(
        f'<tr><th scope="row">{html.escape(key)}</th><td>{html.escape(text)}</td></tr>'
        for key, text in _flat(values)
    )
    return f"<table><caption>{html.escape(name.replace('_', ' '))}</caption>{rows}</table>"


def _flat(values: dict, above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        key = f"{above}{name}".replace("_", " ")
        if isinstance(value, dict):
            yield from _flat(value, f"{key} ")
        else:
            yield key, _words(value)


def _words(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_words, value))
    return f"{value:.5g}" if isinstance(value, float) else str(value)
