"""Rendered people: random clothed figures in random places, with exact keypoints and boxes.

Pictures to train 2D pose networks and person detectors on, made instead of collected: no real
person is needed and every joint is known, hidden ones too. As a program, which writes COCO sets:

    python -m detectors2d.training.rendered_people crops --assets DIR --out DIR --n 5000

or picture by picture, endlessly, in a training loop:

    for picture in itertools.islice(crops(Assets("DIR"), seed=1), 100): ...

Needs moderngl (``pip install pose3d[render-people]``), an EGL (NVIDIA's driver, or Mesa) and the
folder of bodies, clothes, motions and panoramas that ``assets.py`` describes. What the pictures
lack: moving cloth and hair, expressions, moving fingers, hats, glasses, things in the hands.
Limbs may pass through the body. Joints are those of the skeleton: hips lie lower and further in
than where people mark COCO's.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detectors2d.training.rendered_people.assets import Assets
    from detectors2d.training.rendered_people.labels import Person, Picture
    from detectors2d.training.rendered_people.studio import crops, cut_outs, scenes

__all__ = ["Assets", "Person", "Picture", "crops", "cut_outs", "scenes"]

_MODULES = {
    "Assets": "assets",
    "Person": "labels",
    "Picture": "labels",
    "crops": "studio",
    "cut_outs": "studio",
    "scenes": "studio",
}


def __getattr__(name: str) -> object:
    # The program sets how many threads its workers take before numpy is imported.
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
