"""The folder of bodies, clothes, motions and panoramas that pictures are made from.

Nothing of it comes with pose3d. Everything can be made from free sources; lengths are in
decimetres (MakeHuman's unit) where they say dm, else in metres; bodies have y up, face +z and
have their left at +x; uv has its origin at the lower left corner of the texture.

Sources
-------
MakeHuman's base mesh, macro targets, CMU rig with its weights, system clothes, shoes, hair and
    skins, as data of MPFB (https://static.makehumancommunity.org/mpfb.html): CC0. Only these
    data are needed, none of the programs' code. Paint over the logos on clothes.
Poly Haven (https://polyhaven.com/hdris): panoramas (HDRIs), CC0. Prefer those without people.
CMU motion capture (http://mocap.cs.cmu.edu), as BVH files of cgspeed: free for all uses, may not
    be sold as data. "The data used in this project was obtained from mocap.cs.cmu.edu. The
    database was created with funding from NSF EIA-0196217." Leave out what you test lifters on.

Files
-----
body.npz : V (N, 3) dm the vertices, also the helper ones that clothes are bound to and the small
    cubes that mark joints. bones (B,) names of the CMU rig, parents before children, parent (B,)
    (-1: none). A bone starts (head) and ends (tail) in the mean of some vertices: head_ids,
    tail_ids all of them, head_len, tail_len (B,) how many for each bone. Skin weights w_vertex,
    w_bone, w_value, one row for each non-zero weight. skin_vi, eyes_vi (n,) vertices of V that
    are drawn, twice at seams of the texture, skin_uv, eyes_uv (n, 2), skin_quads, eyes_quads
    (m, 4) indices into these, the last twice for a triangle. Groups of vertices: g_body,
    g_helper-l-eye, g_helper-r-eye, g_joint-l-finger-3-1, g_joint-r-finger-3-1,
    g_joint-l-toe-3-1, g_joint-r-toe-3-1.
targets.npz : NAME/i vertices and NAME/d (n, 3) dm how they move at full strength, of
    {caucasian,african,asian}-{female,male}-{young,old} and
    universal-{female,male}-{young,old}-{min,average,max}muscle-{min,average,max}weight.
skins/*.jpg : textures of the skin with "_female" or "_male", and "dark" for dark ones, in the name.
wear/NAME.npz : a garment or hair (the names are in ``cast.py``), from its .mhclo file. Each of
    its vertices is idx (n, 3) vertices of V, weighted by w (n, 3), plus off (n, 3), measured
    along each axis in the distance of the vertices scale_ids (3, 2) over scale (3,). hide:
    vertices of V that lie under it. vi, uv, quads as of the skin.
wear/NAME_{diffuse,normal,ao}.{jpg,png} : its textures; hair needs alpha in its diffuse one.
env/NAME.jpg : a panorama, equirectangular, 1024 x 512: row 0 up, azimuth falling to the right,
    linear light = (value / 255) ** 2.4 * 24, its mean logarithm 0.
env/light.npz : NAME (64, 128, 3) the same in linear light, not clipped.
motions.npz : takes (K,) names, bones (23,) names (``motion.PARENTS`` has them), the mean of
    clavicles (2, 3, 3) as calib_clavicle and elbow hinge axes (2, 3) as calib_elbow_axis, left
    and right; of each take TAKE/q (T, 23, 4) w, x, y, z the bones' global rotations, 15 a second,
    against a T-pose that faces +z, TAKE/root (T, 3) of the hips, TAKE/off (23, 3) the T-pose's
    bones from their parents, TAKE/sole (2, 3) up, seen from the feet's bones in the T-pose, while
    the soles lie flat, TAKE/leg the length of thigh and shin.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from weights.errors import Pose3dError

VARIABLE = "POSE3D_PEOPLE_ASSETS"
_GARMENT = ("idx", "w", "off", "scale_ids", "scale", "hide", "vi", "uv", "quads")
_BODY = (
    *("V", "bones", "parent", "head_ids", "head_len", "tail_ids", "tail_len"),
    *("w_vertex", "w_bone", "w_value", "skin_vi", "skin_uv", "skin_quads"),
    *("eyes_vi", "eyes_uv", "eyes_quads", "g_body", "g_helper-l-eye", "g_helper-r-eye"),
    *("g_joint-l-finger-3-1", "g_joint-r-finger-3-1", "g_joint-l-toe-3-1", "g_joint-r-toe-3-1"),
)
_MOTIONS = ("takes", "bones", "calib_clavicle", "calib_elbow_axis")
_FILES = {"body.npz": _BODY, "targets.npz": (), "motions.npz": _MOTIONS, "env/light.npz": ()}
# Panoramas of Poly Haven with small passers-by, who have no labels.
WITH_PEOPLE = ("city", "esplanade", "sunset", "venice", "venice_sunset")


class Assets:
    """What the folder holds, read when it is first asked for.

    Raises Pose3dError where something is missing or damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise Pose3dError(f"{folder}: no such folder of assets for rendered people")
        for name in _FILES:
            if not (self.folder / name).is_file():
                raise Pose3dError(f"{self.folder / name}: missing; 'assets' says what it must hold")
        self._arrays: dict[str, dict[str, np.ndarray]] = {}
        self._targets: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._panoramas: dict[str, np.ndarray] = {}

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """All arrays of an .npz file of the folder, such as "body.npz"."""
        if name not in self._arrays:
            file = self._open(name)
            keys = dict.fromkeys((*_FILES.get(name, _GARMENT), *file.files))
            self._arrays[name] = {key: self._read(name, file, key) for key in keys}
        return self._arrays[name]

    def target(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """A macro target: vertices (n,) and how they move (n, 3) float64 dm."""
        if name not in self._targets:
            vertices, moves = (
                self._read("targets.npz", self._targets_file, f"{name}/{part}") for part in "id"
            )
            self._targets[name] = (vertices, moves.astype(np.float64))
        return self._targets[name]

    def texture(self, stem: str) -> Path | None:
        """The picture ``stem``.jpg or .png, None if there is none."""
        for ending in (".jpg", ".png"):
            path = self.folder / (stem + ending)
            if path.exists():
                return path
        return None

    def panorama(self, name: str) -> np.ndarray:
        """A panorama (H, W, 3) uint8 BGR, tone-coded."""
        if name not in self._panoramas:
            self._panoramas[name] = read_image(self.folder / "env" / f"{name}.jpg")
        return self._panoramas[name]

    def check(self) -> str:
        """Read every array once; a line that says how much there is."""
        wear = sorted(path.stem for path in (self.folder / "wear").glob("*.npz"))
        for name in ("body.npz", "motions.npz", *(f"wear/{name}.npz" for name in wear)):
            self.arrays(name)
        targets = sorted({key.rpartition("/")[0] for key in self._targets_file.files})
        for name in targets:
            self.target(name)
        for name in self.light:
            self.panorama(name)
        counts = (
            f"{len(targets)} targets, {len(self.skins)} skins, {len(wear)} garments and hair,"
            f" {len(self.takes)} motions, {len(self.light)} panoramas"
        )
        return f"{self.folder}: {counts}"

    def there(self, names: tuple[str, ...]) -> list[str]:
        """Those of some garments or hair that the folder has; at least one."""
        found = [name for name in names if (self.folder / f"wear/{name}.npz").is_file()]
        if not found:
            raise Pose3dError(f"{self.folder / 'wear'}: needs one of {', '.join(names)} (.npz)")
        return found

    @cached_property
    def skins(self) -> list[str]:
        """Names of the skins, sorted."""
        return sorted(path.stem for path in (self.folder / "skins").glob("*.jpg"))

    @cached_property
    def takes(self) -> list[str]:
        """Names of the captured motions."""
        return [str(name) for name in self.arrays("motions.npz")["takes"]]

    @cached_property
    def light(self) -> dict[str, np.ndarray]:
        """The light of every panorama (64, 128, 3) float32, linear."""
        # The sun itself would drown the rest; key lights stand in for it.
        maps = self.arrays("env/light.npz")
        return {name: np.minimum(light.astype(np.float32), 1e4) for name, light in maps.items()}

    @cached_property
    def _targets_file(self) -> np.lib.npyio.NpzFile:
        return self._open("targets.npz")

    def _open(self, name: str) -> np.lib.npyio.NpzFile:
        path = self.folder / name
        try:
            return np.load(path)
        except FileNotFoundError:
            raise Pose3dError(f"{path}: no such file") from None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            raise Pose3dError(f"{path}: not an .npz file, or damaged") from None

    def _read(self, name: str, file: np.lib.npyio.NpzFile, key: str) -> np.ndarray:
        try:
            return file[key]
        except KeyError:
            raise Pose3dError(f"{self.folder / name}: has no {key}") from None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
            raise Pose3dError(f"{self.folder / name}: {key} cannot be read: damaged") from None


def open_assets(folder: str | Path | None) -> Assets:
    """The assets in ``folder``, or, if it is None, where POSE3D_PEOPLE_ASSETS says."""
    folder = folder or os.environ.get(VARIABLE)
    if not folder:
        raise Pose3dError(f"rendering people needs assets: give --assets DIR, or set {VARIABLE}")
    return Assets(folder)


def read_image(path: Path, flags: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """``cv2.imread`` that raises Pose3dError."""
    image = cv2.imread(str(path), flags)
    if image is None:
        raise Pose3dError(f"{path}: not a picture, or missing")
    return image
