"""What is true of a picture: joints, whether they are seen, boxes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from detectors2d.training.rendered_people.camera import Camera

OUTSIDE, HIDDEN, VISIBLE = 0, 1, 2
# m: how far in front of a joint the surface of its own body may lie, for it lies inside the limb.
_DEPTH_H36M = np.array(
    [
        *(0.28, 0.26, 0.13, 0.10, 0.26, 0.13, 0.10, 0.2, 0.17),
        *(0.14, 0.14, 0.14, 0.10, 0.09, 0.14, 0.10, 0.09),
    ]
)
_DEPTH_COCO = np.array(
    [
        *(0.05, 0.05, 0.05, 0.06, 0.06, 0.16, 0.16, 0.10, 0.10),
        *(0.09, 0.09, 0.26, 0.26, 0.13, 0.13, 0.10, 0.10),
    ]
)
_DEPTH_OTHER = 0.03  # the same for the surface of another person


@dataclass(frozen=True)
class Person:
    """One person in a picture of W x H px; pixel coordinates run from 0 to W and from 0 to H.

    coco, h36m : (17, 3) x, y px and v: 2 visible, 1 hidden (by the own body, other people or
        things), 0 outside the picture; x and y are true in any case
    full_box : (4,) xyxy px of the whole body, beyond the picture too
    mask : (H, W) bool, the pixels that show the person
    height : m, of the body
    """

    coco: np.ndarray
    h36m: np.ndarray
    full_box: np.ndarray
    mask: np.ndarray
    height: float

    @property
    def area(self) -> int:
        """How many pixels show the person."""
        return int(self.mask.sum())

    @property
    def box(self) -> np.ndarray:
        """(4,) xyxy px of the whole body as far as it is in the picture, hidden parts too."""
        h, w = self.mask.shape
        return np.clip(self.full_box, 0, [w, h, w, h])

    @property
    def visible_box(self) -> np.ndarray:
        """(4,) xyxy px of what is seen, zeros if that is nothing."""
        x, y = np.nonzero(self.mask.any(0))[0], np.nonzero(self.mask.any(1))[0]
        if not len(x):
            return np.zeros(4)
        return np.array([x[0], y[0], x[-1] + 1, y[-1] + 1], float)


@dataclass(frozen=True)
class Picture:
    """``image`` (H, W, 3) uint8 RGB and the people of whom something is seen in it."""

    image: np.ndarray
    people: list[Person]


def labelled(
    coco: np.ndarray,
    h36m: np.ndarray,
    vertices: np.ndarray,
    height: float,
    number: int,
    camera: Camera,
    depth: np.ndarray,
    figures: np.ndarray,
) -> Person:
    """A person that was drawn.

    Parameters
    ----------
    coco, h36m : (17, 3) m, joints in the world
    vertices : (N, 3) m, of the mesh in the world
    height : m, of the body
    number : of the person in ``figures``
    depth : (H, W) m, of what is drawn
    figures : (H, W), number of the person drawn there, 0 where there is none
    """
    corners, _ = camera.project(vertices)
    return Person(
        coco=_joints(coco, _DEPTH_COCO, number, camera, depth, figures),
        h36m=_joints(h36m, _DEPTH_H36M, number, camera, depth, figures),
        full_box=np.concatenate([corners.min(0), corners.max(0)]),
        mask=figures == number,
        height=height,
    )


def behind(person: Person, thing: np.ndarray) -> Person:
    """The person behind a thing that fills the pixels ``thing`` (H, W) bool."""

    def hidden(joints: np.ndarray) -> np.ndarray:
        x, y = _pixels(joints[:, :2], thing.shape)
        joints = joints.copy()
        joints[thing[y, x] & (joints[:, 2] == VISIBLE), 2] = HIDDEN
        return joints

    return replace(
        person,
        coco=hidden(person.coco),
        h36m=hidden(person.h36m),
        mask=person.mask & ~thing,
    )


def _joints(
    joints: np.ndarray,
    inside_body: np.ndarray,
    number: int,
    camera: Camera,
    depth: np.ndarray,
    figures: np.ndarray,
) -> np.ndarray:
    """x, y, v (17, 3) of joints (17, 3) of the world that lie ``inside_body`` (17,) m deep."""
    points, depths = camera.project(joints)
    h, w = depth.shape
    inside = (points >= 0).all(1) & (points < [w, h]).all(1)
    x, y = _pixels(points, depth.shape)
    own = np.isin(figures[y, x], (0, number))
    seen = depth[y, x] > depths - np.where(own, inside_body, _DEPTH_OTHER)
    flags = np.where(inside, np.where(seen, VISIBLE, HIDDEN), OUTSIDE)
    return np.concatenate([points, flags[:, None]], 1)


def _pixels(points: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows (n,) of the pixels of points (n, 2), the nearest for those outside."""
    h, w = shape
    x, y = np.clip(np.floor(points).astype(int), 0, [w - 1, h - 1]).T
    return x, y
