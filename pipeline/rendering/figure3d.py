"""A 3D skeleton as shaded shapes: what to draw, and in which order."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from lifters3d.skeleton import HEAD, NOSE, PARENTS

from . import strokes
from .camera import Camera
from .palette import BACKGROUND_TOP, OUTLINE, Colour, joint_colours, mix

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


@dataclass(frozen=True)
class Look:
    """How people are drawn.

    width : by which the limbs' radii are multiplied
    alpha, head : opacity of a limb, and of the head, that is sure
    far : colour towards which limbs turn with distance
    shade : share of `far` at the distance of the person's middle, more a metre behind it, at most
    """

    width: float
    alpha: float
    head: float
    far: Colour
    shade: tuple[float, float, float]


IN_PANEL = Look(1.0, 1.0, 1.0, BACKGROUND_TOP, (0.14, 0.30, 0.34))
# Thinner and a little transparent: the person under it stays to be seen, the face above all.
OVER_PICTURE = Look(0.7, 0.85, 0.4, OUTLINE, (0.16, 0.75, 0.60))


def solids(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The tapered strokes that make one person; bones and joints that are NaN are left out.

    Parameters
    ----------
    joints : (17, 3) metres

    Returns
    -------
    ends : (N, 2, 3) metres; both the same for a ball
    radii : (N, 2) metres
    owner : (N,) the joint that gives the colour
    start : (N,) the joint at the other end of a bone; the owner itself for a ball
    """
    there = np.isfinite(joints).all(-1)
    bones = there[_BONES] & there[_BONE_STARTS]
    balls = there[_BALLS]
    ends = [
        np.stack([joints[_BONE_STARTS[bones]], joints[_BONES[bones]]], 1),
        np.repeat(joints[_BALLS[balls], None], 2, 1),
    ]
    radii = [_BONE_RADII[bones], np.repeat(_BALL_RADII[balls, None], 2, 1)]
    owner, start = [_BONES[bones], _BALLS[balls]], [_BONE_STARTS[bones], _BALLS[balls]]
    if there[NOSE] and there[HEAD]:
        middle = (joints[NOSE] + joints[HEAD]) / 2
        ends.append(np.broadcast_to(middle, (1, 2, 3)))
        radii.append(np.full((1, 2), _HEAD_RADIUS))
        owner.append(np.array([HEAD]))
        start.append(np.array([HEAD]))
    return tuple(np.concatenate(part) for part in (ends, radii, owner, start))


def light_of(camera: Camera) -> np.ndarray:
    """(2,) metres along x and y that a shadow drifts for every metre of height.

    The light stands high in front, to the left of the camera.
    """
    return _SHADOW_DRIFT * (camera.rotation[0, :2] * 0.8 + camera.rotation[2, :2] * 0.5)


def draw_shadow(
    panel: np.ndarray, camera: Camera, people: list[np.ndarray], light: np.ndarray
) -> None:
    """Darken the floor, in place, under people, N arrays (17, 3) metres; `light` as `light_of`.

    What is higher above the floor throws a fainter shadow.
    """
    found = [solids(joints) for joints in people]
    ends, radii = np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])
    size = np.divide(camera.size, _SHADOW_SCALE)
    height = np.maximum(ends[..., 2:], 0)
    places, depth = camera.project(np.concatenate([ends[..., :2] + light * height, 0 * height], -1))
    usable = _usable(camera, places, depth)
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


def _usable(camera: Camera, places: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """(N,) bool. Wild places would be huge blobs near the camera, or streaks across the panel."""
    return (depth > 0.3).all(1) & (np.abs(places) < 4 * max(camera.size)).all((1, 2))


def draw_figures(
    image: np.ndarray,
    camera: Camera,
    people: list[np.ndarray],
    trunks: list[Colour],
    opacity: list[np.ndarray],
    look: Look = IN_PANEL,
) -> None:
    """Draw people, in place, the farthest stroke first.

    Parameters
    ----------
    image : (h, w, 3) uint8 RGB
    camera : of the image
    people : N arrays (17, 3) metres, world
    trunks : N colours of trunk and head
    opacity : N arrays (17,) 0-1 of the joints; a bone is as faint as its weaker end
    """
    found = [solids(joints) for joints in people]
    ends, radii, owner, start = (np.concatenate(part) for part in zip(*found, strict=True))
    person = np.repeat(np.arange(len(found)), [len(f[2]) for f in found])
    places, depth = camera.project(ends)
    usable = _usable(camera, places, depth)
    if not usable.any():
        return
    radii, places, depth = radii[usable], places[usable], depth[usable]
    owner, start, person = owner[usable], start[usable], person[usable]
    scale = camera.focal / depth
    # In a long clip people may be small: their strokes stay thick enough to be seen.
    wide = look.width * radii * np.maximum(scale, _THINNEST * camera.size[1])
    ball = owner == start
    # The rim between a ball and its own bones only hints at the joint.
    rim = np.maximum(_RIM * scale, 0.9) * np.where(ball & (owner != HEAD), 0.5, 1)[:, None]

    middle = depth.mean(1)
    # A ball lies on all of its own bones, always: it would blink if depth alone decided.
    order = middle.copy()
    nearest = np.full((len(found), len(PARENTS)), np.inf)
    np.minimum.at(nearest, (person, owner), middle)
    np.minimum.at(nearest, (person[~ball], start[~ball]), middle[~ball])
    order[ball] = nearest[person[ball], owner[ball]] - 0.001
    colours = np.stack([joint_colours(trunk) for trunk in trunks])[person, owner]
    # Far limbs are darker: the order of depth reads even where nothing overlaps.
    heart = np.bincount(person, middle)[person] / np.bincount(person)[person]
    share, more, most = look.shade
    colours = mix(colours, look.far, np.clip(share + more * (middle - heart), 0, most))
    sure = np.stack(opacity)
    sure = np.minimum(sure[person, owner], sure[person, start])
    sure *= np.where(ball & (owner == HEAD), look.head, look.alpha)

    a, b = places[:, 0], places[:, 1]
    lift = _LIGHT * wide.mean(1, keepdims=True)
    layers = [
        (a, b, wide + rim, np.broadcast_to(np.asarray(OUTLINE, float), colours.shape)),
        (a, b, wide, mix(colours, OUTLINE, 0.30)),
        (a + 0.22 * lift, b + 0.22 * lift, 0.76 * wide, colours),
        (a + 0.50 * lift, b + 0.50 * lift, 0.26 * wide, mix(colours, (255, 255, 255), 0.38)),
    ]
    order = np.argsort(-order, kind="stable")
    starts, stops, widths, paints = (
        np.stack([layer[i] for layer in layers], 1)[order] for i in range(4)
    )
    _paint(image, starts, stops, widths, paints, sure[order])


def _paint(
    image: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    radii: np.ndarray,
    paints: np.ndarray,
    opacity: np.ndarray,
) -> None:
    """Fill N strokes of L layers, one after the other.

    Ends a and b (N, L, 2) px, radii there (N, L, 2) px, paints (N, L, 3) RGB, opacity (N,) 0-1.
    What is nearest decides alone how much of the image is seen through it.
    """
    margin = float(radii.max()) + 2
    x0, y0, x1, y1 = strokes.bounds(
        np.concatenate([a, b]).reshape(-1, 2), margin, (image.shape[1], image.shape[0])
    )
    if x0 >= x1 or y0 >= y1:
        return
    count, depth = radii.shape[:2]
    corner = np.array([x0, y0])
    outlines = strokes.capsules(
        (a - corner).reshape(-1, 2), (b - corner).reshape(-1, 2), *radii.reshape(-1, 2).T
    )
    polygons = strokes.fixed(outlines).reshape(count, depth, -1, 2)
    part = image[y0:y1, x0:x1]
    solid = bool((opacity >= 1).all())
    layer = part if solid else part.copy()
    mask = None if solid else np.zeros(part.shape[:2], np.uint8)
    for own, colours, share in zip(polygons, paints.tolist(), opacity.tolist(), strict=True):
        for polygon, colour in zip(own, colours, strict=True):
            strokes.fill(layer, polygon, colour)
        if mask is not None:
            strokes.fill(mask, own[0], 255 * share)
    if mask is not None:
        strokes.lay(part, layer, mask)
