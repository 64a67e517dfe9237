"""Results with known answers: the man of the demo clip, as if he had been lifted without error."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from pipeline.result import PoseResult

WALK = Path(__file__).parents[2] / "demos" / "walk.npz"


def walk_result(frames=60, people=1, **changes):
    """A result that holds the truth of the clip's first frames; people: copies 300 px apart."""
    with np.load(WALK) as truth:
        world = truth["joints3d_world"][:frames].astype(np.float64)
        camera = np.einsum("tij,tpkj->tpki", truth["R"][:frames], world)
        camera += truth["t"][:frames, None, None]
        keypoints = truth["joints2d"][:frames]
        size = tuple(truth["size"].tolist())
    places = 300 * np.arange(people, dtype=float)[None, :, None, None] * [1, 0]
    shape = (frames, people)
    values = {
        "time_s": np.arange(frames) / 30,
        "ids": np.arange(people) + 1,
        "keypoints2d": keypoints + places,
        "scores2d": np.ones((*shape, 17)),
        "joints3d": np.repeat(camera - camera[:, :, :1], people, axis=1),
        "root": np.repeat(camera[:, :, 0], people, axis=1),
        "uncertainty": np.full((*shape, 17), np.nan),
        "status": np.full(shape, "ok", "<U14"),
        "picture_size": size,
        "frame_rate": Fraction(30),
    }
    return PoseResult(**{**values, **changes})


def some_frames(result, chosen):
    """The frames of a result that an index chooses."""
    names = ("time_s", "keypoints2d", "scores2d", "joints3d", "root", "uncertainty", "status")
    parts = {name: getattr(result, name)[chosen] for name in names}
    return PoseResult(
        **parts,
        ids=result.ids,
        picture_size=result.picture_size,
        frame_rate=result.frame_rate,
    )
