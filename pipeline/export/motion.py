"""What the writers of all formats are given, and what they give back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.export.axes import room_joints
from pipeline.export.sampling import even_times, is_even, resample
from pipeline.result import PoseResult

# OpenSim and others take "/" in a name for a path.
NAMES: dict[str, str] = {"Neck/Nose": "Neck_Nose"}


@dataclass(frozen=True)
class File:
    """A file to be written: what its name ends with, its bytes, what the user should know."""

    suffix: str
    content: bytes
    note: str


@dataclass
class Motion:
    """People in a room, as seen frame by frame and at an even rate.

    Attributes
    ----------
    result : where it comes from
    name : of the files, without suffix
    in_place : whether hips are held over the origin
    """

    result: PoseResult
    name: str
    in_place: bool = False

    @cached_property
    def joints(self) -> np.ndarray:
        """(F, P, 17, 3) float64 metres in the axes of `axes.ROOM`, at ``result.time_s``."""
        return room_joints(self.result, self.in_place)

    @cached_property
    def even_times(self) -> np.ndarray:
        """(N,) seconds at the result's frame rate, from the result's first time on."""
        return even_times(self.result.time_s, self.result.frame_rate)

    @cached_property
    def even_joints(self) -> np.ndarray:
        """(N, P, 17, 3): ``joints`` at ``even_times``."""
        if self.is_even:
            return self.joints
        return resample(self.joints, self.result.time_s, self.even_times)

    @property
    def is_even(self) -> bool:
        return is_even(self.result.time_s, self.result.frame_rate)

    @property
    def rate(self) -> float:
        """Nominal frames a second."""
        return float(self.result.frame_rate)

    @property
    def joint_names(self) -> list[str]:
        return [NAMES.get(name, name) for name in self.result.joint_names]

    @cached_property
    def seen(self) -> list[int]:
        """Places in the result of the people who are seen whole in any frame."""
        whole = np.isfinite(self.joints).all(axis=(2, 3)).any(axis=0)
        return np.flatnonzero(whole).tolist()

    def each(self, ending: str) -> Iterator[tuple[int, str]]:
        """Place and file suffix of everybody seen, for formats that hold one person a file."""
        for place in self.seen:
            person = f"_person{self.result.ids[place]}" if len(self.seen) > 1 else ""
            yield place, f"{person}.{ending}"

    @property
    def rate_note(self) -> str:
        if self.is_even:
            return f"{self.rate:g} frames/s"
        return f"resampled to an even {self.rate:g} frames/s (the video's rate varies)"


def held(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Poses for formats that know no gaps: where the person is absent the last pose stays.

    Parameters
    ----------
    joints : (F, 17, 3), NaN where absent; at least one frame whole

    Returns
    -------
    whole (F,) bool, and order (F,): which of the whole frames each frame shows. Before the first
    whole frame it is the first.
    """
    whole = np.isfinite(joints).all(axis=(1, 2))
    return whole, np.maximum(np.cumsum(whole) - 1, 0)


def held_note(whole: np.ndarray) -> str:
    """ ", a pose held in 3 frames without the person", or nothing."""
    count = int((~whole).sum())
    if count == 0:
        return ""
    return f", a pose held in {count} frame{'s' if count > 1 else ''} without the person"
