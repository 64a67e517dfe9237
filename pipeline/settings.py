"""The settings of a run: one typed object; the command and TOML files use the same names."""

from __future__ import annotations

import difflib
import math
import re
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from weights.errors import Pose3dError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


PEOPLE = r"largest|all|[1-9]\d*|id:\d+"
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
SMOOTHING = ("auto", "none", "butterworth", "savgol", "one-euro")
BACKENDS = ("torch", "onnx", "openvino")
LAYOUTS = ("side-by-side", "overlay", "3d-only", "grid")
ORBITS = ("side-by-side", "3d-only")  # the layouts with one 3D view, which can go around


@dataclass(frozen=True)
class Settings:
    """Everything that changes what comes out.

    lifter : name of a lifter, or the path of a weights file
    pose2d : "mediapipe", or the weights of a top-down network: a name of shipped weights or of
        public ones that were fetched, or a file; "auto" is as ``networks.choose_pose2d`` says
    detector : who finds the people for such a network; None is the best at hand
    people : who is wanted: "largest", "all", a number N for the N largest, or "id:N"
    min_track : people seen for less than so many seconds are left out
    det_every : the detector of people looks at every Nth frame; in between they are followed
    repair : find and undo exchanges of left and right in the 2D (not if causal: it looks ahead)
    start, end : seconds of the video to work on; end exclusive; None is from the beginning, to
        the end
    device : "auto", "cpu", "cuda" or "cuda:N"
    backend : what runs a top-down network of heat maps: "torch", or, on a CPU, "onnx" or "openvino"
    fov : horizontal field of view of the camera in degrees; None is a guess
    flip : average the lifting with that of the mirrored keypoints
    causal : the 3D joints of a frame depend on it and earlier frames alone; gaps are not bridged
    precision : "auto", "fp32", "bf16" or "fp16": of the lifter's products
    smooth : of the joints over time (``smoothing.smooth``): "auto" is "butterworth", or "one-euro"
        if causal; "none", "butterworth", "butterworth:HZ", "savgol" or "one-euro"
    remove_outliers : replace 2D joints that jump away for a moment (not if causal)
    max_gap : longest gap in seconds, in which nobody was found, to bridge by interpolation
    upright : estimate which way is up; if not, the camera is taken as level
    height : metres from sole to crown that the people, everyone, are scaled to; None leaves the
        lifter's scale, of a person of usual height (not if causal, as constant_bones and lock_feet:
        they look at the whole clip)
    constant_bones : give everybody's bones one length in all frames, and both sides the same
    lock_feet : move the path of the root so that feet do not slide while they are on the floor
    render : write the video as well, not only the result file
    layout : of that video, one of ``LAYOUTS``
    orbit : whether its 3D view goes around the people
    """

    lifter: str = "mixste"
    pose2d: str = "auto"
    detector: str | None = None
    people: str = "largest"
    min_track: float = 0.5
    det_every: int = 1
    repair: bool = True
    start: float | None = None
    end: float | None = None
    device: str = "auto"
    backend: str = "torch"
    fov: float | None = None
    flip: bool = True
    causal: bool = False
    precision: str = "auto"
    smooth: str = "auto"
    remove_outliers: bool = False
    max_gap: float = 0.5
    upright: bool = True
    height: float | None = None
    constant_bones: bool = False
    lock_feet: bool = False
    render: bool = True
    layout: str = "side-by-side"
    orbit: bool = False

    def __post_init__(self) -> None:
        _require(isinstance(self.lifter, str) and self.lifter, "lifter", self.lifter, "a name")
        named = isinstance(self.pose2d, str) and self.pose2d
        _require(named, "pose2d", self.pose2d, "auto, mediapipe, a name or a file")
        named = self.detector is None or (isinstance(self.detector, str) and self.detector)
        _require(named, "detector", self.detector, "a name")
        if isinstance(self.people, int) and not isinstance(self.people, bool):
            object.__setattr__(self, "people", str(self.people))  # people = 2 in a TOML file
        told = isinstance(self.people, str) and re.fullmatch(PEOPLE, self.people)
        _require(told, "people", self.people, "largest, all, a number from 1, or id:N")
        _number("min_track", self.min_track, 0, math.inf)
        whole = isinstance(self.det_every, int) and not isinstance(self.det_every, bool)
        _require(
            whole and 1 <= self.det_every <= 1000, "det_every", self.det_every, "from 1 to 1000"
        )
        _require(isinstance(self.repair, bool), "repair", self.repair, "true or false")
        _number("start", self.start, 0, math.inf, optional=True)
        _number("end", self.end, 0, math.inf, optional=True)
        if self.end is not None and self.end <= (self.start or 0):
            raise Pose3dError(f"end ({self.end:g} s) must be after start ({self.start or 0:g} s)")
        _require(isinstance(self.device, str), "device", self.device, "auto, cpu, cuda or cuda:N")
        known = self.backend in BACKENDS
        _require(known, "backend", self.backend, "torch, onnx or openvino")
        _number("fov", self.fov, 5, 170, optional=True)
        _require(isinstance(self.flip, bool), "flip", self.flip, "true or false")
        _require(isinstance(self.causal, bool), "causal", self.causal, "true or false")
        known = self.precision in PRECISIONS
        _require(known, "precision", self.precision, "auto, fp32, bf16 or fp16")
        self._check_smoothing()
        _number("max_gap", self.max_gap, 0, math.inf)
        self._check_world()
        _require(isinstance(self.render, bool), "render", self.render, "true or false")
        check_layout(self.layout, self.orbit)

    def _check_smoothing(self) -> None:
        method, _ = parse_smoothing(self.smooth)
        if self.causal and method in ("butterworth", "savgol"):
            raise Pose3dError(
                f"setting smooth {self.smooth} looks ahead, which causal forbids: choose one-euro "
                "or none"
            )
        _require(
            isinstance(self.remove_outliers, bool),
            "remove_outliers",
            self.remove_outliers,
            "true or false",
        )

    def _check_world(self) -> None:
        for name in ("upright", "constant_bones", "lock_feet"):
            value = getattr(self, name)
            _require(isinstance(value, bool), name, value, "true or false")
        _number("height", self.height, 0.3, 3, optional=True)
        for name in ("height", "constant_bones", "lock_feet"):
            if self.causal and getattr(self, name):
                raise Pose3dError(
                    f"setting {name} looks at the whole clip, which causal forbids: leave one out"
                )

    @property
    def smoothing(self) -> str:
        """The method of ``smoothing.smooth`` that ``smooth`` stands for."""
        if self.smooth != "auto":
            return self.smooth
        return "one-euro" if self.causal else "butterworth"

    @staticmethod
    def names() -> list[str]:
        """Names of all settings."""
        return [field.name for field in fields(Settings)]

    def as_dict(self) -> dict:
        """JSON values, for the result's provenance."""
        return asdict(self)


def check_layout(layout: object, orbit: object) -> None:
    """Raise Pose3dError if there is no such layout, or none such that can orbit."""
    _require(layout in LAYOUTS, "layout", layout, f"{', '.join(LAYOUTS[:-1])} or {LAYOUTS[-1]}")
    _require(isinstance(orbit, bool), "orbit", orbit, "true or false")
    if orbit and layout not in ORBITS:
        raise Pose3dError(
            f"the layout {layout} has no view that can orbit: choose {' or '.join(ORBITS)}"
        )


def make_settings(config: str | Path | None = None, **given: object) -> Settings:
    """Settings from the defaults, a TOML file over them, and given values (not None) over both."""
    read = read_config(config) if config is not None else {}
    values = {name.replace("-", "_"): value for name, value in read.items()}
    values |= {name: value for name, value in given.items() if value is not None}
    for name in ("lifter", "pose2d"):
        if isinstance(values.get(name), Path):
            values[name] = str(values[name])
    for name in values:
        if name not in Settings.names():
            close = difflib.get_close_matches(name, Settings.names(), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            where = f"{config}: " if config is not None and name not in given else ""
            raise Pose3dError(
                f"{where}unknown setting '{name}': known are {', '.join(Settings.names())}{hint}"
            )
    try:
        return Settings(**values)
    except Pose3dError as error:
        if config is None:
            raise
        raise Pose3dError(f"{error} (settings of {config} and of the command)") from None


def parse_smoothing(text: str) -> tuple[str, float | None]:
    """The ``smooth`` setting as method and cutoff in Hz, which "butterworth:HZ" alone has."""
    method, colon, number = str(text).partition(":")
    try:
        cutoff = float(number) if colon else None
    except ValueError:
        cutoff = math.nan
    fine = method in SMOOTHING
    if colon:
        fine = method == "butterworth" and 0.1 <= cutoff <= 1000
    choice = ", ".join(SMOOTHING)
    _require(fine, "smooth", text, f"{choice}, or butterworth:HZ with a cutoff of 0.1 Hz or more")
    return method, cutoff


def read_config(path: str | Path) -> dict:
    """The table of a TOML file."""
    path = Path(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise Pose3dError(f"{path}: no such configuration file") from None
    except OSError as error:
        raise Pose3dError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Pose3dError(f"{path}: not a TOML file ({error})") from None


def _require(valid: object, name: str, value: object, wanted: str) -> None:
    if not valid:
        raise Pose3dError(f"setting {name} must be {wanted}, not {value!r}")


def _number(name: str, value: object, low: float, high: float, optional: bool = False) -> None:
    if value is None and optional:
        return
    valid = isinstance(value, (int, float)) and not isinstance(value, bool)
    bounds = f"a number from {low:g} to {high:g}" if high < math.inf else f"{low:g} or more"
    _require(valid and low <= value <= high and value < math.inf, name, value, bounds)
