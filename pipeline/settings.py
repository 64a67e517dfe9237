"""The settings of a run: one typed object; the command and TOML files use the same names."""

from __future__ import annotations

import difflib
import math
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from weights.errors import Pose3dError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


PRECISIONS = ("auto", "fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Settings:
    """Everything that changes what comes out.

    lifter : name of a lifter, or the path of a weights file
    start, end : seconds of the video to work on; end exclusive; None is from the beginning, to
        the end
    device : "auto", "cpu", "cuda" or "cuda:N"
    fov : horizontal field of view of the camera in degrees; None is a guess
    flip : average the lifting with that of the mirrored keypoints
    causal : the 3D joints of a frame depend on it and earlier frames alone; gaps are not bridged
    precision : "auto", "fp32", "bf16" or "fp16": of the lifter's products
    max_gap : longest gap in seconds, in which nobody was found, to bridge by interpolation
    render : write the video as well, not only the result file
    """

    lifter: str = "mixste"
    start: float | None = None
    end: float | None = None
    device: str = "auto"
    fov: float | None = None
    flip: bool = True
    causal: bool = False
    precision: str = "auto"
    max_gap: float = 0.5
    render: bool = True

    def __post_init__(self) -> None:
        _require(isinstance(self.lifter, str) and self.lifter, "lifter", self.lifter, "a name")
        _number("start", self.start, 0, math.inf, optional=True)
        _number("end", self.end, 0, math.inf, optional=True)
        if self.end is not None and self.end <= (self.start or 0):
            raise Pose3dError(f"end ({self.end:g} s) must be after start ({self.start or 0:g} s)")
        _require(isinstance(self.device, str), "device", self.device, "auto, cpu, cuda or cuda:N")
        _number("fov", self.fov, 5, 170, optional=True)
        _require(isinstance(self.flip, bool), "flip", self.flip, "true or false")
        _require(isinstance(self.causal, bool), "causal", self.causal, "true or false")
        known = self.precision in PRECISIONS
        _require(known, "precision", self.precision, "auto, fp32, bf16 or fp16")
        _number("max_gap", self.max_gap, 0, math.inf)
        _require(isinstance(self.render, bool), "render", self.render, "true or false")

    @staticmethod
    def names() -> list[str]:
        """Names of all settings."""
        return [field.name for field in fields(Settings)]

    def as_dict(self) -> dict:
        """JSON values, for the result's provenance."""
        return asdict(self)


def make_settings(config: str | Path | None = None, **given: object) -> Settings:
    """Settings from the defaults, a TOML file over them, and given values (not None) over both."""
    read = read_config(config) if config is not None else {}
    values = {name.replace("-", "_"): value for name, value in read.items()}
    values |= {name: value for name, value in given.items() if value is not None}
    if isinstance(values.get("lifter"), Path):
        values["lifter"] = str(values["lifter"])
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
