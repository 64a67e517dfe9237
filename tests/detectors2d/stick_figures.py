"""Pictures of stick figures with their joints, as COCO's annotation files name them."""

import json

import cv2
import numpy as np

# x, y of COCO's joints in a unit square, facing the camera.
STANDING = np.array(
    [
        (0.50, 0.08),
        (0.54, 0.05),
        (0.46, 0.05),
        (0.58, 0.07),
        (0.42, 0.07),
        (0.66, 0.22),
        (0.34, 0.22),
        (0.78, 0.36),
        (0.22, 0.36),
        (0.86, 0.50),
        (0.14, 0.50),
        (0.60, 0.54),
        (0.40, 0.54),
        (0.62, 0.76),
        (0.38, 0.76),
        (0.64, 0.97),
        (0.36, 0.97),
    ]
)
LIMBS = [(5, 7), (7, 9), (6, 8), (8, 10), (5, 6), (5, 11), (6, 12), (11, 12)]
LIMBS += [(11, 13), (13, 15), (12, 14), (14, 16), (0, 5), (0, 6)]
SIZE = (160, 128)  # width, height


def write_set(folder, pictures=4, seed=0):
    """Two people in every picture, in folder/images; the path of folder/people.json."""
    generator = np.random.default_rng(seed)
    images, annotations = [], []
    (folder / "images").mkdir(parents=True)
    for image_id in range(10, 10 + pictures):
        name = f"{image_id:06d}.png"
        canvas = np.full((SIZE[1], SIZE[0], 3), 40, np.uint8)
        for place in (10, 90):
            height = generator.uniform(90, 110)
            joints = STANDING * (0.55 * height, height) + (place, generator.uniform(6, 14))
            joints += generator.normal(0, 2, joints.shape)
            _draw(canvas, joints)
            low, high = joints.min(0) - 4, joints.max(0) + 4
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "iscrowd": 0,
                    "bbox": [*low, *(high - low)],
                    "area": 0.5 * np.prod(high - low),
                    "num_keypoints": 17,
                    "keypoints": np.column_stack([joints, np.full(17, 2)]).ravel().tolist(),
                }
            )
        cv2.imwrite(str(folder / "images" / name), canvas)
        images.append({"id": image_id, "file_name": name, "width": SIZE[0], "height": SIZE[1]})
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }
    (folder / "people.json").write_text(json.dumps(content))
    return folder / "people.json"


def _draw(canvas, joints):
    points = [tuple(int(v) for v in np.rint(joint)) for joint in joints]
    for a, b in LIMBS:
        cv2.line(canvas, points[a], points[b], (120, 120, 120), 3)
    for number, point in enumerate(points):
        cv2.circle(canvas, point, 3, (15 * number, 255 - 15 * number, 255 * (number % 2)), -1)
