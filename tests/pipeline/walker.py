"""A stick man whose place, bones and footsteps are known, and a camera that looks down on him."""

import numpy as np

THIGH, SHANK, ANKLE = 0.45, 0.43, 0.08  # metres; the last is the ankle's height
STANCE_S, STRIDE_S = 0.6, 1.0
SPEED, RADIUS = 0.8, 1.4  # m/s, m: he walks on a circle


def walk(seconds=6.0, rate=30.0, hip=0.9, lean=0.0, centre=(0.0, 5.0)):
    """(F, 17, 3) metres, z up, floor z = 0; (F, 2) bool, when the right and left foot stand.

    hip: its height; lean: of the trunk, forward, degrees.
    """
    time = np.arange(round(seconds * rate)) / rate
    body, forward, left = _path(time, centre)
    up = np.array([0.0, 0.0, 1.0])
    joints = np.zeros((len(time), 17, 3))
    joints[:, 0] = body + hip * up
    spine = np.cos(np.radians(lean)) * up + np.sin(np.radians(lean)) * forward
    for joint, along, ahead, aside in (
        (7, 0.25, 0, 0),
        (8, 0.5, 0, 0),
        (9, 0.6, 0.05, 0),
        (10, 0.72, 0, 0),
        (11, 0.46, 0, 0.18),
        (12, 0.18, 0, 0.22),
        (13, -0.05, 0.08, 0.22),
        (14, 0.46, 0, -0.18),
        (15, 0.18, 0, -0.22),
        (16, -0.05, 0.08, -0.22),
    ):
        joints[:, joint] = joints[:, 0] + along * spine + ahead * forward + aside * left
    standing = np.zeros((len(time), 2), bool)
    for foot, (side, offset, top) in enumerate(((-1, 0.0, 1), (1, STRIDE_S / 2, 4))):
        ankle, standing[:, foot] = _steps(time, offset, 0.1 * side, centre)
        joints[:, top] = joints[:, 0] + 0.1 * side * left
        joints[:, top + 1] = _knee(joints[:, top], ankle, forward)
        joints[:, top + 2] = ankle
    return joints, standing


def _path(time, centre):
    angle = np.asarray(time) * SPEED / RADIUS
    zero = np.zeros_like(angle)
    outward = np.stack([np.cos(angle), np.sin(angle), zero], -1)
    forward = np.stack([-np.sin(angle), np.cos(angle), zero], -1)
    return np.array([*centre, 0.0]) + RADIUS * outward, forward, -outward


def _steps(time, offset, aside, centre):
    """The ankle's path, and when it stands: under the body in the middle of its stance."""
    number = np.floor((time + offset) / STRIDE_S)
    since = time + offset - number * STRIDE_S

    def place(n):
        body, _, left = _path(n * STRIDE_S - offset + STANCE_S / 2, centre)
        return body + aside * left + [0, 0, ANKLE]

    share = np.clip((since - STANCE_S) / (STRIDE_S - STANCE_S), 0, 1)[:, None]
    smooth = share**2 * (3 - 2 * share)
    ankle = place(number) * (1 - smooth) + place(number + 1) * smooth
    ankle[:, 2:] += 0.12 * np.sin(np.pi * share) ** 2
    return ankle, since < STANCE_S


def _knee(hip, ankle, forward):
    """Where thigh and shank meet, in front."""
    leg = ankle - hip
    length = np.linalg.norm(leg, axis=-1, keepdims=True)
    axis = leg / length
    along = (length**2 + THIGH**2 - SHANK**2) / (2 * length)
    assert (along < THIGH).all()
    ahead = forward - (forward * axis).sum(-1, keepdims=True) * axis
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    return hip + along * axis + np.sqrt(THIGH**2 - along**2) * ahead


def camera(pitch, roll=0.0):
    """Rotation (3, 3) from z up (y away) to the axes of a camera that looks down by `pitch`."""
    p, r = np.radians([pitch, roll])
    level = np.array([[1, 0, 0], [0, -np.sin(p), -np.cos(p)], [0, np.cos(p), -np.sin(p)]])
    return np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]]) @ level


def filmed(joints, pitch, height, roll=0.0):
    """Poses (F, 17, 3) and root (F, 3) in camera axes, and the way up there (3,)."""
    rotation = camera(pitch, roll)
    seen = (joints - [0, 0, height]) @ rotation.T
    return seen - seen[:, :1], seen[:, 0], rotation[:, 2]


def angle(a, b):
    """Degrees between two vectors."""
    cosine = np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))
