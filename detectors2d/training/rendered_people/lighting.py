"""The light of a place: spherical harmonics of its panorama and one key light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

# Of the nine real spherical harmonics up to order 2, and of the cosine lobe of diffuse surfaces:
# Ramamoorthi and Hanrahan, "An Efficient Representation for Irradiance Environment Maps", 2001.
_SCALE = np.array([0.282095] + [0.488603] * 3 + [1.092548] * 2 + [0.315392, 1.092548, 0.546274])
_COSINE = np.array([np.pi] + [2 * np.pi / 3] * 3 + [np.pi / 4] * 5) / np.pi
LIGHT_SIZE = (64, 128)  # rows, columns of the panoramas of light
# The sun and lamps are the key light's task.
_BRIGHTEST = 6.0


@dataclass(frozen=True)
class Place:
    """Where a picture is taken: a panorama, how it is turned and lit, and its floor.

    panorama : its name in the assets
    yaw : radians, how far it is turned
    exposure : factor on its light, whose mean logarithm is 0
    key_direction : (3,) towards the key light, of any length
    key : (3,) RGB of the key light, as shares of what comes from above
    pattern : of the floor: 0 concrete, 1 slabs, 2 planks
    floor_colour : (3,) RGB, linear
    floor_mix : how much of that colour the floor has, 0 to 1; the rest is the panorama's
    """

    panorama: str
    yaw: float
    exposure: float
    key_direction: np.ndarray
    key: np.ndarray
    pattern: int
    floor_colour: np.ndarray
    floor_mix: float


@dataclass(frozen=True)
class Light:
    """``harmonics`` (9, 3) of the irradiance / pi; key light's unit direction (3,), colour (3,)."""

    harmonics: np.ndarray
    key_direction: np.ndarray
    key_colour: np.ndarray


def light_of(place: Place, panorama: np.ndarray) -> Light:
    """The light of a place whose panorama's linear light is ``panorama`` (64, 128, 3)."""
    columns = int(place.yaw / (2 * np.pi) * LIGHT_SIZE[1])
    turned = np.roll(panorama, -columns, 1) * place.exposure
    harmonics = irradiance(np.minimum(turned, _BRIGHTEST))
    from_above = (harmonics * _harmonics(0.0, 0.0, 1.0)[:, None]).sum(0)
    direction = np.asarray(place.key_direction, float)
    return Light(
        harmonics=harmonics,
        key_direction=direction / np.linalg.norm(direction),
        key_colour=np.asarray(place.key, float) * from_above.mean(),
    )


def irradiance(panorama: np.ndarray) -> np.ndarray:
    """Spherical harmonics (9, 3) of the irradiance / pi under a panorama (64, 128, 3).

    Row 0 is up, column 0 the world's +x, and the azimuth falls to the right.
    """
    return np.tensordot(_WEIGHTS, panorama, ([1, 2], [0, 1]))


def _harmonics(x: ArrayLike, y: ArrayLike, z: ArrayLike) -> np.ndarray:
    """The nine spherical harmonics (9, ...) of directions x, y, z (...), each of unit length."""
    values = np.stack([1 + 0 * x, y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y])
    return values * _SCALE.reshape((9,) + (1,) * np.ndim(x))


def _weights() -> np.ndarray:
    """What each pixel (9, 64, 128) of a panorama adds to the harmonics of the irradiance."""
    rows, columns = LIGHT_SIZE
    polar = (np.arange(rows) + 0.5) / rows * np.pi
    azimuth = -(np.arange(columns) + 0.5) / columns * 2 * np.pi
    sine = np.sin(polar)[:, None]
    solid_angle = sine * (np.pi / rows) * (2 * np.pi / columns)
    z = np.cos(polar)[:, None] + 0 * azimuth
    basis = _harmonics(sine * np.cos(azimuth), sine * np.sin(azimuth), z)
    return basis * solid_angle * _COSINE[:, None, None]


_WEIGHTS = _weights()
