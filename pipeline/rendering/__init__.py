"""Drawing: numpy arrays in, RGB pictures out. No codec, no file, no plotting library."""

from .camera import Camera, frame_clip
from .clip import Clip, clip_of
from .layout import Layout, make_layout
from .scene import Scene
from .skeleton2d import draw_skeleton2d

__all__ = ["Camera", "Clip", "Layout", "Scene", "clip_of", "draw_skeleton2d", "frame_clip"]
__all__ += ["make_layout"]
