"""AlphaPose's alphapose-results.json, in all three of its ``--format``s.

By default a list with an entry for every person: ``image_id`` (the image's name), ``keypoints``
(x, y, score of 17, 26, 133 or 136 joints in a row), ``score``, ``box`` and, where people were
tracked, ``idx``. "cmu" and "open" are a dict: image's name -> ``bodies`` or ``people``, each with
``joints`` or ``pose_keypoints_2d`` of OpenPose's 18 joints. Frames without people are left out in
all of them; the images' names say where.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.keypoint_files.content import Content, triples, whole
from pipeline.keypoint_files.names import COCO_18, names_by_count
from pipeline.keypoint_files.people import Found, Sighting
from weights.errors import Pose3dError

_FORMS = (("bodies", "joints"), ("people", "pose_keypoints_2d"))


def recognises(content: Content) -> bool:
    """People with the name of an image, or images with people."""
    value = content.value
    if content.kind != "json" or not value:
        return False
    if isinstance(value, list):
        first = value[0]
        return (
            isinstance(first, dict)
            and isinstance(first.get("image_id"), str)
            and "keypoints" in first
        )
    image = next(iter(value.values()))
    return isinstance(image, dict) and any(isinstance(image.get(key), list) for key, _ in _FORMS)


def read(content: Content) -> Found:
    """People of all frames, by the numbers in the images' names."""
    if isinstance(content.value, list):
        return read_entries(content, ("idx",))
    frames, warnings = frame_numbers(list(content.value))
    sightings = []
    for image, listed in content.value.items():
        for people, joints in _FORMS:
            for person in listed.get(people, ()) if isinstance(listed, dict) else ():
                where = f"{content.path}: {image}"
                if not isinstance(person, dict) or joints not in person:
                    raise Pose3dError(f"{where}: a person without {joints}")
                marks = triples(person[joints], where)
                if len(marks) != len(COCO_18):
                    raise Pose3dError(f"{where}: {len(marks)} joints a person, not OpenPose's 18")
                sightings.append(Sighting(frames[image], None, marks[:, :2], marks[:, 2]))
    return Found(COCO_18, sightings, warnings=warnings)


def read_entries(content: Content, id_keys: tuple[str, ...]) -> Found:
    """A list of people with ``image_id`` and ``keypoints``, as AlphaPose and COCO's results."""
    for index, entry in enumerate(content.value):
        if not isinstance(entry, dict) or not {"image_id", "keypoints"} <= entry.keys():
            raise Pose3dError(f"{content.path}: entry {index} has no image_id or no keypoints")
        if not isinstance(entry["image_id"], str | int):
            raise Pose3dError(f"{content.path}: entry {index}: image_id is no name and no number")
    frames, warnings = frame_numbers([entry["image_id"] for entry in content.value])
    count, sightings = 0, []
    for index, entry in enumerate(content.value):
        marks = triples(entry["keypoints"], f"{content.path}: entry {index}")
        if count not in (0, len(marks)):
            raise Pose3dError(
                f"{content.path}: entry {index} has {len(marks)} joints, those before {count}"
            )
        count = len(marks)
        own = next((whole(entry[key]) for key in id_keys if key in entry), None)
        sightings.append(Sighting(frames[entry["image_id"]], own, marks[:, :2], marks[:, 2]))
    return Found(names_by_count(count, str(content.path)), sightings, warnings=warnings)


def frame_numbers(images: Sequence[str | int]) -> tuple[dict[str | int, int], list[str]]:
    """Frames, from 0, of images that a file names by a number or by a file's name; warnings.

    AlphaPose calls the frames of a video 0.jpg, 1.jpg, ... and leaves out those without people;
    other numbers count from the smallest. Numbers too far apart to be frames are put in order.
    """
    images = list(dict.fromkeys(images))
    digits = [re.findall(r"\d+", str(image)) for image in images]
    numbers = [int(found[-1]) if found else -1 for found in digits]
    if len(set(numbers)) < len(images) or min(numbers) < 0:
        order = sorted(images, key=str)
        return {image: n for n, image in enumerate(order)}, [
            "the images' names do not number them: taken as consecutive frames, sorted by name"
        ]
    if all(re.fullmatch(r"(0|[1-9]\d*)\.\w+", str(image)) for image in images):
        return dict(zip(images, numbers, strict=True)), []
    first, last = min(numbers), max(numbers)
    if last - first >= 100 * len(images):
        order = sorted(range(len(images)), key=numbers.__getitem__)
        return {images[index]: n for n, index in enumerate(order)}, [
            f"the images are numbered from {first} to {last}, too far apart for frames: taken as "
            "consecutive ones"
        ]
    warnings = [f"image {first} is taken for the first frame"] if first > 1 else []
    return {image: n - first for image, n in zip(images, numbers, strict=True)}, warnings
