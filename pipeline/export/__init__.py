"""Results as files for other programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.export.bvh import write_bvh
from pipeline.export.c3d import write_c3d
from pipeline.export.gltf import write_glb
from pipeline.export.json_file import schema, write_json
from pipeline.export.mot import write_mot
from pipeline.export.motion import File, Motion
from pipeline.export.tables import write_csv, write_npz
from pipeline.export.trc import write_trc
from pipeline.process import check_targets, make_folder
from pipeline.result import PoseResult
from weights.errors import Pose3dError
from weights.files import write_file

__all__ = ["FORMATS", "Exported", "export", "schema"]

FORMATS: dict[str, Callable[[Motion], list[File]]] = {
    "bvh": write_bvh,
    "glb": write_glb,
    "c3d": write_c3d,
    "trc": write_trc,
    "mot": write_mot,
    "csv": write_csv,
    "json": write_json,
    "npz": write_npz,
}
_FBX = (
    "fbx is a closed format and not written: export glb and convert it in Blender (File > Import > "
    "glTF 2.0, then File > Export > FBX), or export bvh, which most programs that take fbx import"
)


@dataclass(frozen=True)
class Exported:
    """A written file, and what the user should know of it: units, axes, rate, gaps."""

    path: Path
    note: str


def export(
    result: PoseResult,
    target: str | Path,
    formats: Sequence[str] | None = None,
    *,
    name: str = "poses",
    in_place: bool = False,
) -> list[Exported]:
    """Write a result for other programs.

    Parameters
    ----------
    result : with at least one person in one frame
    target : with ``formats`` the folder, made if needed; without, one file, whose suffix is the
        format: ``export(result, "dance.bvh")``
    formats : names out of `FORMATS`
    name : of the files in a folder, without suffix. Formats that hold one person a file add
        ``_person<id>`` where there are several.
    in_place : hold hips over the origin instead of letting people travel

    Returns
    -------
    What was written, in the order of the formats.

    Raises
    ------
    Pose3dError
        for an unknown format, a missing library, nobody in the result, a target that cannot be
        written. Nothing is written then.
    """
    target = Path(target)
    one_file = formats is None
    if one_file:
        if not target.suffix:
            raise Pose3dError(f"{target}: the suffix must be a format: {', '.join(FORMATS)}")
        folder, name, formats = target.parent, target.stem, [target.suffix[1:]]
    else:
        folder = target
    writers = [FORMATS[format_] for format_ in check_formats(formats)]
    if len(result.joint_names) != 17:
        raise Pose3dError(
            f"exports know Human3.6M's 17 joints, the result has {len(result.joint_names)}"
        )
    motion = Motion(result, name, in_place)
    if not motion.seen:
        raise Pose3dError("the result holds nobody in any frame; there is nothing to export")
    files = [file for writer in writers for file in writer(motion)]
    paths = [folder / f"{name}{file.suffix}" for file in files]
    if one_file and len(files) == 1:
        paths = [target]
    check_targets(folder, folder, paths)
    make_folder(folder)
    for path, file in zip(paths, files, strict=True):
        write_file(path, file.content)
    return [Exported(path, file.note) for path, file in zip(paths, files, strict=True)]


def check_formats(names: Sequence[str]) -> list[str]:
    """Names of formats in lower case, each once; Pose3dError for one that is not known."""
    found = list(dict.fromkeys(name.strip().lower() for name in names))
    for name in found:
        if name == "fbx":
            raise Pose3dError(_FBX)
        if name not in FORMATS:
            raise Pose3dError(f"unknown format {name!r}; known are {', '.join(FORMATS)}")
    return found
