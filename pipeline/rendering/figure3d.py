"""A 3D skeleton as shaded shapes on the panel: what to draw, and in which order."""

from __future__ import annotations

import cv2
import numpy as np

from lifters3d.skeleton import HEAD, NOSE, PARENTS

from . import strokes
from .camera import Camera
from .palette import BACKGROUND_TOP, OUTLINE, joint_colours, mix

# Radius in metres of every bone where it starts and where it ends (bone j ends in joint j).
_START = {1: 0.050, 4: 0.050, 7: 0.052, 8: 0.054, 9: 0.038, 11: 0.042, 14: 0.042}
_START |= {2: 0.060, 5: 0.060, 3: 0.047, 6: 0.047, 12: 0.044, 15: 0.044, 13: 0.036, 16: 0.036}
_END = {1: 0.052, 4: 0.052, 7: 0.054, 8: 0.050, 9: 0.030, 11: 0.042, 14: 0.042}
_END |= {2: 0.045, 5: 0.045, 3: 0.028, 6: 0.028, 12: 0.034, 15: 0.034, 13: 0.023, 16: 0.023}
# Hip and Thorax have none: four round ends meet there already.
_BALL = {1: 0.060, 4: 0.060, 2: 0.048, 5: 0.048, 3: 0.040, 6: 0.040, 7: 0.054}
_BALL |= {11: 0.047, 14: 0.047, 12: 0.038, 15: 0.038, 13: 0.033, 16: 0.033}
_HEAD_RADIUS = 0.105

_BONES = np.array(sorted(_END))
_BONE_STARTS = np.take(PARENTS, _BONES)
_BONE_RADII = np.array([[_START[j], _END[j]] for j in _BONES])
_BALLS = np.array(sorted(_BALL))
_BALL_RADII = np.array([_BALL[j] for j in _BALLS])

_THINNEST = 0.05  # least px a metre for the strokes' width, of the panel's height
_RIM = 0.011  # metres
_LIGHT = np.array([-0.5, -0.62])  # where the light comes from, in the panel
_SHADOW_DRIFT = 0.32  # how far a shadow falls aside and back, of the height above the floor
_SHADOW_SCALE = 4
_SHADOW = 0.62


def solids(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tapered strokes that make one person; bones and joints that are NaN are left out.

    Parameters
    ----------
    joints : (17, 3) metres

    Returns
    -------
    ends : (N, 2, 3) metres; both the same for a ball
    radii : (N, 2) metres
    owner : (N,) the joint that gives the colour
    """
    there = np.isfinite(joints).all(-1)
    bones = there[_BONES] & there[_BONE_STARTS]
    balls = there[_BALLS]
    ends = [
        np.stack([joints[_BONE_STARTS[bones]], joints[_BONES[bones]]], 1),
        np.repeat(joints[_BALLS[balls], None], 2, 1),
    ]
    radii = [_BONE_RADII[bones], np.repeat(_BALL_RADII[balls, None], 2, 1)]
    owner = [_BONES[bones], _BALLS[balls]]
    if there[NOSE] and there[HEAD]:
        middle = (joints[NOSE] + joints[HEAD]) / 2
        ends.append(np.broadcast_to(middle, (1, 2, 3)))
        radii.append(np.full((1, 2), _HEAD_RADIUS))
        owner.append(np.array([HEAD]))
    return np.concatenate(ends), np.concatenate(radii), np.concatenate(owner)


def draw_shadow(panel: np.ndarray, camera: Camera, ends: np.ndarray, radii: np.ndarray) -> None:
    """Darken the floor, in place, under strokes `ends` (N, 2, 3), `radii` (N, 2) metres.

    The light stands high in front, to the left of the panel's camera; what is higher above the
    floor throws a fainter shadow.
    """
    size = np.divide(camera.size, _SHADOW_SCALE)
    height = np.maximum(ends[..., 2:], 0)
    drift = camera.rotation[0, :2] * 0.8 + camera.rotation[2, :2] * 0.5
    on_floor = np.concatenate([ends[..., :2] + _SHADOW_DRIFT * drift * height, 0 * height], -1)
    places, depth = camera.project(on_floor)
    usable = (depth > 0.3).all(1) & (np.abs(places) < 4 * max(camera.size)).all((1, 2))
    if not usable.any():
        return
    places, depth, height = places[usable], depth[usable], height[usable]
    wide = 1.15 * radii[usable] * camera.focal / depth / _SHADOW_SCALE
    mask = np.zeros((int(np.ceil(size[1])), int(np.ceil(size[0]))), np.uint8)
    places = places / _SHADOW_SCALE
    polygons = strokes.fixed(strokes.capsules(*np.moveaxis(places, 1, 0), *wide.T))
    dark = 255 / (1 + 1.1 * height.mean((1, 2)))
    for i in np.argsort(dark):
        strokes.fill(mask, polygons[i], float(dark[i]))
    sigma = 0.035 * camera.focal / float(np.median(depth)) / _SHADOW_SCALE
    x0, y0, x1, y1 = strokes.bounds(
        places.reshape(-1, 2), wide.max() + 3 * sigma + 2, (mask.shape[1], mask.shape[0])
    )
    if x0 >= x1 or y0 >= y1:
        return
    soft = cv2.GaussianBlur(mask[y0:y1, x0:x1], (0, 0), max(sigma, 0.5))
    light = cv2.convertScaleAbs(soft, alpha=-_SHADOW, beta=255)
    light = cv2.resize(light, None, fx=_SHADOW_SCALE, fy=_SHADOW_SCALE)
    part = panel[y0 * _SHADOW_SCALE : y1 * _SHADOW_SCALE, x0 * _SHADOW_SCALE : x1 * _SHADOW_SCALE]
    light = cv2.cvtColor(light[: part.shape[0], : part.shape[1]], cv2.COLOR_GRAY2RGB)
    cv2.multiply(part, light, dst=part, scale=1 / 255)


def draw_figures(
    panel: np.ndarray,
    camera: Camera,
    people: list[np.ndarray],
    trunks: list[tuple],
    faded: list[float],
) -> None:
    """Draw people with their shadows, in place, the farthest stroke first.

    Parameters
    ----------
    panel : (h, w, 3) uint8 RGB
    camera : of the panel
    people : N arrays (17, 3) metres, world
    trunks : N colours of trunk and head
    faded : N shares, 0-1, by which a person sinks into the background
    """
    found = [solids(joints) for joints in people]
    ends, radii, owner = (np.concatenate(part) for part in zip(*found, strict=True))
    person = np.repeat(np.arange(len(found)), [len(f[2]) for f in found])
    if len(ends) == 0:
        return
    draw_shadow(panel, camera, ends, radii)

    places, depth = camera.project(ends)
    # Wild places would be huge blobs, near the camera, or streaks across the panel.
    usable = (depth > 0.3).all(1) & (np.abs(places) < 4 * max(camera.size)).all((1, 2))
    if not usable.any():
        return
    ends, radii, owner, person = ends[usable], radii[usable], owner[usable], person[usable]
    places, depth = places[usable], depth[usable]
    scale = camera.focal / depth
    # In a long clip people may be small: their strokes stay thick enough to be seen.
    wide = radii * np.maximum(scale, _THINNEST * camera.size[1])
    ball = (ends[:, 0] == ends[:, 1]).all(-1)
    # The rim between a ball and its own bones only hints at the joint.
    rim = np.maximum(_RIM * scale, 0.9) * np.where(ball & (owner != HEAD), 0.5, 1)[:, None]

    middle = depth.mean(1)
    # A ball lies on all of its own bones, always: it would blink if depth alone decided.
    order = middle.copy()
    nearest = np.full((len(found), len(PARENTS)), np.inf)
    bone = ~ball
    np.minimum.at(nearest, (person, owner), middle)
    np.minimum.at(nearest, (person[bone], np.take(PARENTS, owner[bone])), middle[bone])
    order[ball] = nearest[person[ball], owner[ball]] - 0.001
    colours = np.stack([joint_colours(trunk) for trunk in trunks])[person, owner]
    # Far limbs are a little darker: the order of depth reads even where nothing overlaps.
    heart = np.bincount(person, middle)[person] / np.bincount(person)[person]
    colours = mix(colours, BACKGROUND_TOP, np.clip(0.14 + 0.30 * (middle - heart), 0, 0.34))
    colours = mix(colours, BACKGROUND_TOP, np.asarray(faded)[person])

    a, b = places[:, 0], places[:, 1]
    width = wide.mean(1, keepdims=True)
    lift = _LIGHT * width
    layers = [
        (a, b, wide + rim, np.broadcast_to(np.asarray(OUTLINE, float), colours.shape)),
        (a, b, wide, mix(colours, OUTLINE, 0.30)),
        (a + 0.22 * lift, b + 0.22 * lift, 0.76 * wide, colours),
        (a + 0.50 * lift, b + 0.50 * lift, 0.26 * wide, mix(colours, (255, 255, 255), 0.38)),
    ]
    polygons = [strokes.fixed(strokes.capsules(p, q, *r.T)) for p, q, r, _ in layers]
    paints = [paint.tolist() for *_, paint in layers]
    for i in np.argsort(-order, kind="stable"):
        for polygon, paint in zip(polygons, paints, strict=True):
            strokes.fill(panel, polygon[i], paint[i])
