"""Random pictures without end: of one person (crops) and of several people (scenes)."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from detectors2d.training.rendered_people.assets import WITH_PEOPLE, Assets
from detectors2d.training.rendered_people.backdrops import Backdrops
from detectors2d.training.rendered_people.camera import Camera, look_at
from detectors2d.training.rendered_people.camera_faults import with_faults
from detectors2d.training.rendered_people.cast import Actor, Pose
from detectors2d.training.rendered_people.labels import (
    VISIBLE,
    Person,
    Picture,
    behind,
    labelled,
)
from detectors2d.training.rendered_people.lighting import Place
from detectors2d.training.rendered_people.occluders import cover
from detectors2d.training.rendered_people.renderer import Renderer

MOST_PEOPLE = 12  # in a picture: as many as the renderer tells apart
PROCEDURAL = 0.3
_CAST = 10  # actors at a time
_PICTURES_OF_AN_ACTOR = 12  # about, before another takes the place
# H36M joints at which bodies shade the floor: feet, knees, hips, chest.
_SHADING = [3, 6, 2, 5, 0, 8]
_SHADING_RADIUS = 0.09  # m
Method = TypeVar("Method", bound=Callable)
_LEAST_AREA = 60  # px, of people in scenes who get labels


def crops(
    assets: Assets,
    seed: int | list[int] = 0,
    size: tuple[int, int] = (192, 256),
    supersample: int = 1,
    backdrops: Path | None = None,
    procedural: float = PROCEDURAL,
) -> Iterator[Picture]:
    """Pictures of one person each, without end.

    In 40 % of them another person or a thing is in front or behind, 20 % cut the person off.

    Parameters
    ----------
    assets : what people and places are made from
    seed : as of ``numpy.random.default_rng``; the same one gives the same pictures on the same
        machine
    size : (w, h) px
    supersample : 2 draws people twice as large, for smoother edges, in about twice the time
    backdrops : folder of photographs without people, for 65 % of the pictures; no shadow falls on
        them
    procedural : share of the other pictures, 0 to 1, whose surroundings are not a panorama, which
        is soft, but a room made of random numbers, which is as sharp as people are
    """
    studio = Studio(assets, seed, size, supersample, backdrops, procedural, _CAST, shadow_size=512)
    with contextlib.closing(studio):
        while True:
            picture = studio.crop()
            studio.exchange_actor(pictures=1)
            if picture is not None:
                yield picture


def scenes(
    assets: Assets,
    seed: int | list[int] = 0,
    size: tuple[int, int] = (640, 480),
    people: tuple[int, int] = (0, 6),
    supersample: int = 1,
    backdrops: Path | None = None,
    procedural: float = PROCEDURAL,
) -> Iterator[Picture]:
    """Pictures of several people, the least and the most of ``people``; else see ``crops``."""
    if not 0 <= people[0] <= people[1] <= MOST_PEOPLE:
        raise ValueError(f"people must be two rising numbers from 0 to {MOST_PEOPLE}, not {people}")
    cast = max(_CAST, people[1] + 2)
    studio = Studio(assets, seed, size, supersample, backdrops, procedural, cast, shadow_size=1024)
    with contextlib.closing(studio):
        while True:
            yield studio.scene(people)
            studio.exchange_actor(pictures=sum(people) / 2)


def cut_outs(
    assets: Assets, seed: int | list[int] = 0, size: tuple[int, int] = (288, 384)
) -> Iterator[np.ndarray]:
    """Single people without surroundings, without end: (h, w, 4) uint8 RGBA, alpha 0 or 255.

    The whole body, cut to its box; before that it fills a picture of ``size`` = (w, h) px.
    """
    studio = Studio(assets, seed, size, 1, None, 0, _CAST, shadow_size=512)
    with contextlib.closing(studio):
        while True:
            yield studio.cut_out()
            studio.exchange_actor(pictures=1)


def _in_own_context(method: Method) -> Method:
    """OpenGL draws where it drew last: several studios in one process would draw into one."""

    @functools.wraps(method)
    def wrapped(self: Studio, *args: object, **options: object) -> object:
        with self.renderer.context:
            return method(self, *args, **options)

    return wrapped


class Studio:
    """A renderer, a changing cast of actors and the choices that make a picture; see ``crops``."""

    def __init__(
        self,
        assets: Assets,
        seed: int | list[int],
        size: tuple[int, int],
        supersample: int,
        backdrops: Path | None,
        procedural: float,
        cast: int,
        shadow_size: int,
    ) -> None:
        self.assets = assets
        self.size = size
        self.rng = np.random.default_rng(seed)
        self.backdrops = Backdrops(backdrops, procedural, size)
        self.renderer = Renderer(assets, size, supersample, shadow_size)
        with self.renderer.context:
            self.cast = [Actor(self.renderer, assets, self.rng) for _ in range(cast)]

    def close(self) -> None:
        """Free all that is on the GPU."""
        self.renderer.context.release()

    @_in_own_context
    def exchange_actor(self, pictures: float) -> None:
        """After as many pictures of one actor: now and then another one takes a place."""
        if self.rng.random() < pictures / _PICTURES_OF_AN_ACTOR:
            k = int(self.rng.integers(len(self.cast)))
            self.cast[k].figure.release()
            self.cast[k] = Actor(self.renderer, self.assets, self.rng)

    @_in_own_context
    def crop(self) -> Picture | None:
        """A picture of one person; None if too little of them would be seen."""
        rng, (w, h) = self.rng, self.size
        place = self._place(list(self.assets.light))
        order = rng.permutation(len(self.cast))
        main = self.cast[order[0]].pose(rng)
        view, distance = self._view(main)

        poses, occluded = [main], rng.random() < 0.4
        by_person = occluded and rng.random() < 0.5
        if by_person:
            if rng.random() < 0.6 and distance > 2.4:
                ahead = rng.uniform(0.35, min(1.1, distance - 1.4))
            else:
                ahead = -rng.uniform(0.5, 2.5)
            beside = rng.choice([-1, 1]) * rng.uniform(0.12, 0.8)
            poses.append(self.cast[order[1]].pose(rng, (ahead, beside)))

        corners, _ = Camera(np.eye(3), *view).project(main.vertices)
        low, high = corners.min(0), corners.max(0)
        zoom, shift = rng.uniform(1.05, 1.45), rng.normal(0, 0.04, 2)
        if rng.random() < 0.2:  # cut off by the edge of the picture
            zoom, shift = rng.uniform(0.6, 1.1), rng.uniform(-0.28, 0.28, 2)
        x, y = (low + high) / 2 + shift * (high - low)
        intrinsics = self._intrinsics((x, y), zoom * (high - low))
        image, people = self._shoot(poses, Camera(intrinsics, *view), place)

        person = people[0]
        if occluded and not by_person:
            box = person.box
            largest = max(box[2] - box[0], box[3] - box[1])
            at, size = rng.uniform(box[:2], box[2:]), largest * rng.uniform(0.15, 0.42)
            image, thing = cover(image, at, size, self.assets, rng)
            person = behind(person, thing)
        if person.area < 0.02 * w * h or (person.coco[:, 2] == VISIBLE).sum() < 4:
            return None
        return Picture(with_faults(image, rng), [person])

    @_in_own_context
    def cut_out(self) -> np.ndarray:
        """One person without surroundings; see ``cut_outs``."""
        w, h = self.size
        pose = self.cast[int(self.rng.integers(len(self.cast)))].pose(self.rng)
        pose.actor.recolour(self.rng)
        view, _ = self._view(pose)
        corners, _ = Camera(np.eye(3), *view).project(pose.vertices)
        low, high = corners.min(0), corners.max(0)
        image, _, figures = self.renderer.render(
            [pose],
            Camera(self._intrinsics((low + high) / 2, 1.02 * (high - low)), *view),
            self._place(list(self.assets.light)),
            spheres=np.zeros((0, 4)),
            centre=pose.coco.mean(0),
            radius=1.6,
            surroundings=np.zeros((h, w, 3), np.uint8),
        )
        mask = figures > 0
        rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
        cut = np.dstack([image, np.where(mask, 255, 0).astype(np.uint8)])
        return cut[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]

    @_in_own_context
    def scene(self, people: tuple[int, int]) -> Picture:
        """A picture of a random number of people, the least and the most of ``people``."""
        rng, (w, h) = self.rng, self.size
        place = self._place([name for name in self.assets.light if name not in WITH_PEOPLE])
        count = int(rng.integers(people[0], people[1] + 1))
        view_angle = np.radians(rng.uniform(35, 75))
        focal = w / 2 / np.tan(view_angle / 2)
        eye = np.array([0, 0, rng.uniform(0.6, 3.2)])
        ahead = rng.uniform(3, 9)
        target = [ahead, 0, rng.uniform(0.4, 1.4)]
        view = look_at(eye, target, np.radians(rng.normal(0, 2)))
        spots, poses = [], []
        for k in rng.permutation(len(self.cast))[:count]:
            for _ in range(20):
                distance = float(np.exp(rng.uniform(np.log(2.2), np.log(16))))
                angle = rng.uniform(-0.55, 0.55) * view_angle
                spot = np.array([distance * np.cos(angle), distance * np.sin(angle)])
                if all(np.linalg.norm(spot - other) > 0.55 for other in spots):
                    spots.append(spot)
                    poses.append(self.cast[k].pose(rng, spot))
                    break
        intrinsics = np.array([[focal, 0, w / 2], [0, focal, h / 2], [0, 0, 1]])
        image, found = self._shoot(poses, Camera(intrinsics, *view), place)
        if rng.random() < 0.3:
            at, size = rng.uniform(0, 1, 2) * [w, h], h * rng.uniform(0.1, 0.4)
            image, thing = cover(image, at, size, self.assets, rng)
            found = [behind(person, thing) for person in found]
        found = [person for person in found if person.area >= _LEAST_AREA]
        return Picture(with_faults(image, rng), found)

    def _view(self, main: Pose) -> tuple[tuple[np.ndarray, np.ndarray], float]:
        """A random camera's rotation and translation, that look at a pose, and its distance, m."""
        rng = self.rng
        centre = (main.vertices.min(0) + main.vertices.max(0)) / 2
        distance = float(np.exp(rng.uniform(np.log(2.2), np.log(9))))
        from_above = rng.random() < 0.07
        elevation = np.radians(rng.uniform(35, 65) if from_above else rng.uniform(-5, 35))
        eye = centre + distance * np.array([np.cos(elevation), 0, np.sin(elevation)])
        eye[2] = max(eye[2], 0.25)
        tilted = rng.random() < 0.1
        return look_at(eye, centre, np.radians(rng.normal(0, 15 if tilted else 4))), distance

    def _intrinsics(self, middle: np.ndarray, extent: np.ndarray) -> np.ndarray:
        """(3, 3): what is ``extent`` (2,) wide and high around ``middle``, at 1 m, fills it all."""
        w, h = self.size
        focal = 1 / max(extent[1] / h, extent[0] / w)
        x, y = middle
        return np.array([[focal, 0, w / 2 - focal * x], [0, focal, h / 2 - focal * y], [0, 0, 1]])

    def _place(self, panoramas: list[str]) -> Place:
        """One of some panoramas, with random light and floor."""
        rng = self.rng
        elevation, azimuth = np.radians(rng.uniform(25, 75)), rng.uniform(0, 2 * np.pi)
        key = rng.uniform(0.1, 1.3) * rng.uniform(0.85, 1.15, 3)
        floor = np.clip(rng.uniform(0.1, 0.65) + rng.normal(0, 0.07, 3), 0.03, 0.9)
        return Place(
            panorama=str(rng.choice(panoramas)),
            yaw=rng.uniform(0, 2 * np.pi),
            exposure=rng.uniform(0.25, 0.7),
            key_direction=np.array(
                [
                    np.cos(elevation) * np.cos(azimuth),
                    np.cos(elevation) * np.sin(azimuth),
                    np.sin(elevation),
                ]
            ),
            key=key,
            pattern=int(rng.integers(3)),
            floor_colour=floor,
            floor_mix=rng.uniform(0, 0.8),
        )

    def _shoot(
        self, poses: list[Pose], camera: Camera, place: Place
    ) -> tuple[np.ndarray, list[Person]]:
        """The picture (H, W, 3) uint8 RGB of some poses, and what is true of each."""
        for pose in poses:
            pose.actor.recolour(self.rng)
        middles = [pose.coco.mean(0) for pose in poses]
        centre = np.mean(middles, 0) if poses else np.array([5.0, 0, 1])
        reach = max([1.6] + [np.linalg.norm(middle - centre) + 1.4 for middle in middles])
        spheres = [
            np.concatenate([pose.h36m[_SHADING], [[_SHADING_RADIUS]] * len(_SHADING)], 1)
            for pose in poses
        ]
        points = np.concatenate([pose.vertices for pose in poses]) if poses else centre[None]
        image, depth, figures = self.renderer.render(
            poses,
            camera,
            place,
            spheres=np.concatenate(spheres) if poses else np.zeros((0, 4)),
            centre=centre,
            radius=reach,
            surroundings=self.backdrops.choose(points, camera.position, self.rng),
        )
        people = [
            labelled(
                pose.coco,
                pose.h36m,
                pose.vertices,
                pose.actor.body.height,
                number,
                camera,
                depth,
                figures,
            )
            for number, pose in enumerate(poses, 1)
        ]
        return image, people
