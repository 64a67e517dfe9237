"""Checkpoints of OpenMMLab's trainings: their curves are skipped, and no code is run for them."""

import sys
import types
from collections import OrderedDict

import numpy as np
import pytest
import torch

from tests.weights.torch_files import (
    called,
    legacy_around,
    named,
    pickled,
    saved,
    text,
    the_error,
    zip_around,
)
from weights.reading import read_any

MODULE = "mmengine.logging.history_buffer"


class HistoryBuffer:
    """Pickles as mmengine's class of this name does: with the methods that it registers."""

    def __init__(self) -> None:
        self._log_history = np.array([0.7, 0.6])
        self._count_history = np.array([1, 1])
        self.max_length = 1000000

    def mean(self):
        return self._log_history.mean()

    def __getstate__(self):
        return {**self.__dict__, "statistics_methods": {"mean": HistoryBuffer.mean}}


@pytest.fixture
def buffer(monkeypatch):
    module = types.ModuleType(MODULE)
    module.HistoryBuffer = HistoryBuffer
    monkeypatch.setattr(HistoryBuffer, "__module__", MODULE)
    monkeypatch.setattr(HistoryBuffer.mean, "__module__", MODULE)
    for name in ("mmengine", "mmengine.logging"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, MODULE, module)
    return HistoryBuffer()


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_checkpoint_of_the_runner(tmp_path, buffer, legacy):
    network = torch.nn.Linear(3, 2)
    content = {
        "meta": {
            "cfg": "model = dict(type='TopdownPoseEstimator')",
            "dataset_meta": {"dataset_name": "coco", "sigmas": np.full(17, 0.05, np.float32)},
            "seed": 7,
        },
        "state_dict": network.state_dict(),
        "message_hub": {
            "log_scalars": OrderedDict({"train/loss": buffer}),
            "runtime_info": OrderedDict(iter=3, loss=np.float64(0.6)),
        },
    }
    file = saved(content, legacy)
    assert MODULE.encode() in file
    assert b"getattr" in file
    path = tmp_path / "epoch_1.pth"
    path.write_bytes(file)
    read = read_any(path).content
    assert torch.equal(read["state_dict"]["weight"], network.weight)
    assert read["meta"]["cfg"] == content["meta"]["cfg"]
    assert read["message_hub"]["log_scalars"] == {"train/loss": None}
    assert read["message_hub"]["runtime_info"]["iter"] == 3


@pytest.mark.parametrize("around", [zip_around, legacy_around])
@pytest.mark.parametrize(
    "owner",
    [named("torch", "Size"), named("collections", "OrderedDict"), text("a text")],
    ids=["Size", "OrderedDict", "text"],
)
def test_attributes_of_anything_else_are_refused(tmp_path, around, owner):
    value = called(named("__builtin__", "getattr"), owner, text("__class__"))
    message = the_error(tmp_path / "weights.pth", around(pickled(value)))
    assert message.startswith("refuses to run code from '__builtin__.getattr'")


def test_a_method_of_the_curves_is_nothing_that_could_be_called(tmp_path):
    method = called(named("__builtin__", "getattr"), named(MODULE, "HistoryBuffer"), text("mro"))
    path = tmp_path / "weights.pth"
    path.write_bytes(zip_around(pickled(called(method, text("x")))))
    assert read_any(path).content == {"random_state": None}
