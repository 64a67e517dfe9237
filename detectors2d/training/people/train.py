"""The training of the small detector of people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from detectors2d.people.centernet import (
    CenterNet,
    detect_batch,
    load_people,
    prepare,
    save_people,
)
from detectors2d.people.protocol import Found
from detectors2d.training import loop
from detectors2d.training.people.compose import (
    Sample,
    Stock,
    compose,
    mirrored,
    recoloured,
    still,
)
from detectors2d.training.people.evaluate import best_score, evaluate
from detectors2d.training.people.targets import detection_loss, targets
from weights.files import sha256

WEIGHTS = "people.safetensors"
# (w, h) px of training pictures, one of them a batch. People are of all sizes in all of them, so
# that training may begin with small pictures, which take less than half of the time.
COARSE = ((192, 128), (160, 160), (128, 192), (224, 128))
FINE = ((320, 192), (256, 224), (224, 256), (192, 320))
# A batch of pictures is seen so often, mirrored and with other colours, and so many steps apart:
# composing takes longer than learning.
USES, APART = 3, 8
VALIDATION_SIZE = (384, 256)


@dataclass(frozen=True)
class Recipe:
    """A run; the same recipe, stock and seed give the same weights on one machine.

    Fields are those of ``detectors2d.training.recipes.Recipe``; ``batch`` counts pictures, and
    ``coarse`` is the share of the steps, the first ones, that learn from small pictures.
    """

    steps: int = 6000
    batch: int = 48
    rate: float = 2.5e-3
    warmup: int = 200
    weight_decay: float = 0.02
    averaging: float = 0.995
    precision: str = "bf16"
    coarse: float = 0.6
    seed: int = 0

    def __post_init__(self) -> None:
        loop.check(self)


class Pictures(torch.utils.data.Dataset):
    """Composed pictures with what is to be answered; ``(step, place)`` of a batch names one.

    A sample is a picture (h, w, 3) uint8 RGB, and heat and sides of ``targets``. It depends on key
    and recipe alone, its size on step and recipe.
    """

    def __init__(self, stock: Stock, recipe: Recipe) -> None:
        self.stock, self.recipe = stock, recipe
        self._turn, self._kept = -1, {}

    def __getitem__(self, key: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        step, place = key
        sample = self._composed(step, place)
        rng = np.random.default_rng([self.recipe.seed, 1, step, place])
        if rng.random() < 0.5:
            sample = mirrored(sample)
        image = recoloured(sample.image, rng, 0.5)
        return image, *targets(sample.boxes, sample.doubtful, image.shape[1::-1])

    def _composed(self, step: int, place: int) -> Sample:
        turn, seed = step // (APART * USES), self.recipe.seed
        if turn != self._turn:
            self._turn, self._kept = turn, {}
        batch = turn * APART + step % APART
        if (batch, place) not in self._kept:
            sizes = COARSE if turn * APART * USES < self.recipe.coarse * self.recipe.steps else FINE
            size = sizes[int(np.random.default_rng([seed, batch]).integers(len(sizes)))]
            sample = compose(self.stock, size, np.random.default_rng([seed, 0, batch, place]))
            self._kept[batch, place] = sample
        return self._kept[batch, place]


def train(
    recipe: Recipe,
    stock: Stock,
    output: str | Path,
    *,
    validation: Stock | None = None,
    validation_pictures: int = 200,
    measure_every: int = 500,
    init: str | Path | None = None,
    device: str = "cpu",
    workers: int = 0,
    data_name: str = "",
    tell: Callable[[str], None] = print,
) -> Path:
    """Train a network, or go on with it.

    Parameters
    ----------
    stock : what pictures are made from; ``validation`` another one, from which so many pictures are
        composed, and of whose places as many are taken as they are, to measure
    output : folder of the run: ``checkpoint.pt``, ``log.csv`` and ``people.safetensors``
    init : weights file to start from
    device : "cpu", "cuda" or "cuda:N"; workers : processes that compose pictures beside this one
    data_name : how the weights file names the data
    tell : is given a line for every measurement

    Returns
    -------
    the path of the weights file, which is written at every measurement and at the end, then, where
    there is a validation, with scores that are calibrated on it

    Raises
    ------
    Pose3dError
        if the folder holds a run of another recipe, or ``init`` is not usable.
    """
    folder, device = Path(output), loop.usable(device)
    # OpenCV's threads do not outlive the fork of a worker, which would wait for them for ever.
    cv2.setNumThreads(1)
    torch.manual_seed(recipe.seed)
    network = load_people(init) if init else CenterNet()
    known = {} if validation is None else known_pictures(validation, validation_pictures)
    told = {
        **asdict(recipe),
        "data": data_name,
        "people": len(stock.people),
        "places": len(stock.places),
        "init": Path(init).name if init else "",
        "init_sha256": sha256(init) if init else "",
    }

    def loss(learner: nn.Module, batch: list[Tensor]) -> Tensor:
        images, heat, sides = (part.to(device) for part in batch)
        precision = loop.PRECISIONS[recipe.precision]
        with torch.autocast(device.type, precision, enabled=recipe.precision != "fp32"):
            maps = learner(prepare(images))
        return detection_loss(maps, heat, sides)

    first = loop.run(
        recipe,
        network,
        folder,
        told,
        batches=lambda *where: _batches(recipe, stock, *where, workers),
        loss=loss,
        measure=lambda network: measure(network, known, recipe.precision, device),
        save=lambda network, training: save_people(network, folder / WEIGHTS, training),
        measure_every=measure_every,
        device=device,
        tell=tell,
    )
    if first and known:
        network = load_people(folder / WEIGHTS)
        calibrate(network, known)
        header = told | {"steps_made": recipe.steps, "calibrated": True}
        save_people(network, folder / WEIGHTS, header)
    return folder / WEIGHTS


def calibrate(network: CenterNet, known: dict[str, list[Sample]]) -> None:
    """Move the scores so that 0.5, as likely somebody as not, gives the highest F1.

    The focal loss leaves them too low: most cells are nobody's middle.
    """
    samples = [sample for kind in known.values() for sample in kind]
    best = best_score(_found(network, samples, "fp32", torch.device("cpu")), samples)
    with torch.no_grad():
        network.last.bias[0] -= float(np.log(best / (1 - best)))


def known_pictures(stock: Stock, count: int) -> dict[str, list[Sample]]:
    """Pictures to measure on: "composed" ones, and "rendered" ones, places as they are."""
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(stock.places))[:count]
    return {
        "composed": [
            compose(stock, VALIDATION_SIZE, np.random.default_rng([0, n])) for n in range(count)
        ],
        "rendered": [still(stock, int(n), VALIDATION_SIZE) for n in chosen],
    }


def measure(
    network: nn.Module, known: dict[str, list[Sample]], precision: str, device: torch.device
) -> dict[str, float]:
    """``evaluate`` on every kind of pictures, as KIND_MEASURE."""
    row = {}
    for kind, samples in known.items():
        found = evaluate(_found(network, samples, precision, device), samples)
        row |= {f"{kind}_{name}": value for name, value in found.items()}
    return row


def _found(
    network: nn.Module, samples: list[Sample], precision: str, device: torch.device
) -> list[Found]:
    network.eval()
    results = []
    for sample in samples:
        h, w = sample.image.shape[:2]
        options = {"device": device, "precision": loop.PRECISIONS[precision]}
        results += detect_batch(network, [sample.image], h * w, **options)
    return results


def _batches(
    recipe: Recipe, stock: Stock, done: int, rank: int, processes: int, workers: int
) -> Iterator[list[Tensor]]:
    """This process's parts of the batches from step ``done`` on."""
    keys: Sequence[list[tuple[int, int]]] = [
        [(step, place) for place in range(rank, recipe.batch, processes)]
        for step in range(done, recipe.steps)
    ]
    return loop.samples(Pictures(stock, recipe), keys, workers)
