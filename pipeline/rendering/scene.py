"""The 3D panel: a steady view of people on a floor."""

from __future__ import annotations

import numpy as np

from lifters3d.skeleton import HEAD

from .camera import THREE_QUARTER, Camera, View, floor_box, frame_clip, orbit_degrees, robust_points
from .captions import draw_legend, draw_notice, draw_time, draw_title, notice, unit_of
from .clip import Clip
from .figure3d import draw_figures, draw_shadow, light_of
from .floor import TurningFloor, draw_floor
from .palette import tint
from .text import draw_label


class Scene:
    """People in world axes, seen by a camera that stands still, or goes around them evenly.

    Parameters
    ----------
    clip : what is drawn
    size : (w, h) px of the panel
    view : from where; an orbit begins there
    orbit : whether the camera goes around
    title : for the upper right corner; only a panel without one has time code and notices
    legend : whether the lower right corner tells what the colours mean

    Attributes
    ----------
    camera : the panel's Camera, of an orbit the first
    background : (h, w, 3) uint8 RGB, all that stands still
    """

    def __init__(
        self,
        clip: Clip,
        size: tuple[int, int],
        view: View = THREE_QUARTER,
        orbit: bool = False,
        title: str = "",
        legend: bool = True,
    ) -> None:
        self._clip = clip
        self._legend = legend
        self._title = title
        self._unit = unit_of(size)
        box = floor_box(robust_points(clip.joints_world))
        self.camera = frame_clip(clip.joints_world, size, view, all_around=orbit)
        self._light = light_of(self.camera)
        self._middle = box.mean(0)
        self._degrees = orbit_degrees(clip.times) if orbit else None
        if orbit:
            _, distance = self.camera.project(np.append(self._middle, 0))
            self._floor = TurningFloor(size, box, self.camera.focal / float(distance))
            self.background = np.empty((size[1], size[0], 3), np.uint8)
            self._floor.draw(self.camera, self.background)
        else:
            self.background = draw_floor(self.camera, box)
        self._label(self.background)

    def _label(self, panel: np.ndarray) -> None:
        if self._title:
            draw_title(panel, self._unit, self._title)
        if self._legend:
            draw_legend(panel, self._unit, grid=True)

    def camera_at(self, t: int) -> Camera:
        """The camera of frame t."""
        if self._degrees is None:
            return self.camera
        return self.camera.turned(float(self._degrees[t]), self._middle)

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
        camera = self.camera_at(t)
        if self._degrees is None:
            panel[:] = self.background
        else:
            self._floor.draw(camera, panel)
            self._label(panel)
        joints = self._clip.joints_world[t]
        drawn = np.isfinite(joints).all(-1).any(-1)
        people = np.flatnonzero(drawn)
        if len(people):
            bodies = [joints[p] for p in people]
            draw_shadow(panel, camera, bodies, self._light)
            opacity = [self._clip.opacity3d[t, p] for p in people]
            draw_figures(panel, camera, bodies, [tint(p) for p in people], opacity)
        if len(drawn) > 1:
            self._draw_ids(panel, camera, joints, people)
        if not self._title:
            draw_time(panel, self._unit, float(self._clip.times[t]))
            draw_notice(panel, self._unit, notice(self._clip.status[t], drawn, self._clip.ids))
        return panel

    def _draw_ids(
        self, panel: np.ndarray, camera: Camera, joints: np.ndarray, people: np.ndarray
    ) -> None:
        above, depth = camera.project(joints[people, HEAD] + [0, 0, 0.17])
        for i in np.argsort(-depth):
            if np.isfinite(above[i]).all():
                x, y = np.rint(np.clip(above[i], -1e4, 1e4)).astype(int)
                words = str(self._clip.ids[people[i]])
                top = y - round(2.1 * self._unit)
                draw_label(panel, words, x, top, self._unit, tint(people[i]), "centre")
