"""Transformer lifters: 2D keypoints of a video to 3D joints (Human3.6M skeleton of 17 joints)."""

from lifters3d.registry import Convention, Lifter, build, load, names, save

__all__ = ["Convention", "Lifter", "build", "load", "names", "save"]
