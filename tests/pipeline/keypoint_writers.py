"""Writes tiny keypoint files as their programs do. Orders are typed from the programs' documents.

A recording is a list of frames; a frame a list of people (keypoints (17, 2) px, scores (17,),
id or None) in COCO's order.
"""

import csv
import json
from pathlib import Path

import numpy as np

from pipeline.keypoint_files.checks import in_pixels
from pipeline.keypoint_files.skeletons import to_h36m

SIZE = 1000, 900

# Twelve random poses of COCO and Halpe, and what the authors' own code made of them.
with np.load(Path(__file__).parent.parent / "data" / "joint_maps.npz") as _file:
    GOLDEN = dict(_file)
# One person in twelve frames.
RECORDING = [
    [(points, scores, None)]
    for points, scores in zip(GOLDEN["coco"], GOLDEN["coco_scores"], strict=True)
]

# Places of COCO's 17 joints (nose, eyes, ears, shoulders, ..., ankles; left first).
BODY_25 = [0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11]
COCO_18 = [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]
BLAZEPOSE = [0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
COCO = [
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
]

BLAZE = [
    "nose",
    "left_eye_inner",
    "left_eye",
    "left_eye_outer",
    "right_eye_inner",
    "right_eye",
    "right_eye_outer",
    "left_ear",
    "right_ear",
    "mouth_left",
    "mouth_right",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_pinky",
    "right_pinky",
    "left_index",
    "right_index",
    "left_thumb",
    "right_thumb",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_heel",
    "right_heel",
    "left_foot_index",
    "right_foot_index",
]


def with_size(write, **options):
    """A writer of a format that tells or needs the size of the pictures."""
    return lambda path, frames: write(path, frames, size=SIZE, **options)


def h36m_of(file, track=0):
    """Keypoints (n, 17, 2) px and scores (n, 17) of a person, as they are lifted."""
    file = in_pixels(file, SIZE)
    return to_h36m(file.layout.kind, file.tracks[track].keypoints, file.tracks[track].scores)


def placed(keypoints, scores, places, count):
    """(count, 3): joints at their places in another order, the others not found."""
    rows = np.zeros((count, 3))
    rows[places, :2], rows[places, 2] = keypoints, scores
    return rows


def flat(keypoints, scores):
    return np.column_stack([keypoints, scores]).ravel().tolist()


def openpose(path, frames, places=BODY_25, count=25, first=0):
    path.mkdir()
    for number, people in enumerate(frames, first):
        listed = [
            {
                "person_id": [-1 if own is None else own],
                "pose_keypoints_2d": placed(points, scores, places, count).ravel().tolist(),
                "face_keypoints_2d": [],
                "hand_left_keypoints_2d": [],
                "hand_right_keypoints_2d": [],
                "pose_keypoints_3d": [],
            }
            for points, scores, own in people
        ]
        name = f"dance_{number:012d}_keypoints.json"
        (path / name).write_text(json.dumps({"version": 1.3, "people": listed}))
    return path


def openpose_18(path, frames):
    return openpose(path, frames, COCO_18, 18)


def _entries(frames, image, id_key):
    entries = []
    for number, people in enumerate(frames):
        for points, scores, own in people:
            entry = {"image_id": image(number), "category_id": 1, "keypoints": flat(points, scores)}
            entry |= {"score": 2.9, "box": [1.0, 2.0, 30.0, 40.0]}
            entries.append(entry | ({} if own is None else {id_key: own}))
    return entries


def alphapose(path, frames, image=lambda number: f"{number}.jpg"):
    path.write_text(json.dumps(_entries(frames, image, "idx")))
    return path


def alphapose_open(path, frames, people_key="people", joints_key="pose_keypoints_2d"):
    images = {}
    for number, people in enumerate(frames):
        listed = [
            {joints_key: placed(points, scores, COCO_18, 18).ravel().tolist()}
            for points, scores, _ in people
        ]
        if listed:
            images[f"{number}.jpg"] = {"version": "AlphaPose v0.3", people_key: listed}
    path.write_text(json.dumps(images))
    return path


def alphapose_cmu(path, frames):
    return alphapose_open(path, frames, "bodies", "joints")


def coco(path, frames, image=lambda number: 139 + number):
    path.write_text(json.dumps(_entries(frames, image, "track_id")))
    return path


def mmpose_list(frames, first):
    return [
        {
            "frame_id": number,
            "instances": [
                {
                    "keypoints": np.asarray(points).tolist(),
                    "keypoint_scores": np.asarray(scores).tolist(),
                    "bbox": [[1.0, 2.0, 30.0, 40.0]],
                    "bbox_score": 0.9,
                }
                for points, scores, _ in people
            ],
        }
        for number, people in enumerate(frames, first)
    ]


def mmpose_demo(path, frames, names=COCO):
    names = {str(index): name for index, name in enumerate(names)}
    meta = {"dataset_name": "coco", "num_keypoints": len(names), "keypoint_id2name": names}
    meta["keypoint_colors"] = {"__ndarray__": [[51, 153, 255]], "dtype": "uint8", "shape": [1, 3]}
    value = {"meta_info": meta, "instance_info": mmpose_list(frames, 1)}
    path.write_text(json.dumps(value, indent="\t"))
    return path


def mmpose_inferencer(path, frames):
    path.write_text(json.dumps(mmpose_list(frames, 0)))
    return path


def landmarks(person, size):
    points, scores, _ = person
    return placed(np.divide(points, size), scores, BLAZEPOSE, 33)


def mediapipe_json(path, frames, size, wrap=lambda listed: listed):
    entries = []
    for people in frames:
        marks = [
            {"x": x, "y": y, "z": 0.0, "visibility": v} for x, y, v in landmarks(people[0], size)
        ]
        entries.append(wrap(marks))
    path.write_text(json.dumps(entries))
    return path


def mediapipe_csv(path, frames, size, column="{axis}{number}", names=None, first=0):
    names = names or [str(first + index) for index in range(33)]
    header = [
        column.format(axis=axis, number=name)
        for name in names
        for axis in ("x", "y", "z", "visibility" if "_" in column or "." in column else "v")
    ]
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        for people in frames:
            marks = np.insert(landmarks(people[0], size), 2, 0.0, axis=1)
            writer.writerow(marks.ravel().tolist())
    return path


def videopose3d(path, frames, size, name="dance.mp4"):
    points = np.array([people[0][0] for people in frames], np.float32)
    metadata = {
        "layout_name": "coco",
        "num_joints": 17,
        "keypoints_symmetry": [list(range(1, 17, 2)), list(range(2, 17, 2))],
        "video_metadata": {name: {"w": size[0], "h": size[1]}},
    }
    content = {"positions_2d": {name: {"custom": [points]}}, "metadata": metadata}
    with path.open("wb") as stream:
        np.savez_compressed(stream, **{key: np.array(v, object) for key, v in content.items()})
    return path


def deeplabcut(path, frames, names=COCO, individuals=()):
    """As many individuals as there are people; without names of theirs, three rows on top."""
    people = list(individuals) or ["-"]
    columns = [(who, name, axis) for who in people for name in names for axis in "xyl"]
    rows = [["scorer"] + ["DLC_resnet50_dance"] * len(columns)]
    if individuals:
        rows.append(["individuals"] + [who for who, _, _ in columns])
    rows.append(["bodyparts"] + [name for _, name, _ in columns])
    axes = {"x": "x", "y": "y", "l": "likelihood"}
    rows.append(["coords"] + [axes[axis] for _, _, axis in columns])
    for number, listed in enumerate(frames):
        cells = [value for points, scores, _ in listed for value in flat(points, scores)]
        rows.append([number, *("" if np.isnan(cell) else cell for cell in cells)])
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return path


def own(path, frames, size):
    value = {
        "format": "pose3d-keypoints",
        "version": 1,
        "joint_names": COCO,
        "size": list(size),
        "frame_rate": "30000/1001",
        "frames": [
            {
                "people": [
                    {
                        "id": number or 1,
                        "keypoints": np.asarray(points).tolist(),
                        "scores": np.asarray(scores).tolist(),
                    }
                    for points, scores, number in people
                ]
            }
            for people in frames
        ],
    }
    path.write_text(json.dumps(value))
    return path
