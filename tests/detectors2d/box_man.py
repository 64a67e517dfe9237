"""A man of boxes, with all the files that the rendered people's assets folder has.

Every bone carries one box along it and nothing else, so that where things must be after a turn of a
bone can be worked out by hand. Positions are in metres, y up, facing +z, left at +x.
"""

from itertools import product
from pathlib import Path

import cv2
import numpy as np

from detectors2d.training.rendered_people import context
from weights.errors import Pose3dError

HEIGHT = 1.8
HALF = 0.05  # of the boxes' thickness
# Head, tail and parent of every bone of the CMU rig.
_MIDDLE = {
    "Hips": ((0, 1.0, 0), (0, 1.05, 0), None),
    "LowerBack": ((0, 1.05, 0), (0, 1.15, 0), "Hips"),
    "Spine": ((0, 1.15, 0), (0, 1.3, 0), "LowerBack"),
    "Spine1": ((0, 1.3, 0), (0, 1.45, 0), "Spine"),
    "Neck": ((0, 1.5, 0), (0, 1.53, 0), "Spine1"),
    "Neck1": ((0, 1.53, 0), (0, 1.56, 0), "Neck"),
    "Head": ((0, 1.6, 0), (0, HEIGHT - HALF, 0), "Neck1"),
}
_LEFT = {
    "LHipJoint": ((0.02, 1.0, 0), (0.08, 0.98, 0), "Hips"),
    "LeftUpLeg": ((0.1, 0.95, 0), (0.1, 0.55, 0), "LHipJoint"),
    "LeftLeg": ((0.1, 0.5, 0.01), (0.1, 0.15, 0), "LeftUpLeg"),
    "LeftFoot": ((0.1, 0.1, 0), (0.12, 0.06, 0.1), "LeftLeg"),
    "LeftToeBase": ((0.12, 0.05, 0.12), (0.13, 0.05, 0.2), "LeftFoot"),
    "LeftShoulder": ((0.05, 1.42, 0), (0.15, 1.42, 0), "Spine1"),
    "LeftArm": ((0.2, 1.4, 0), (0.35, 1.25, 0), "LeftShoulder"),
    "LeftForeArm": ((0.4, 1.2, 0), (0.52, 1.05, 0.03), "LeftArm"),
    "LeftHand": ((0.55, 1.0, 0.05), (0.58, 0.96, 0.06), "LeftForeArm"),
    "LThumb": ((0.55, 0.99, 0.08), (0.56, 0.97, 0.12), "LeftHand"),
    "LeftFingerBase": ((0.59, 0.95, 0.06), (0.6, 0.93, 0.06), "LeftHand"),
    "LeftHandFinger1": ((0.61, 0.92, 0.06), (0.63, 0.9, 0.06), "LeftFingerBase"),
}


def _mirrored(name):
    return name.replace("Left", "Right") if "Left" in name else "R" + name[1:]


BONES = dict(_MIDDLE)
for _name, (_head, _tail, _parent) in _LEFT.items():
    BONES[_name] = (_head, _tail, _parent)
for _name, (_head, _tail, _parent) in _LEFT.items():
    _up = _parent if _parent in _MIDDLE else _mirrored(_parent)
    BONES[_mirrored(_name)] = ((-_head[0], *_head[1:]), (-_tail[0], *_tail[1:]), _up)

# Sides of a box whose corners are in the order of product((-1, 1), repeat=3), seen from outside.
_QUADS = np.array(
    [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
)
_TAKE_BONES = (
    *("Hips", "LowerBack", "Spine", "Spine1", "Neck", "Neck1", "Head"),
    *(side + bone for side in ("Left", "Right") for bone in (
        *("Shoulder", "Arm", "ForeArm", "FingerBase", "UpLeg", "Leg", "Foot", "ToeBase"),
    )),
)  # fmt: skip
# Bones of the T-pose from their parents, left side; those of the right are mirrored.
_T_POSE = {
    **{"LowerBack": (0, 0.05, 0), "Spine": (0, 0.1, 0), "Spine1": (0, 0.15, 0)},
    **{"Neck": (0, 0.2, 0), "Neck1": (0, 0.03, 0), "Head": (0, 0.07, 0)},
    **{"LeftShoulder": (0.05, 0.1, 0), "LeftArm": (0.15, 0, 0), "LeftForeArm": (0.3, 0, 0)},
    **{"LeftFingerBase": (0.3, 0, 0), "LeftUpLeg": (0.1, -0.05, 0), "LeftLeg": (0, -0.4, 0)},
    **{"LeftFoot": (0, -0.4, 0), "LeftToeBase": (0, -0.05, 0.15)},
}
LEG = 0.8
TAKE = "01_01"
FRAMES = 8


def _box(head, tail, half=HALF):
    """Corners (8, 3) of an upright box around the line from head to tail."""
    low, high = np.minimum(head, tail) - half, np.maximum(head, tail) + half
    signs = np.array(list(product((0, 1), repeat=3)))
    return low + signs * (high - low)


def corners_of(bone):
    """Indices of the vertices of a bone's box in V."""
    start = 8 * list(BONES).index(bone)
    return np.arange(start, start + 8)


def _body():
    boxes = [_box(np.array(head), np.array(tail)) for head, tail, _ in BONES.values()]
    nose, head = np.array([0, 1.65, 0.07]), list(BONES).index("Head")
    boxes += [_box(nose, nose, 0.01)]
    owners = [*range(len(BONES)), head]
    count = 8 * len(boxes)
    eyes = [np.array([x, 1.7, 0.06]) for x in (0.03, -0.03)]
    eye_boxes = [_box(eye, eye, 0.012) for eye in eyes]
    marks = [np.array(point) for head, tail, _ in BONES.values() for point in (head, tail)]
    # Fingers and toes: the tails of the bones there.
    ends = {
        "joint-l-finger-3-1": "LeftHandFinger1",
        "joint-r-finger-3-1": "RightHandFinger1",
        "joint-l-toe-3-1": "LeftToeBase",
        "joint-r-toe-3-1": "RightToeBase",
    }
    vertices = np.concatenate([*boxes, *eye_boxes, marks])
    mark = count + 16  # index of the first
    names = list(BONES)
    weights = np.repeat(owners, 8)
    everything = np.arange(count + 16)
    return {
        "V": (vertices * 10).astype(np.float32),
        "bones": np.array(names),
        "parent": np.array([-1 if up is None else names.index(up) for *_, up in BONES.values()]),
        "head_ids": mark + 2 * np.arange(len(names)),
        "head_len": np.ones(len(names), int),
        "tail_ids": mark + 2 * np.arange(len(names)) + 1,
        "tail_len": np.ones(len(names), int),
        "w_vertex": everything,
        "w_bone": np.concatenate([weights, np.full(16, head)]),
        "w_value": np.ones(len(everything), np.float32),
        "g_body": np.arange(count),
        "g_helper-l-eye": np.arange(count, count + 8),
        "g_helper-r-eye": np.arange(count + 8, count + 16),
        **{f"g_{g}": np.array([mark + 2 * names.index(bone) + 1]) for g, bone in ends.items()},
        "skin_vi": np.arange(count),
        "skin_uv": np.tile([[0.1, 0.1], [0.9, 0.9]], (count // 2, 1)).astype(np.float32),
        "skin_quads": np.concatenate([_QUADS + 8 * i for i in range(len(boxes))]),
        "eyes_vi": np.arange(count, count + 16),
        "eyes_uv": np.zeros((16, 2), np.float32),
        "eyes_quads": np.concatenate([_QUADS, _QUADS + 8]),
    }


def garment(bones, gap):
    """Boxes ``gap`` dm, and half as much upwards, around those of some bones, which they hide."""
    corners = np.concatenate([corners_of(bone) for bone in bones])
    away = np.tile(np.array(list(product((-1, 1), repeat=3))), (len(bones), 1))
    low, high = corners_of("LeftHand")[0], corners_of("Head")[-1]
    body = _body()["V"]
    return {
        "idx": np.repeat(corners[:, None], 3, 1),
        "w": np.tile([0.2, 0.3, 0.5], (len(corners), 1)).astype(np.float32),
        "off": (gap * away * [1, 0.5, 1]).astype(np.float32),
        "hide": corners,
        "scale_ids": np.array([[low, high]] * 3),
        "scale": np.abs(body[high] - body[low]).astype(np.float64),
        "vi": np.arange(len(corners)),
        "uv": np.zeros((len(corners), 2), np.float32),
        "quads": np.concatenate([_QUADS + 8 * i for i in range(len(bones))]),
    }


def _motion():
    """T-pose in the first frame, then arms and legs that swing about x, the body going ahead."""
    offsets = np.zeros((len(_TAKE_BONES), 3))
    for i, name in enumerate(_TAKE_BONES):
        side = -1 if name.startswith("Right") else 1
        offsets[i] = np.multiply(
            _T_POSE.get(name.replace("Right", "Left"), (0, 0, 0)), (side, 1, 1)
        )
    angles = np.zeros((FRAMES, len(_TAKE_BONES)))
    for i, name in enumerate(_TAKE_BONES):
        if name.endswith(("Arm", "UpLeg", "Leg", "Foot")):
            swing = 0.5 * np.sin(np.arange(FRAMES) * (1 if name.startswith("Left") else -1))
            angles[:, i] = swing
    axis = np.array([1, 0, 0])
    rotations = np.concatenate(
        [np.cos(angles / 2)[..., None], np.sin(angles / 2)[..., None] * axis], 2
    )
    return {
        "takes": np.array([TAKE]),
        "bones": np.array(_TAKE_BONES),
        "calib_clavicle": np.stack([np.eye(3)] * 2),
        "calib_elbow_axis": np.array([[0, -1.0, 0], [0, 1.0, 0]]),
        f"{TAKE}/q": rotations.astype(np.float16),
        f"{TAKE}/root": np.stack([np.array([0, 0.9, 0.1 * i]) for i in range(FRAMES)]),
        f"{TAKE}/off": offsets,
        f"{TAKE}/sole": np.array([[0, 1.0, 0]] * 2),
        f"{TAKE}/leg": np.float32(LEG),
    }


def write_assets(folder: Path) -> Path:
    """The whole folder."""
    for name in ("skins", "wear", "env"):
        (folder / name).mkdir(parents=True)
    body = _body()
    np.savez(folder / "body.npz", **body)
    targets = {}
    for sex, age in product(("female", "male"), ("young", "old")):
        names = [f"{a}-{sex}-{age}" for a in ("caucasian", "african", "asian")]
        strengths = ("min", "average", "max")
        names += [
            f"universal-{sex}-{age}-{m}muscle-{w}weight" for m, w in product(strengths, strengths)
        ]
        for name in names:
            # Full strength: the head's box is 1 dm further ahead.
            targets[f"{name}/i"] = corners_of("Head").astype(np.uint16)
            move = [0, 0, 1.0 if name == "asian-male-old" else 0.0]
            targets[f"{name}/d"] = np.tile(move, (8, 1)).astype(np.float16)
    np.savez(folder / "targets.npz", **targets)
    trunk, feet = ["Spine", "Spine1"], ["LeftFoot", "RightFoot"]
    wear = {"female_casualsuit01": trunk, "male_casualsuit01": trunk, "shoes01": feet}
    for name, bones in {**wear, "long01": ["Head"], "short01": ["Head"]}.items():
        np.savez(folder / f"wear/{name}.npz", **garment(bones, 0.2))
        cloth = np.full((8, 8, 4), (40, 60, 160, 255), np.uint8)
        cv2.imwrite(str(folder / f"wear/{name}_diffuse.png"), cloth)
    for sex, tone in product(("female", "male"), ("light", "dark")):
        skin = np.full((8, 8, 3), (120, 150, 200) if tone == "light" else (40, 60, 90), np.uint8)
        cv2.imwrite(str(folder / f"skins/young_{tone}skinned_{sex}.jpg"), skin)
    np.savez(folder / "motions.npz", **_motion())
    panorama = np.full((256, 512, 3), 90, np.uint8)
    cv2.imwrite(str(folder / "env/hall.jpg"), panorama)
    np.savez(folder / "env/light.npz", hall=np.ones((64, 128, 3), np.float16))
    return folder


def opengl_is_missing():
    """Whether nothing can be rendered here."""
    try:
        context.open_context().release()
    except Pose3dError:
        return True
    return False
