"""Drawing: numpy arrays in, RGB pictures out. No codec, no file, no plotting library."""

from .camera import Camera, frame_clip
from .layout import SideBySide
from .scene import Scene
from .skeleton2d import draw_skeleton2d

__all__ = ["Camera", "Scene", "SideBySide", "draw_skeleton2d", "frame_clip"]
