"""PoseFormer and Strided Transformer, held against their authors' networks.

The same weights must give the same joints; MixSTE's turn is in ``test_mixste``. Tolerances are a
few times the rounding of float32 and below the smallest mistake that a careful reader can make.
"""

import copy
import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lifters3d.poseformer import PoseFormer
from lifters3d.strided import Strided, UnbiasedNorm
from tests.filling import filled, weights_crc32

DATA = Path(__file__).parents[1] / "data"
# Network, number of entries of its state dict, tolerance.
NETWORKS = {
    "poseformer_f9": (functools.partial(PoseFormer, 9), 110, 4e-6),
    "poseformer_f27": (functools.partial(PoseFormer, 27), 110, 4e-6),
    "poseformer_demo_f9": (functools.partial(PoseFormer, 9, variant="demo"), 108, 4e-6),
    "strided_t27": (functools.partial(Strided, 27), 125, 2e-5),
    "strided_t81": (functools.partial(Strided, 81), 125, 2e-5),
}


@dataclass
class Case:
    golden: dict[str, np.ndarray]
    lifter: nn.Module
    entries: int
    tolerance: float

    @property
    def authors_entries(self) -> list[tuple[str, tuple[int, ...], str]]:
        entries = json.loads(bytes(self.golden["keys_json"]))
        return [(name, tuple(shape), dtype) for name, shape, dtype in entries]


@pytest.fixture(scope="module", params=NETWORKS)
def case(request):
    """A network with the golden weights, and what the authors' one answers."""
    builder, entries, tolerance = NETWORKS[request.param]
    with np.load(DATA / f"{request.param}.npz") as file:
        golden = dict(file)
    with torch.device("meta"):
        lifter = builder()
    case = Case(golden, lifter.eval(), entries, tolerance)
    arrays = {name: filled(name, shape) for name, shape, _ in case.authors_entries}
    assert weights_crc32(arrays.values()) == golden["weights_crc32"]
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    lifter.load_state_dict(tensors, strict=True, assign=True)
    return case


@torch.inference_mode()
def errors(case: Case, lifter: nn.Module) -> dict[str, float]:
    """Largest distance of each output from the authors'."""
    keypoints = torch.from_numpy(case.golden["input"])
    outputs = {"output": lifter(keypoints)}
    if "output_vte" in case.golden:
        outputs["single"], outputs["output_vte"] = lifter.forward_training(keypoints)
    expected = {"single": case.golden["output"]} | case.golden
    found = {}
    for name, output in outputs.items():
        assert output.shape == expected[name].shape
        found[name] = float(np.abs(output.numpy() - expected[name]).max())
    return found


def test_entries_are_the_authors(case):
    mine = [
        (name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in case.lifter.state_dict().items()
    ]
    assert mine == case.authors_entries
    assert len(mine) == case.entries
    assert sum(p.numel() for p in case.lifter.parameters()) == case.golden["n_params"]


def test_outputs_are_the_authors(case):
    found = errors(case, case.lifter)
    assert "output_vte" in found or isinstance(case.lifter, PoseFormer)
    assert max(found.values()) < case.tolerance, found


def test_bfloat16_autocast_stays_near(case):
    keypoints = torch.from_numpy(case.golden["input"])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        output = case.lifter(keypoints)
    assert output.dtype == torch.float32
    expected = case.golden["output"]
    # Measured: 0.004 to 0.007 of the spread of the joints.
    error = np.sqrt(np.square(output.numpy() - expected).mean()) / expected.std()
    assert 1e-4 < error < 0.02


# Mistakes: every one must be seen.


def norms_of_blocks(lifter: nn.Module) -> list[nn.LayerNorm]:
    norms = [module for module in lifter.modules() if isinstance(module, nn.LayerNorm)]
    return [norm for norm in norms if norm is not lifter.head[0]]


def head_epsilon(lifter, monkeypatch):
    lifter.head[0].eps = 1e-6


def block_epsilon(lifter, monkeypatch):
    for norm in norms_of_blocks(lifter):
        norm.eps = {1e-6: 1e-5, 1e-5: 1e-6}[norm.eps]


def tanh_gelu(lifter, monkeypatch):
    rough = functools.partial(functional.gelu, approximate="tanh")
    monkeypatch.setattr(functional, "gelu", rough)


def query_and_key_exchanged(lifter, monkeypatch):
    qkv = lifter.blocks[0].attn.qkv
    query, key, value = qkv.weight.data.chunk(3)
    qkv.weight.data = torch.cat([key, query, value])


def frames_shifted(lifter, monkeypatch):
    lifter.Temporal_pos_embed.data = lifter.Temporal_pos_embed.data.roll(1, dims=1)


def plain_layer_norm(lifter, monkeypatch):
    def forward(self: UnbiasedNorm, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.a_2, self.b_2, self.eps)

    monkeypatch.setattr(UnbiasedNorm, "forward", forward)


def real_gelu(lifter, monkeypatch):
    monkeypatch.setattr(functional, "relu", lambda x, inplace=False: functional.gelu(x))


def final_norm(lifter, monkeypatch):
    norm = lifter.Transformer.model.norm
    lifter.Transformer.register_forward_hook(lambda module, inputs, output: norm(output))


def last_positions(lifter, monkeypatch):
    """The second layer takes positions from the end of its embedding instead of the beginning."""
    embedding = lifter.Transformer_reduce.model.pos_embedding_2
    embedding.data = embedding.data.roll(9, dims=1)


def batch_norm_epsilon(lifter, monkeypatch):
    for module in lifter.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.eps = 1e-3


PARTS_OF_POSEFORMER = [
    head_epsilon,
    block_epsilon,
    tanh_gelu,
    query_and_key_exchanged,
    frames_shifted,
]
PARTS_OF_STRIDED = [plain_layer_norm, real_gelu, final_norm, last_positions, batch_norm_epsilon]


@pytest.mark.parametrize(
    ("case", "mistake"),
    [("poseformer_f9", mistake) for mistake in PARTS_OF_POSEFORMER]
    + [("poseformer_demo_f9", block_epsilon), ("poseformer_demo_f9", head_epsilon)]
    + [("strided_t27", mistake) for mistake in PARTS_OF_STRIDED],
    indirect=["case"],
)
def test_mistakes_are_seen(case, mistake, monkeypatch):
    lifter = copy.deepcopy(case.lifter)
    mistake(lifter, monkeypatch)
    assert errors(case, lifter)["output"] > case.tolerance
