"""The room of the exports as it is estimated, and the axes of the formats."""

import numpy as np
import pytest

from pipeline.export.axes import OPENSIM, ROOM, Y_UP, room_joints
from tests.lifters3d.walkers import ANKLE, HEIGHT, walker
from tests.pipeline.exports import filmed


@pytest.mark.parametrize("heading", [0, np.pi / 2], ids=["right", "away"])
def test_the_room_is_upright_and_people_travel(heading):
    person = walker(120, speed=1.2, heading=heading)
    room = room_joints(filmed([person]))[:, 0]
    assert abs(room[:, [3, 6], 2].min() - ANKLE) < 0.05
    assert abs(np.median(room[:, 10, 2]) - HEIGHT) < 0.15
    travelled = (room[-1] - room[0])[0, :2]
    expected = 1.2 * 119 / 30 * np.array([np.cos(heading), np.sin(heading)])
    np.testing.assert_allclose(travelled, expected, atol=0.4)
    across = (room[:, 4] - room[:, 1]).mean(axis=0)  # from right to left
    assert across @ [-np.sin(heading), np.cos(heading), 0] > 0.15


def test_axes_are_right_handed_and_named():
    """Right, away and up of the room, as each format's words have them."""
    right, away, up = np.eye(3)
    for axes in (ROOM, Y_UP, OPENSIM):
        assert np.linalg.det(axes.rotation) == pytest.approx(1)
        names = dict(part.split(" ", 1) for part in axes.words.split(", "))
        for axis, name in names.items():
            along = np.eye(3)["xyz".index(axis)]
            direction = {"to the camera's right": right, "away from the camera": away}
            direction |= {"towards the camera": -away, "up from the floor": up}
            np.testing.assert_allclose(axes.turn(direction[name]), along)
