"""Draws posed bodies in a place, with the depth and the figure behind every pixel.

World: metres, z up. Bodies are drawn with shadows, on a panorama with a floor, in a room, or on a
photograph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from detectors2d.training.rendered_people.assets import Assets, read_image
from detectors2d.training.rendered_people.body import Body, Part
from detectors2d.training.rendered_people.camera import Camera, metres
from detectors2d.training.rendered_people.context import open_context, program
from detectors2d.training.rendered_people.lighting import Place, light_of
from detectors2d.training.rendered_people.room import Room

if TYPE_CHECKING:
    import moderngl

SPHERES = 48  # for contact shadows, at most; as in surroundings.glsl
_FIGURE_STEP = 20  # of the alpha that tells figures apart: 12 of them
_SPECULAR = {"skin": 0.06, "eyes": 0.30, "hair": 0.10, "cloth": 0.03}
_SHININESS = {"skin": 22.0, "eyes": 60.0, "hair": 18.0, "cloth": 18.0}
_WRAP = {"skin": 0.25, "eyes": 0.1, "hair": 0.1, "cloth": 0.1}  # light beyond the terminator
_RELIEF = 0.8  # of normal maps
_TEXTURES = ("diffuse", "normal", "ao")
# Texture units.
_DIFFUSE, _NORMAL, _AO, _SHADOW, _PANORAMA, _SURFACES = range(6)


@dataclass
class Drawable:
    """One part of a figure on the GPU."""

    part: Part
    mesh: moderngl.VertexArray
    shadow: moderngl.VertexArray
    textures: dict[str, moderngl.Texture | None]
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)


class Figure:
    """A body on the GPU; ``release`` it."""

    def __init__(self, renderer: Renderer, body: Body) -> None:
        context, count = renderer.context, len(body.vertices)
        self.vertices = context.buffer(reserve=count * 12)
        self.normals = context.buffer(reserve=count * 12)
        uv = context.buffer(np.concatenate([part.uv for part in body.parts]).astype("f4"))
        colours = [
            np.ones((len(part.vertices), 3)) if part.colours is None else part.colours
            for part in body.parts
        ]
        colour = context.buffer(np.concatenate(colours).astype("f4"))
        self._owned = [self.vertices, self.normals, uv, colour]
        self.drawables = []
        for part in body.parts:
            indices = context.buffer((part.triangles + part.start).astype("i4"))
            outline = [(self.vertices, "3f", "position"), (uv, "2f", "uv")]
            looks = [(self.normals, "3f", "normal"), (colour, "3f", "colour")]
            mesh = context.vertex_array(renderer.mesh_program, [*outline, *looks], indices)
            shadow = context.vertex_array(renderer.shadow_program, outline, indices)
            self._owned += [indices, mesh, shadow]
            textures = {use: renderer.texture(part.textures.get(use)) for use in _TEXTURES}
            self.drawables.append(Drawable(part, mesh, shadow, textures))

    def release(self) -> None:
        for one in self._owned:
            one.release()


@dataclass
class Posed:
    """What is drawn: a figure and, in the world, its vertices and normals (N, 3)."""

    figure: Figure
    vertices: np.ndarray
    normals: np.ndarray


class Renderer:
    """Draws pictures of ``size`` (w, h) px.

    Figures are drawn ``supersample`` times as large, then shrunk; ``shadow_size`` px is the side of
    the shadow map.
    """

    def __init__(
        self, assets: Assets, size: tuple[int, int], supersample: int = 1, shadow_size: int = 512
    ) -> None:
        self.assets = assets
        self.size = size
        self.supersample = supersample
        self.shadow_size = shadow_size
        self.context = context = open_context()
        self.device: str = context.info["GL_RENDERER"]
        self._textures: dict[Path, moderngl.Texture] = {}
        self._panoramas: dict[str, moderngl.Texture] = {}
        light = ("light", "mesh_fragment")
        around = ("light", "surroundings")
        self.mesh_program = program(context, "mesh_vertex", *light)
        self.shadow_program = program(context, "shadow_vertex", "shadow_fragment")
        self._panorama_program = program(context, "screen_vertex", *around, "panorama_fragment")
        self._room_program = program(context, "screen_vertex", *around, "room_fragment")
        self._copy_program = program(context, "screen_vertex", "copy_fragment")

        self._backdrop = context.texture(size, 4)
        self._backdrop.repeat_x = self._backdrop.repeat_y = False
        self._backdrop_buffer = context.framebuffer([self._backdrop])
        drawn = (size[0] * supersample, size[1] * supersample)
        self._depth = context.depth_texture(drawn)
        self._depth.compare_func = ""
        self._buffer = context.framebuffer([context.texture(drawn, 4)], self._depth)
        self._shadow_map = context.depth_texture((shadow_size, shadow_size))
        self._shadow_map.compare_func = "<="
        self._shadow_map.filter = (context.LINEAR, context.LINEAR)
        self._shadow_map.repeat_x = self._shadow_map.repeat_y = False
        self._shadow_buffer = context.framebuffer([], self._shadow_map)
        screen = context.buffer(np.array([-1, -1, 1, -1, -1, 1, 1, 1], "f4"))
        self._panorama_screen, self._room_screen, self._copy_screen = (
            context.vertex_array(one, [(screen, "2f", "corner")])
            for one in (self._panorama_program, self._room_program, self._copy_program)
        )
        self._white = context.texture((1, 1), 4, b"\xff" * 4)

    def texture(self, path: Path | None) -> moderngl.Texture | None:
        """A picture of the assets on the GPU, None for None."""
        if path is None or path in self._textures:
            return self._textures.get(path)
        image = read_image(path, cv2.IMREAD_UNCHANGED)
        channels = 1 if image.ndim == 2 else image.shape[2]
        code = {1: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}[channels]
        upright = np.ascontiguousarray(cv2.cvtColor(image, code)[::-1])
        texture = self.context.texture(upright.shape[1::-1], 4, upright.tobytes())
        texture.build_mipmaps()
        texture.filter = (self.context.LINEAR_MIPMAP_LINEAR, self.context.LINEAR)
        self._textures[path] = texture
        return texture

    def render(
        self,
        posed: Sequence[Posed],
        camera: Camera,
        place: Place,
        spheres: np.ndarray,
        centre: np.ndarray,
        radius: float,
        surroundings: Room | np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw figures in a place.

        Parameters
        ----------
        posed : what is drawn, 12 at most
        spheres : (M, 4) centres and radii, m, that shade the floor where they are near to it; those
            beyond the 48th are left out
        centre, radius : (3,) and m: the part of the world in which shadows fall
        surroundings : instead of the panorama and its floor a room, or a photograph (H, W, 3) uint8
            RGB, on which no shadow falls

        Returns
        -------
        image (H, W, 3) uint8 RGB, depth (H, W) float32 m, and for every pixel (H, W) the number of
        the figure, from 1, or 0
        """
        for one in posed:
            one.figure.vertices.write(np.ascontiguousarray(one.vertices, "f4"))
            one.figure.normals.write(np.ascontiguousarray(one.normals, "f4"))
        light = light_of(place, self.assets.light[place.panorama])
        shadow_matrix = _shadow_matrix(light.key_direction, centre, radius)
        self._draw_shadows(posed, shadow_matrix)
        for lit in (self.mesh_program, self._panorama_program, self._room_program):
            lit["key_direction"] = tuple(light.key_direction)
            lit["key_colour"] = tuple(light.key_colour)
            # Drivers cut unused entries off.
            used = light.harmonics.astype("f4")[: lit["irradiance_sh"].array_length]
            lit["irradiance_sh"].write(used.tobytes())
            _set_matrix(lit, "shadow_matrix", shadow_matrix)
            lit["shadow_texel"] = 1.0 / self.shadow_size
            lit["camera"] = tuple(camera.position)
            lit["shadow_map"] = _SHADOW
        self.context.disable(self.context.DEPTH_TEST)
        self._shadow_map.use(_SHADOW)
        if isinstance(surroundings, np.ndarray):
            rgba = np.dstack([surroundings, np.zeros(surroundings.shape[:2], np.uint8)])
            self._backdrop.write(np.ascontiguousarray(rgba[::-1]).tobytes())
        else:
            self._draw_surroundings(camera, place, spheres[:SPHERES], surroundings)
        self._draw_figures(posed, camera)
        return self._read()

    def _draw_shadows(self, posed: Sequence[Posed], matrix: np.ndarray) -> None:
        self._shadow_buffer.use()
        self.context.enable_only(self.context.DEPTH_TEST)
        self._shadow_buffer.clear(depth=1.0)
        _set_matrix(self.shadow_program, "clip_matrix", matrix)
        self.shadow_program["diffuse"] = _DIFFUSE
        for one in posed:
            for drawable in one.figure.drawables:
                (drawable.textures["diffuse"] or self._white).use(_DIFFUSE)
                self.shadow_program["cut_out"] = drawable.part.kind == "hair"
                drawable.shadow.render()

    def _draw_surroundings(
        self, camera: Camera, place: Place, spheres: np.ndarray, room: Room | None
    ) -> None:
        self._backdrop_buffer.use()
        drawn = self._panorama_program if room is None else self._room_program
        self._panorama(place.panorama).use(_PANORAMA)
        drawn["panorama"] = _PANORAMA
        drawn["yaw"], drawn["exposure"] = place.yaw, place.exposure
        drawn["size"] = tuple(float(side) for side in self.size)
        _set_matrix(drawn, "inverse_intrinsics", np.linalg.inv(camera.intrinsics))
        _set_matrix(drawn, "rotation_transposed", camera.rotation.T)
        padded = np.zeros((SPHERES, 4), "f4")
        padded[: len(spheres)] = spheres
        drawn["spheres"].write(padded[: drawn["spheres"].array_length].tobytes())
        drawn["sphere_count"] = len(spheres)
        if room is None:
            drawn["pattern"], drawn["floor_mix"] = float(place.pattern), place.floor_mix
            drawn["floor_colour"] = tuple(place.floor_colour)
            self._panorama_screen.render(self.context.TRIANGLE_STRIP)
            return
        if room.texture is None:
            sides, layers = room.surfaces.shape[1:3], len(room.surfaces)
            room.texture = self.context.texture_array((*sides, layers), 3, room.surfaces.tobytes())
            room.texture.build_mipmaps()
            room.texture.filter = (self.context.LINEAR_MIPMAP_LINEAR, self.context.LINEAR)
        room.texture.use(_SURFACES)
        drawn["surfaces"] = _SURFACES
        drawn["metres"].write(room.metres.astype("f4").tobytes())
        _set_matrix(drawn, "turn", room.turn)
        drawn["walls"], drawn["height"] = tuple(room.walls), room.height
        drawn["ceiling"] = room.ceiling
        self._room_screen.render(self.context.TRIANGLE_STRIP)

    def _draw_figures(self, posed: Sequence[Posed], camera: Camera) -> None:
        self._buffer.use()
        self._buffer.clear(depth=1.0)
        self._backdrop.use(_DIFFUSE)
        self._copy_program["image"] = _DIFFUSE
        self._copy_screen.render(self.context.TRIANGLE_STRIP)
        self.context.enable(self.context.DEPTH_TEST)
        mesh = self.mesh_program
        _set_matrix(mesh, "clip_matrix", camera.clip_matrix(self.size))
        mesh["relief"] = _RELIEF
        mesh["diffuse"], mesh["normal_map"], mesh["ao"] = _DIFFUSE, _NORMAL, _AO
        for number, one in enumerate(posed, 1):
            mesh["figure"] = number * _FIGURE_STEP / 255.0
            for drawable in one.figure.drawables:
                textures, kind = drawable.textures, drawable.part.kind
                for unit, use in enumerate(_TEXTURES):
                    (textures[use] or self._white).use(unit)
                mesh["has_diffuse"] = textures["diffuse"] is not None
                mesh["has_normal_map"] = textures["normal"] is not None
                mesh["has_ao"] = textures["ao"] is not None
                mesh["cut_out"], mesh["tint"] = kind == "hair", drawable.tint
                mesh["specular"], mesh["shininess"] = _SPECULAR[kind], _SHININESS[kind]
                mesh["wrap"] = _WRAP[kind]
                drawable.mesh.render()

    def _read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        (w, h), step = self.size, self.supersample
        shape = (h * step, w * step)
        pixels = np.frombuffer(self._buffer.read(components=4), np.uint8).reshape(*shape, 4)[::-1]
        depth = np.frombuffer(self._depth.read(), np.float32).reshape(shape)[::-1]
        figures = (pixels[::step, ::step, 3].astype(int) + _FIGURE_STEP // 2) // _FIGURE_STEP
        image = np.ascontiguousarray(pixels[:, :, :3])
        if step > 1:
            image = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
        return image, metres(depth[::step, ::step]), figures

    def _panorama(self, name: str) -> moderngl.Texture:
        if name not in self._panoramas:
            rgb = np.ascontiguousarray(self.assets.panorama(name)[:, :, ::-1])
            texture = self.context.texture(rgb.shape[1::-1], 3, rgb.tobytes(), alignment=1)
            texture.repeat_y = False
            self._panoramas[name] = texture
        return self._panoramas[name]


def _shadow_matrix(light: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    """From the world to the clip space (4, 4) of a parallel light from direction ``light`` (3,)."""
    side = np.cross([0, 0, 1], light)
    side /= np.linalg.norm(side)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([side, np.cross(light, side), -light]) / radius
    matrix[2, :3] /= 2  # twice as deep as wide: what stands far above throws shadows too
    matrix[:3, 3] = -matrix[:3, :3] @ centre
    return matrix


def _set_matrix(shader: moderngl.Program, name: str, matrix: np.ndarray) -> None:
    shader[name].write(np.ascontiguousarray(matrix.T, "f4"))
