"""``pose3d doctor``: what is installed, what works, and how to mend what does not."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from pipeline.settings import Settings
from pipeline.version import VERSION
from pose3d.probes import FAULT, GOOD, NOTE, STOP, Check, failure, groups, install, told
from weights import download, store
from weights.errors import Pose3dError

SECTIONS = ("Versions", "Devices", "Codecs", "Weights", "Main job")
TIMEOUT_S = 60.0
LITTLE_SPACE = 1e9
ABSENT = "not installed"
# What is wrong with versions that pose3d does not ask for, where it is known.
KNOWN = {
    "numpy": "mediapipe and mmpose's xtcocotools are built for numpy 1",
    "setuptools": "from 82 on it lacks pkg_resources, which mmengine needs",
    "mediapipe": "later ones have no pose solution with a model inside",
    "mmcv-lite": "mmdet 3.3.0 refuses mmcv from 2.2.0 on",
    "chumpy": "0.67 to 0.70 do not build",
    "onnx": "1.23 wants protobuf 6, mediapipe protobuf 4",
}
# Packages that do the same as those that pose3d asks for.
INSTEAD = {"mmcv-lite": "mmcv", "onnxruntime": "onnxruntime-gpu"}
# In the path of the process that asks, not of the folder that it runs in.
_START = (
    "import sys; sys.path[:] = sys.argv[2:]; from pose3d import probes; probes.main(sys.argv[1])"
)
_UNTRIED = "not tried, because of what was tried before it"
_MARKS = {GOOD: "  ", NOTE: "- ", FAULT: "! ", STOP: "X "}
_STYLES = {GOOD: "", NOTE: "", FAULT: "yellow", STOP: "red"}
_WIDTH, _NAMES = 80, 18


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. state: GOOD, NOTE, FAULT or STOP; mend: "" if none is due."""

    section: str
    name: str
    state: str
    found: str
    mend: str = ""


def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="The same as JSON, for bug reports.")
    ] = False,
) -> None:
    """Check what is installed and what works, and say how to mend what does not.

    Below a line that begins with a mark stands what helps. Exit code 1: the main job, pose3d
    video, cannot run.

    Example: pose3d doctor --json > report.json
    """
    findings = examine()
    works = all(finding.state != STOP for finding in findings)
    if as_json:
        report = {
            "pose3d": VERSION,
            "works": works,
            "findings": [asdict(finding) for finding in findings],
        }
        print(json.dumps(report, indent=1))
    else:
        _show(findings, works)
    if not works:
        raise typer.Exit(1)


def examine() -> list[Finding]:
    """All findings, section by section. Raises nothing."""
    processes = _start()
    findings = [
        *_guarded("Versions", "Python", _python),
        *_guarded("Versions", "packages", _packages),
        *_guarded("Versions", "OpenCV wheels", _opencv_packages),
        *_guarded("Devices", "CPU", _cpu),
        *_guarded("Weights", "shipped", _shipped),
        *_guarded("Weights", "public", _public),
        *_guarded("Weights", "kept in", _home),
        *_answers(processes),
    ]
    return sorted(_needed(findings), key=lambda finding: SECTIONS.index(finding.section))


def _guarded(
    section: str, name: str, look: Callable[[], Iterator[tuple[str, ...]]]
) -> Iterator[Finding]:
    """What a function finds (name, state, found, mend), or that it failed."""
    try:
        for row in look():
            yield Finding(section, *row)
    except Exception as error:
        check = Check(section, name, look, FAULT, "install pose3d again")
        yield Finding(section, name, *failure(check, told(error)))


def _python() -> Iterator[tuple[str, ...]]:
    yield "pose3d", GOOD, f"{VERSION} in {Path(__file__).parent}"
    found = f"{platform.python_version()}, {platform.platform()}"
    try:
        wanted = importlib.metadata.metadata("pose3d")["Requires-Python"]
    except importlib.metadata.PackageNotFoundError:
        yield "Python", NOTE, f"{found}; pose3d is not installed", "pip install . in its folder"
        return
    from packaging.specifiers import SpecifierSet

    fits = SpecifierSet(wanted or "").contains(platform.python_version(), prereleases=True)
    mend = "" if fits else f"use a Python {wanted}"
    yield "Python", GOOD if fits else NOTE, found, mend


def _packages() -> Iterator[tuple[str, ...]]:
    """What pose3d asks for; of an extra of which nothing is there, a line for all of it."""
    # Comes with matplotlib; reading versions without it is not worth the lines.
    from packaging.requirements import Requirement

    metadata = importlib.metadata.metadata("pose3d")
    wanted = [Requirement(text) for text in metadata.get_all("Requires-Dist") or []]
    for extra in ("", *(metadata.get_all("Provides-Extra") or [])):
        if extra in ("all", "test"):
            continue
        rows = {}
        for requirement in wanted:
            marker = requirement.marker
            plain = marker is None or marker.evaluate({"extra": ""})
            if plain if not extra else not plain and marker.evaluate({"extra": extra}):
                rows[requirement.name] = _package(requirement, extra)
        rows = {name: row for name, row in rows.items() if not name.startswith("opencv")}
        # setuptools is there without the extra, too.
        absent = [name for name in rows if name == "setuptools" or rows[name][2] == ABSENT]
        if extra and rows and len(absent) == len(rows):
            yield extra, NOTE, f"{ABSENT}: {', '.join(rows)}", f'pip install "pose3d[{extra}]"'
        else:
            yield from rows.values()


def _package(requirement: object, extra: str) -> tuple[str, ...]:
    """The row of a ``packaging.requirements.Requirement``."""
    name, version = requirement.name, _version(requirement.name)
    other = INSTEAD.get(name)
    if version is None and other is not None and _version(other) is not None:
        name, version = other, _version(other)
    if version is None:
        mend = f'pip install "pose3d[{extra}]"' if extra else install(name)
        return name, NOTE if extra else FAULT, ABSENT, mend
    if requirement.specifier.contains(version, prereleases=True):
        return name, GOOD, version
    why = f": {KNOWN[requirement.name]}" if requirement.name in KNOWN else ""
    mend = install(requirement.name)
    return name, NOTE, f"{version}, not {requirement.specifier}{why}", mend


def _opencv_packages() -> Iterator[tuple[str, ...]]:
    """They all write into one folder, and the last one wins."""
    names = ("opencv-python", "opencv-contrib-python")
    names += tuple(f"{name}-headless" for name in names)
    here = {name: version for name in names if (version := _version(name)) is not None}
    if not here:
        yield "OpenCV wheels", FAULT, ABSENT, install("opencv-python")
        return
    found = ", ".join(f"{name} {version}" for name, version in here.items())
    if len(set(here.values())) == 1:
        yield "OpenCV wheels", GOOD, found
        return
    mend = f"pip uninstall -y {' '.join(here)}; {install('opencv-python')}"
    if _version("mediapipe") is not None:
        mend += " opencv-contrib-python==" + install("opencv-python").partition("==")[2].strip('"')
    yield "OpenCV wheels", FAULT, f"{found}: they overwrite each other's files", mend


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu() -> Iterator[tuple[str, ...]]:
    name, memory = platform.processor() or platform.machine(), ""
    if (info := Path("/proc/cpuinfo")).exists():
        lines = info.read_text(errors="replace").splitlines()
        models = (line.partition(":")[2] for line in lines if line.startswith("model name"))
        name = next(models, name).strip()
        rows = Path("/proc/meminfo").read_text().splitlines()
        sizes = {row.partition(":")[0]: int(row.split()[1]) for row in rows}
        free, total = sizes["MemAvailable"] / 2**20, sizes["MemTotal"] / 2**20
        memory = f", {free:.1f} of {total:.1f} GiB of memory free"
    usable = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
    yield "CPU", GOOD, f"{name}, {len(usable)} of {os.cpu_count()} cores{memory}"


def _shipped() -> Iterator[tuple[str, ...]]:
    good, mediapipe = [], importlib.util.find_spec("mediapipe")
    for name, entry in store.entries().items():
        try:
            download.verify(entry)
            good.append(name)
        except Pose3dError as error:
            # Our own eyes are needed where MediaPipe is not installed.
            needed = name == Settings().lifter if entry.kind == "lifter" else not mediapipe
            state = STOP if needed else FAULT
            yield name, state, *re.split("[:;] (?=[^:;]*$)", str(error))
    if good:
        yield "shipped", GOOD, f"{', '.join(good)}: SHA-256 right"


def _public() -> Iterator[tuple[str, ...]]:
    sizes = {}
    for name, entry in store.public().items():
        if (path := download.location(entry)).is_file():
            sizes[name] = size = path.stat().st_size
            if not size or size != (entry.bytes or size):
                mend = f"pose3d weights remove {name}; pose3d weights fetch {name}"
                yield name, FAULT, f"{size} bytes, not {entry.bytes or 'more'}", mend
    told = ", ".join(f"{name} ({size / 1e6:.0f} MB)" for name, size in sizes.items())
    yield "fetched", GOOD, told or "none; pose3d weights list shows what there is"


def _home() -> Iterator[tuple[str, ...]]:
    """The folder of fetched weights, or where it would be made: can it be written, has it room."""
    folder = here = download.cache_folder()
    while not here.exists() and here != here.parent:
        here = here.parent
    mend = "set POSE3D_HOME to a folder that can be written"
    try:
        with tempfile.TemporaryFile(dir=here):
            free = shutil.disk_usage(here).free
    except OSError as error:
        yield "kept in", FAULT, f"{folder}: cannot be written ({error.strerror})", mend
        return
    room = f"{folder}: can be written, {free / 1e9:.1f} GB free"
    little = free < LITTLE_SPACE
    mend = "make room, or set POSE3D_HOME to another folder" if little else ""
    yield "kept in", NOTE if little else GOOD, room, mend


def _start() -> dict[str, subprocess.Popen | OSError]:
    """A process for every group of checks."""
    processes: dict[str, subprocess.Popen | OSError] = {}
    for group in groups():
        command = [sys.executable, "-c", _START, group, *map(str, sys.path)]
        streams = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
        try:
            processes[group] = subprocess.Popen(command, stdin=subprocess.DEVNULL, **streams)
        except OSError as error:
            processes[group] = error
    return processes


def _answers(processes: dict[str, subprocess.Popen | OSError]) -> Iterator[Finding]:
    """What the processes found; the first check without an answer is the one that crashed."""
    end = time.monotonic() + TIMEOUT_S
    for group, process in processes.items():
        answers, reason = {}, ""
        if isinstance(process, OSError):
            reason = told(process)
        else:
            try:
                written, said = process.communicate(timeout=max(end - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                process.kill()
                written, said = process.communicate()
                reason = f"no answer in {TIMEOUT_S:.0f} s"
            for row in written.decode("ascii", "replace").splitlines():
                with suppress(ValueError):  # cut off
                    name, *answer = json.loads(row)
                    answers[name] = answer
            reason = reason or _ending(process.returncode, said.decode("utf-8", "replace"))
        for check in groups()[group]:
            if check.name not in answers:
                if reason:
                    answers[check.name] = failure(check, reason)
                elif check.absent:
                    answers[check.name] = NOTE, ABSENT, ""
                else:
                    answers[check.name] = check.failed, _UNTRIED, ""
                reason = ""
            if answers[check.name]:
                yield Finding(check.section, check.name, *answers[check.name])


def _ending(code: int, said: str) -> str:
    """Why a process ended before its time."""
    last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "")
    how = signal.strsignal(-code) or f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"crashed ({how}){': ' if last else ''}{last[:200]}"


def _needed(findings: list[Finding]) -> list[Finding]:
    """What fails of the two that can find people stops the main job if it is the one in use."""
    pose2d = next(finding for finding in findings if finding.name == "--pose2d auto")
    if pose2d.state != GOOD:  # and has stopped the main job
        return findings
    if pose2d.found.split()[-1] in store.entries():  # what is shipped needs neither
        return findings
    used = "MediaPipe" if "mediapipe" in pose2d.found else "OpenMMLab"
    return [
        replace(finding, state=STOP) if (finding.name, finding.state) == (used, FAULT) else finding
        for finding in findings
    ]


def _show(findings: list[Finding], works: bool) -> None:
    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)

    def line(text: str, style: str = "") -> None:
        # Names of files may hold what the terminal cannot show.
        encoding = sys.stdout.encoding or "utf-8"
        shown = text.encode(encoding, "backslashreplace").decode(encoding)
        console.print(Text(shown, style))

    for section in SECTIONS:
        line(section, "bold")
        for finding in findings:
            if finding.section == section:
                for text in _lines(finding):
                    line(text, _STYLES[finding.state])
        line("")
    if any(finding.state != GOOD for finding in findings):
        line("- worth knowing   ! broken, for some tasks   X the main job needs it", "dim")
    if works:
        line("The main job, pose3d video, can run.", "bold")
    else:
        line("The main job, pose3d video, cannot run: mend what is marked with X.", "bold red")


def _lines(finding: Finding) -> Iterator[str]:
    """Of 80 columns: mark, name, what was found; below, what helps."""
    margin = " " * (len(_MARKS[GOOD]) + _NAMES)
    first = f"{_MARKS[finding.state]}{finding.name:<{_NAMES - 1}} "
    for text, begin in ((finding.found, first), (finding.mend, f"{margin}-> ")):
        if text:
            yield from textwrap.wrap(
                text,
                _WIDTH,
                initial_indent=begin,
                subsequent_indent=margin + ("   " if begin != first else ""),
                break_on_hyphens=False,
            )
