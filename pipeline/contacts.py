"""Feet on the floor: when they are, where, and a root path along which they do not slide."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.ndimage import gaussian_filter1d, percentile_filter
from scipy.sparse.linalg import spsolve

from lifters3d.skeleton import LEFT, RIGHT
from pipeline.cleaning import segments

ANKLES = (RIGHT[2], LEFT[2])
ANKLE_HEIGHT = 0.08  # metres: the ankle joint of a standing foot
# A foot is put down when it is slower than the first of these, m/s, and taken up when it is faster
# than the second. (Tuned on motion capture that was filmed by virtual cameras and lifted.)
PUT_DOWN, TAKEN_UP = 0.3, 0.55
LOW = 0.12  # metres above the lowest place of the feet for a while
WHILE_S = 2.0
SHORTEST_S = 0.1
SPEED_SMOOTHING_S = 0.05
# Depth is the least certain of the three: what it adds to the speed counts half.
DEPTH_WEIGHT = 0.5
# Corrections of the root's path change over no shorter times.
LOCK_SMOOTHING_S = 0.05
# How strongly, in frames of contact, planted feet hold to the places where they were found along
# the floor (without it, errors of steps would add up) and to the floor's height.
HOLD_PLACE, HOLD_FLOOR = 0.05, 100.0
# Feet planted further than this from the floor stand on something else.
FLOOR_REACH = 0.25


@dataclass(frozen=True)
class Contact:
    """A foot that is on the floor in the frames from ``start`` to ``stop`` (exclusive).

    person, foot : which; foot 0 is the right one, 1 the left one
    place : (3,) metres, camera axes, the mean place of its ankle
    """

    person: int
    foot: int
    start: int
    stop: int
    place: np.ndarray


def find_contacts(
    joints3d: np.ndarray, root: np.ndarray, up: np.ndarray, frame_step_s: float
) -> list[Contact]:
    """Contacts of all feet with the floor: where an ankle is slow, and low for that time.

    The camera is taken to stand still.

    Parameters
    ----------
    joints3d : (F, P, 17, 3) metres, root-relative, camera axes; NaN where absent
    root : (F, P, 3) metres, camera axes
    up : (3,) unit vector, camera axes
    frame_step_s : usual time between frames, s

    Returns
    -------
    Contacts, by person, foot and time.
    """
    ankles = (joints3d[:, :, ANKLES] + root[:, :, None]).astype(np.float64)
    found = []
    for person in range(ankles.shape[1]):
        own = ankles[:, person]
        on_floor = np.zeros(own.shape[:2], bool)
        for start, stop in segments(np.isfinite(own).all(axis=(1, 2))):
            on_floor[start:stop] = _on_floor(own[start:stop], up, frame_step_s)
        for foot in range(2):
            found += [
                Contact(person, foot, start, stop, own[start:stop, foot].mean(axis=0))
                for start, stop in segments(on_floor[:, foot])
            ]
    return found


def _on_floor(ankles: np.ndarray, up: np.ndarray, step_s: float) -> np.ndarray:
    """(n, 2) bool: which ankles (n, 2, 3) of an unbroken stretch stand."""
    count = len(ankles)
    if count < 2:
        return np.zeros((count, 2), bool)
    steady = gaussian_filter1d(ankles, SPEED_SMOOTHING_S / step_s, axis=0, mode="nearest")
    velocity = np.gradient(steady, step_s, axis=0) * (1, 1, DEPTH_WEIGHT)
    speed = np.linalg.norm(velocity, axis=-1)
    height = steady @ up
    window = 2 * round(WHILE_S / 2 / step_s) + 1
    lowest = percentile_filter(height.min(axis=1), 15, size=window, mode="nearest")
    near = height - lowest[:, None] < LOW
    standing = np.zeros((count, 2), bool)
    for foot in range(2):
        for start, stop in segments(near[:, foot] & (speed[:, foot] < TAKEN_UP)):
            long_enough = (stop - start) * step_s > SHORTEST_S - 1e-6
            standing[start:stop, foot] = long_enough and speed[start:stop, foot].min() < PUT_DOWN
    return standing


def lock_feet(
    joints3d: np.ndarray,
    root: np.ndarray,
    contacts: list[Contact],
    up: np.ndarray,
    floor: float,
    frame_step_s: float,
) -> np.ndarray:
    """Move the root's path so that planted feet stay in their places on the floor.

    Each contact gets one place, near to where the ankle was found and at the height of an ankle on
    the floor (unless the foot stands far above or below it). These places and the correction of
    the path, which changes smoothly, are the least squares solution in which ankles are in their
    places. Poses are not touched: while both feet stand, what the pose's step lacks is shared.

    Parameters
    ----------
    joints3d : (F, P, 17, 3) metres, root-relative, camera axes; NaN where absent
    root : (F, P, 3) metres, camera axes
    contacts : of ``find_contacts``
    up : (3,) unit vector, camera axes
    floor : metres along ``up``: the floor is where ``up @ x == floor``
    frame_step_s : usual time between frames, s

    Returns
    -------
    (F, P, 3) root of the same dtype; NaN where absent.
    """
    locked = root.copy()
    ankles = (joints3d[:, :, ANKLES] + root[:, :, None]).astype(np.float64)
    for person in range(root.shape[1]):
        for start, stop in segments(np.isfinite(root[:, person]).all(axis=-1)):
            own = [c for c in contacts if c.person == person and start <= c.start < stop]
            if own:
                there = ankles[start:stop, person]
                along = _correction(there, own, start, HOLD_PLACE, frame_step_s)
                own = [_on_the_floor(contact, up, floor) for contact in own]
                upward = _correction(there, own, start, HOLD_FLOOR, frame_step_s)
                locked[start:stop, person] += along + ((upward - along) @ up)[:, None] * up
    return locked


def _on_the_floor(contact: Contact, up: np.ndarray, floor: float) -> Contact:
    above = float(contact.place @ up) - floor - ANKLE_HEIGHT
    if abs(above) > FLOOR_REACH:
        return contact
    return replace(contact, place=contact.place - above * up)


def _correction(
    ankles: np.ndarray, contacts: list[Contact], first: int, hold: float, step_s: float
) -> np.ndarray:
    """(n, 3) what to add to the path of ankles (n, 2, 3), whose first frame is ``first``.

    Least squares in the corrections c of n frames and the places p of the contacts: of
    ankle + c - p in all frames of contact, hold x (p - place) as often, c's second differences, and
    a little of c, which decides where there are no contacts.
    """
    count = len(ankles)
    frames = [np.arange(contact.start - first, contact.stop - first) for contact in contacts]
    lengths = np.array([len(own) for own in frames], np.float64)
    rows, columns = np.concatenate(frames), np.repeat(np.arange(len(frames)), lengths.astype(int))
    joined = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), (count, len(frames)))
    bends = sparse.eye(max(count - 2, 0), count, format="csr")
    bends = bends - 2 * sparse.eye(*bends.shape, k=1) + sparse.eye(*bends.shape, k=2)
    stiffness = min((LOCK_SMOOTHING_S / step_s) ** 4, 1e6)
    standing = np.asarray(joined.sum(axis=1)).ravel()
    system = sparse.bmat(
        [
            [sparse.diags(standing + 1e-3) + stiffness * bends.T @ bends, -joined],
            [-joined.T, sparse.diags(lengths * (1 + hold))],
        ],
        format="csc",
    )
    right = np.zeros((count + len(frames), 3))
    for number, (own, contact) in enumerate(zip(frames, contacts, strict=True)):
        right[own] -= ankles[own, contact.foot]
        right[count + number] = ankles[own, contact.foot].sum(axis=0)
        right[count + number] += hold * len(own) * contact.place
    return spsolve(system, right)[:count]


def weights_of(contacts: list[Contact], frame_step_s: float) -> np.ndarray:
    """(n,) how much the places of contacts count: their seconds, up to half a second."""
    frames = np.array([contact.stop - contact.start for contact in contacts], np.float64)
    return np.minimum(frames * frame_step_s, 0.5)


def places_of(contacts: list[Contact]) -> np.ndarray:
    """(n, 3) metres, camera axes: the places of contacts."""
    return np.array([contact.place for contact in contacts], np.float64).reshape(-1, 3)
