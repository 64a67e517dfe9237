"""A small detector of people of our own: a peak and a box for everybody, in one pass.

Zhou, Wang, Krähenbühl: "Objects as Points" (CenterNet), 2019: a heat map with a peak at the middle
of every person; the four sides are read off at the peak, as distances, as in FCOS (Tian, Shen,
Chen, He, ICCV 2019). The maps of 1/8 resolution come from a residual network (He et al., CVPR 2016)
whose coarser maps flow back as in FPN (Lin et al., CVPR 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from detectors2d.backends import fold_norms
from detectors2d.hrnet import IMAGE_MEAN, IMAGE_STD, BasicBlock
from detectors2d.people.protocol import Found, check_images
from weights import store
from weights.errors import Pose3dError
from weights.files import sha256
from weights.fitting import misfit
from weights.reading import read_weights, write_weights

NAME = "centernet"
STRIDE = 8  # px of the input a cell of the maps
PIXELS = 60_000  # of the input, about
STEP = 32  # px: sides of the input are multiples
_REACH = 80  # cells, the largest distance of a side from the middle
MOST = 100  # people in a picture
LEAST_SCORE = 0.05  # of what is measured
# Of what is used: 0.5 is as likely somebody as not, and every box costs a pass of the network of
# joints, so that the thirty of a score of 0.1 in every picture must not go on.
USEFUL_SCORE = 0.35
SAME = 0.6  # boxes that overlap more, as intersection over union, are of one person


class CenterNet(nn.Module):
    """Middles and boxes of people.

    Parameters
    ----------
    widths : channels of the maps of 1/4, 1/8, 1/16 and 1/32 of the resolution
    blocks : how many residual blocks each of them has
    neck : channels of the maps that the answers are read from
    pixels : how many the input has, about, where it is used (``input_size``)

    ``forward``: images (N, 3, H, W), RGB in [0, 1] less ``IMAGE_MEAN`` over ``IMAGE_STD``, H and W
    multiples of 32 -> (N, 5, H / 8, W / 8) float32: the logit of a person's middle, and the
    distances of the left, top, right and lower side from the cell's middle, input px, above 0.
    """

    def __init__(
        self,
        widths: tuple[int, int, int, int] = (24, 48, 96, 128),
        blocks: tuple[int, int, int, int] = (1, 2, 2, 2),
        neck: int = 48,
        pixels: int = PIXELS,
    ) -> None:
        super().__init__()
        self.config = {
            "widths": list(widths),
            "blocks": list(blocks),
            "neck": neck,
            "pixels": pixels,
        }
        self.pixels = pixels
        self.stages = nn.ModuleList(
            nn.Sequential(
                # To a quarter at once: maps of half the resolution would take most of the time.
                *_norm_relu(before, width, *((8, 4) if before == 3 else (3, 2))),
                *(BasicBlock(width) for _ in range(count)),
            )
            for before, width, count in zip((3, *widths[:3]), widths, blocks, strict=True)
        )
        self.context = nn.Sequential(*_norm_relu(3 * widths[3], widths[3], 1, 1))
        self.laterals = nn.ModuleList(
            nn.Sequential(*_norm_relu(width, neck, 1, 1)) for width in widths[1:]
        )
        self.smooth = nn.ModuleList(nn.Sequential(*_norm_relu(neck, neck, 3, 1)) for _ in range(2))
        self.head = nn.Sequential(*_norm_relu(neck, neck, 3, 1), *_norm_relu(neck, neck, 3, 1))
        self.last = nn.Conv2d(neck, 5, 1)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # Training begins with nearly no middles, as it is (prior 0.01), and boxes of 8 x 12 cells.
        nn.init.normal_(self.last.weight, std=0.01)
        with torch.no_grad():
            self.last.bias.copy_(torch.tensor([-4.6, *np.log([4, 6, 4, 6])]))

    def forward(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or images.shape[1] != 3 or any(n % STEP for n in images.shape[2:]):
            raise ValueError(
                f"CenterNet takes (N, 3, H, W) with H and W multiples of 32, got "
                f"{tuple(images.shape)}"
            )
        maps, x = [], images
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        # People near the camera fill the picture: look further (pooling as in YOLO's SPPF).
        wide = functional.max_pool2d(x, 5, 1, 2)
        x = self.context(torch.cat([x, wide, functional.max_pool2d(wide, 5, 1, 2)], 1))
        x = self.laterals[2](x)
        for level, smooth in zip((1, 0), self.smooth, strict=True):
            up = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = smooth(self.laterals[level](maps[level + 1]) + up)
        x = self.head(x)
        # Not in half precision: sides of 300 px would be read to 2 px.
        with torch.autocast(x.device.type, enabled=False):
            x = self.last(x.to(self.last.weight.dtype))
            sides = STRIDE * x[:, 1:].clamp(-3, float(np.log(_REACH))).exp()
            return torch.cat([x[:, :1], sides], 1)


def _norm_relu(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
    padding = (kernel - stride + 1) // 2
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


class CenterNetPeople:
    """People with a trained ``CenterNet``.

    Parameters
    ----------
    weights : the path of a weights file that ``save_people`` wrote, else the shipped one
    device : where the network runs

    Raises
    ------
    Pose3dError
        for weights that are not readable, or of another network.
    """

    def __init__(
        self, weights: str | Path | None = None, device: torch.device | str = "cpu"
    ) -> None:
        path = Path(store.path_of(NAME) if weights is None else weights)
        network = load_people(path)
        name = NAME if weights is None else path.name
        self.weights_identity = {"name": name, "network": NAME, "sha256": sha256(path)}
        self.device = torch.device(device)
        self.pixels = network.pixels
        self.network = fold_norms(network).to(self.device, memory_format=torch.channels_last)

    def detect(self, images: Sequence[np.ndarray]) -> list[Found]:
        """See ``People``. Boxes are within the picture, the best first."""
        check_images(images)
        found: list[Found | None] = [None] * len(images)
        # Pictures of one size go through together.
        for shape in dict.fromkeys(image.shape for image in images):
            same = [n for n, image in enumerate(images) if image.shape == shape]
            results = detect_batch(
                self.network, [images[n] for n in same], self.pixels, device=self.device
            )
            for n, (boxes, scores) in zip(same, results, strict=True):
                useful = scores >= USEFUL_SCORE
                found[n] = boxes[useful], scores[useful]
        return found


@torch.inference_mode()
def detect_batch(
    network: nn.Module,
    images: Sequence[np.ndarray],
    pixels: int = PIXELS,
    *,
    device: torch.device | str = "cpu",
    precision: torch.dtype = torch.float32,
) -> list[Found]:
    """Boxes and scores in pictures (H, W, 3) uint8 RGB of one size, with a ``CenterNet``."""
    height, width = images[0].shape[:2]
    size = input_size((width, height), pixels)
    shrinks = size[0] < width
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    batch = np.stack([cv2.resize(image, size, interpolation=way) for image in images])
    lowered = precision is not torch.float32
    with torch.autocast(torch.device(device).type, precision, enabled=lowered):
        maps = network(prepare(torch.from_numpy(batch).to(device)))
    factors = np.array([width / size[0], height / size[1]] * 2, np.float32)
    limits = np.array([width, height] * 2, np.float32)
    return [
        ((boxes * factors).clip(0, limits), scores) for boxes, scores in decode(maps.float().cpu())
    ]


def input_size(size: tuple[int, int], pixels: int) -> tuple[int, int]:
    """(w, h) px to which pictures of ``size`` = (w, h) are brought: about as many as ``pixels``.

    Both are multiples of 32, so the shape may change a little.
    """
    factor = (pixels / (size[0] * size[1])) ** 0.5
    width, height = (max(1, min(40, round(side * factor / STEP))) * STEP for side in size)
    return width, height


def prepare(images: Tensor) -> Tensor:
    """The network's input (N, 3, H, W) of pictures (N, H, W, 3) uint8 RGB."""
    mean, std = (255 * torch.tensor(v, device=images.device) for v in (IMAGE_MEAN, IMAGE_STD))
    return ((images.float() - mean) / std).permute(0, 3, 1, 2)  # channels last in memory


def decode(maps: Tensor) -> list[Found]:
    """Boxes (n, 4) input px and scores (n,), the best first, from the maps of ``CenterNet``.

    A person is a cell whose logit is the highest among its 3 x 3, and whose box is not that of a
    better one.
    """
    middles = maps[:, 0]
    highest = functional.max_pool2d(maps[:, :1], 3, 1, 1)[:, 0]
    scores = torch.where(middles == highest, middles.sigmoid(), 0.0).numpy()
    results = []
    for score, sides in zip(scores, maps[:, 1:].numpy(), strict=True):
        rows, columns = np.nonzero(score >= LEAST_SCORE)
        best = np.argsort(-score[rows, columns], kind="stable")[:MOST]
        rows, columns = rows[best], columns[best]
        middle = (np.stack([columns, rows], -1) + 0.5) * STRIDE
        left_top, right_low = np.split(sides[:, rows, columns].T, 2, axis=1)
        boxes = np.concatenate([middle - left_top, middle + right_low], 1).astype(np.float32)
        kept = _without_doubles(boxes)
        results.append((boxes[kept], score[rows, columns][kept]))
    return results


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union (N, M) of boxes (N, 4) with others (M, 4)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = (high - low).clip(0).prod(-1)
    areas, of_others = ((b[:, 2:] - b[:, :2]).clip(0).prod(-1) for b in (boxes, others))
    return common / np.maximum(areas[:, None] + of_others - common, 1e-9)


def _without_doubles(boxes: np.ndarray) -> list[int]:
    """Rows of boxes, the best first, that overlap none before them too much."""
    kept: list[int] = []
    for row, alike in enumerate(overlaps(boxes, boxes)):
        if not (alike[kept] > SAME).any():
            kept.append(row)
    return kept


def save_people(network: CenterNet, path: str | Path, training: dict, half: bool = True) -> None:
    """Write a network as a weights file; ``training`` says how it was trained."""
    header = {"network": NAME, "config": network.config, "training": training}
    write_weights(path, network.state_dict(), header, half=half)


def load_people(path: str | Path) -> CenterNet:
    """A trained network, in evaluation mode. Raises Pose3dError unless the file holds one."""
    tensors, header = read_weights(path)
    try:
        if header["network"] != NAME:
            raise Pose3dError(f"{path}: weights of {header['network']}, not of {NAME}")
        network = CenterNet(**header["config"])
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise Pose3dError(f"{path}: header of the weights file is not usable ({error})") from None
    if reason := misfit(network.state_dict(), tensors, []):
        raise Pose3dError(f"{path}: weights do not fit {NAME}: {reason}")
    network.load_state_dict(tensors)
    return network.eval()
