"""When feet are on the floor, and feet that do not slide, of a man whose steps are known."""

import numpy as np
import pytest

from pipeline.contacts import ANKLES, find_contacts, lock_feet
from tests.pipeline.walker import ANKLE, RADIUS, SPEED, camera, filmed, walk


def contacts_of(joints, root, up, rate=30.0):
    return find_contacts(joints[:, None], root[:, None], up, 1 / rate)


def marks(contacts, frames, person=0):
    """(F, 2) bool."""
    standing = np.zeros((frames, 2), bool)
    for contact in contacts:
        if contact.person == person:
            standing[contact.start : contact.stop, contact.foot] = True
    return standing


def slides(joints, root, standing):
    """(n,) metres: how far each foot gets from where it is put down, in its contact."""
    ankles = joints[:, ANKLES] + root[:, None]
    lengths = []
    for foot in range(2):
        edges = np.flatnonzero(np.diff(standing[:, foot].astype(int), prepend=0, append=0))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            own = ankles[start:stop, foot]
            lengths.append(np.linalg.norm(own - own[0], axis=-1).max())
    return np.array(lengths)


@pytest.mark.parametrize("rate", [15.0, 30.0, 100.0])
@pytest.mark.parametrize("pitch", [0, 25])
def test_steps_of_a_walk(pitch, rate):
    truth, standing = walk(rate=rate)
    joints, root, up = filmed(truth, pitch, 2.0)
    contacts = contacts_of(joints, root, up, rate)
    found = marks(contacts, len(truth))
    # Feet leave and arrive slowly: a few hundredths of a second either way are no error.
    assert (found == standing).mean() > 0.9
    assert (found & standing).sum() > 0.95 * standing.sum()
    assert len(contacts) == 13  # seven of the left foot, the first of them cut, six of the right
    places = np.array([contact.place for contact in contacts]) @ camera(pitch) + [0, 0, 2.0]
    np.testing.assert_allclose(places[:, 2], ANKLE, atol=0.02)
    between = np.linalg.norm(np.diff(places[:6], axis=0), axis=-1)
    np.testing.assert_allclose(between, 2 * RADIUS * np.sin(SPEED / RADIUS / 2), rtol=0.12)


def test_errors_of_the_height_of_poses_do_not_matter():
    truth, standing = walk()
    joints, root, up = filmed(truth, 10, 1.5)
    noise = np.random.default_rng(0).normal(0, 0.01, joints.shape)
    found = marks(contacts_of(0.93 * joints + noise, 0.7 * root, up), len(truth))
    assert (found == standing).mean() > 0.85


def test_who_stands_has_two_contacts_and_who_jumps_none_in_the_air():
    truth = np.repeat(walk(0.1)[0][:1], 150, axis=0)
    truth[:, [3, 6], 2] = ANKLE
    moment = np.arange(150) / 30
    flight = (moment - 2.0) / 0.55
    height = np.where((flight > 0) & (flight < 1), 0.4 * 4 * flight * (1 - flight), 0)
    for jump in (False, True):
        joints, root, up = filmed(truth + jump * height[:, None, None] * [0, 0, 1], 15, 1.5)
        found = marks(contacts_of(joints, root, up), 150)
        assert found[:55].all()
        assert found[85:].all()
        assert found[62:75].any() == (not jump)


def test_absence_ends_a_contact_and_people_are_told_apart():
    truth = np.repeat(walk(0.1)[0][:1], 90, axis=0)
    joints, root, up = filmed(truth, 10, 1.5)
    two = np.stack([joints, joints], axis=1)
    roots = np.stack([root, root + np.array([1.0, 0, 0])], axis=1)
    two[40:50, 0] = roots[40:50, 0] = np.nan
    contacts = find_contacts(two, roots, up, 1 / 30)
    spans = {(c.person, c.foot, c.start, c.stop) for c in contacts}
    assert {s for s in spans if s[0] == 1} == {(1, 0, 0, 90), (1, 1, 0, 90)}
    assert {s[2:] for s in spans if s[0] == 0} == {(0, 40), (50, 90)}


@pytest.mark.parametrize("shape", [(0, 1), (1, 1), (5, 2), (5, 0)])
def test_nobody_has_no_contacts(shape):
    nobody = np.full((*shape, 17, 3), np.nan)
    assert find_contacts(nobody, nobody[:, :, 0], np.array([0.0, -1, 0]), 1 / 30) == []
    locked = lock_feet(nobody, nobody[:, :, 0], [], np.array([0.0, -1, 0]), 0.0, 1 / 30)
    assert locked.shape == (*shape, 3)


@pytest.mark.parametrize("rate", [15.0, 30.0, 100.0])
def test_locked_feet_do_not_slide(rate):
    truth, standing = walk(rate=rate)
    joints, root, up = filmed(truth, 10, 1.5)
    moment = np.arange(len(root)) / rate
    drift = 0.05 * np.sin(2 * np.pi * 0.7 * moment[:, None] + [0.0, 1.0, 2.0])
    astray = root + drift
    contacts = contacts_of(joints, astray, up, rate)
    locked = lock_feet(joints[:, None], astray[:, None], contacts, up, -1.5, 1 / rate)[:, 0]
    inner = standing & marks(contacts, len(root))
    before, after = slides(joints, astray, inner), slides(joints, locked, inner)
    assert before.mean() > 0.06
    assert after.mean() < 0.012
    assert np.linalg.norm(locked - astray, axis=-1).max() < 0.15
    # They stand on the floor, and the path has no jerks that it had not before.
    height = (joints[:, ANKLES] + locked[:, None]) @ up + 1.5
    assert np.abs(height[inner] - ANKLE).max() < 0.02
    jerk = np.linalg.norm(np.diff(locked - astray, 2, axis=0), axis=-1) * rate**2
    assert jerk.max() < 20  # m/s^2


def test_a_path_without_faults_stays_and_absence_stays():
    truth, _ = walk()
    joints, root, up = filmed(truth, 10, 1.5)
    root[70:80] = joints[70:80] = np.nan
    root = root.astype(np.float32)
    contacts = contacts_of(joints, root, up)
    locked = lock_feet(joints[:, None], root[:, None], contacts, up, -1.5, 1 / 30)
    assert locked.dtype == np.float32
    assert np.isnan(locked[70:80]).all()
    np.testing.assert_allclose(locked[:, 0], root, atol=0.02)
    np.testing.assert_array_equal(
        lock_feet(joints[:, None], root[:, None], [], up, -1.5, 1 / 30)[:, 0], root
    )


def test_who_stands_on_a_box_stays_there():
    truth = np.repeat(walk(0.1)[0][:1], 60, axis=0) + np.array([0, 0, 0.5])
    joints, root, up = filmed(truth, 10, 1.5)
    contacts = contacts_of(joints, root, up)
    locked = lock_feet(joints[:, None], root[:, None], contacts, up, -1.5, 1 / 30)[:, 0]
    np.testing.assert_allclose(locked, root, atol=0.01)
