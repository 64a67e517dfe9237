"""OpenGL without a window, and the programs that run on it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from weights.errors import Pose3dError

if TYPE_CHECKING:
    import moderngl

_SHADERS = Path(__file__).parent / "shaders"
# Where the libraries lie whose usual names are only those of development packages.
_LIBRARIES = (
    {},
    {"libegl": "libEGL.so.1", "libgl": "libGL.so.1"},
    {"libegl": "libEGL.so.1", "libgl": "libOpenGL.so.0"},
)
_DEVICES = 4  # EGL devices of a machine that are tried, GPUs first


def open_context() -> moderngl.Context:
    """An OpenGL 3.3 context by EGL: of NVIDIA's driver or of Mesa, which needs no GPU."""
    # Mesa's llvmpipe takes all cores; there is one renderer a core.
    os.environ.setdefault("LP_NUM_THREADS", "1")
    try:
        import moderngl
    except ImportError:
        message = "rendering people needs moderngl: pip install 'pose3d[render-people]'"
        raise Pose3dError(message) from None
    first = None
    for libraries in _LIBRARIES:
        for device in range(_DEVICES):
            try:
                return moderngl.create_context(
                    require=330, standalone=True, backend="egl", device_index=device, **libraries
                )
            except Exception as error:  # glcontext raises Exception itself
                first = first or str(error).splitlines()[0]
    raise Pose3dError(
        f"no OpenGL by EGL ({first}):"
        " install NVIDIA's driver, or apt install libegl1 libgl1 libgl1-mesa-dri"
    )


def program(context: moderngl.Context, vertex: str, *fragment: str) -> moderngl.Program:
    """A program of shaders: one file for vertices, files that make one source for fragments."""
    return context.program(_source(vertex), _source(*fragment))


def _source(*names: str) -> str:
    texts = [(_SHADERS / f"{name}.glsl").read_text(encoding="utf-8") for name in names]
    return "\n".join(["#version 330", *texts])
