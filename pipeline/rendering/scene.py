"""The 3D panel: a steady view of people on a floor."""

from __future__ import annotations

import numpy as np

from lifters3d.skeleton import HEAD

from .camera import floor_box, frame_clip, robust_points
from .figure3d import draw_figures
from .floor import CELL, draw_floor
from .palette import LEFT_COLOUR, NOTICE, RIGHT_COLOUR, TEXT, TEXT_QUIET, tint
from .text import blend, draw_label, draw_text, text_width, time_code

NOTICES = {
    "interpolated": "interpolated",
    "low_confidence": "low confidence",
    "sides_repaired": "sides exchanged",
    "not_visible": "no person",
    "decode_error": "damaged frame",
}
_FADED = {"interpolated": 0.35, "low_confidence": 0.25}


def notice(status: np.ndarray, drawn: np.ndarray, ids: np.ndarray) -> str:
    """What the viewer should know about a frame, in few words; "" if all is well.

    Parameters
    ----------
    status : (P,) strings of the frame
    drawn : (P,) bool, who has a skeleton in the frame
    ids : (P,) the people's numbers, named when there are several people
    """
    if "decode_error" in status:
        return NOTICES["decode_error"]
    if not drawn.any():
        return NOTICES["not_visible"]
    told = [
        (i, NOTICES[s]) for i, s, d in zip(ids, status, drawn, strict=True) if d and s in _FADED
    ]
    if len(status) == 1:
        return told[0][1] if told else ""
    return ", ".join(f"{i} {words}" for i, words in told)


class Scene:
    """People in world axes, seen by one camera that stands still for the whole clip.

    Parameters
    ----------
    joints_world : (F, P, 17, 3) metres, z up, floor z = 0, H36M order, NaN where absent
    size : (w, h) px of the panel
    times : (F,) seconds for the time code, or None for none
    status : (F, P) strings of `PoseResult`, or None if all is well
    ids : (P,) the people's numbers; None counts from 1
    viewer : (2,) world x and y of the direction to the camera that filmed, if known; see
        `camera.frame_clip`

    Attributes
    ----------
    camera : the panel's Camera
    background : (h, w, 3) uint8 RGB, all that stands still
    """

    def __init__(
        self,
        joints_world: np.ndarray,
        size: tuple[int, int],
        *,
        times: np.ndarray | None = None,
        status: np.ndarray | None = None,
        ids: np.ndarray | None = None,
        viewer: np.ndarray | None = None,
    ) -> None:
        self.joints = np.asarray(joints_world)
        frames, people = self.joints.shape[:2]
        self.times = times
        self.status = np.full((frames, people), "ok") if status is None else np.asarray(status)
        self.ids = np.arange(1, people + 1) if ids is None else np.asarray(ids)
        self.camera = frame_clip(self.joints, size, viewer)
        self.background = draw_floor(self.camera, floor_box(robust_points(self.joints)))
        self._unit = max(7, round(0.0165 * size[1]))
        self._draw_legend()

    def _draw_legend(self) -> None:
        width, height = self.camera.size
        unit = self._unit
        x, base = width - 2 * unit, height - 2 * unit
        for words, colour in (
            (f"grid {CELL} m", None),
            ("right", RIGHT_COLOUR),
            ("left", LEFT_COLOUR),
        ):
            x -= text_width(words, unit)
            draw_text(self.background, words, x, base, unit, TEXT_QUIET)
            if colour is not None:
                x -= round(1.5 * unit)
                swatch = np.full((unit, unit), 255, np.uint8)
                blend(self.background, swatch, x, base - unit, colour)
            x -= round(1.5 * unit)

    def draw(self, t: int, out: np.ndarray | None = None) -> np.ndarray:
        """The panel of frame t.

        Parameters
        ----------
        t : frame, 0 to F - 1
        out : (h, w, 3) uint8 to draw into (a part of a larger picture); None makes a new one

        Returns
        -------
        (h, w, 3) uint8 RGB
        """
        panel = np.empty_like(self.background) if out is None else out
        panel[:] = self.background
        joints, status = self.joints[t], self.status[t]
        drawn = np.isfinite(joints).all(-1).any(-1)
        people = np.flatnonzero(drawn)
        if len(people):
            draw_figures(
                panel,
                self.camera,
                [joints[p] for p in people],
                [tint(p) for p in people],
                [_FADED.get(str(status[p]), 0.0) for p in people],
            )
        if len(drawn) > 1:
            self._draw_ids(panel, joints, people)
        unit = round(1.3 * self._unit)
        if self.times is not None:
            words = time_code(float(self.times[t]))
            draw_text(panel, words, 2 * self._unit, panel.shape[0] - 2 * self._unit, unit, TEXT)
        words = notice(status, drawn, self.ids)
        if words:
            draw_label(panel, words, 2 * self._unit, 2 * self._unit, self._unit, NOTICE)
        return panel

    def _draw_ids(self, panel: np.ndarray, joints: np.ndarray, people: np.ndarray) -> None:
        above, depth = self.camera.project(joints[people, HEAD] + [0, 0, 0.17])
        for i in np.argsort(-depth):
            if np.isfinite(above[i]).all():
                x, y = np.rint(np.clip(above[i], -1e4, 1e4)).astype(int)
                words = str(self.ids[people[i]])
                top = y - round(2.1 * self._unit)
                draw_label(panel, words, x, top, self._unit, tint(people[i]), "centre")
