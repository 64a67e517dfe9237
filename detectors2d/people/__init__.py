"""People in pictures, as boxes, with any of several detectors (``build_people``)."""

from detectors2d.people.registry import People, build_people

__all__ = ["People", "build_people"]
