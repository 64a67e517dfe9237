"""Networks of heat maps made to answer faster: by torch itself, ONNX Runtime or OpenVINO.

The two runtimes are for CPUs, and each is an extra of the installation: ``pose3d[onnx]`` and
``pose3d[openvino]``. Both report their use to their makers over the network unless told not to;
here they are told not to before they are imported.
"""

from __future__ import annotations

import copy
import importlib
import io
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from detectors2d.hrnet import HRNet
from weights.errors import Pose3dError
from weights.fitting import one_line

OPSET = 17  # of ONNX files: what ONNX Runtime, OpenVINO and TensorRT of the last years all read
INPUT, OUTPUT = "images", "heatmaps"


def accelerate(
    network: nn.Module,
    backend: str = "torch",
    precision: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> nn.Module:
    """A network that gives the same heat maps in less time, for ``TopDown``.

    Parameters
    ----------
    network : images (N, 3, h, w) float32 -> heat maps (N, 17, h / 4, w / 4) float32, with
        ``input_size`` (w, h) px; on the CPU, in evaluation mode. It is not changed.
    backend : "torch": the norms of an HRNet become part of its convolutions, other networks stay as
        they are; "onnx" and "openvino": the same through these runtimes, with as many threads as
        torch has; N is free, h and w are those of ``input_size``
    precision : of OpenVINO's products: bfloat16 (of its heat maps as well), or else float32. ONNX
        Runtime's are float32 in any case; torch's are ``TopDown``'s affair.
    device : where it is to run; the runtimes run on the CPU only

    Raises Pose3dError if the runtime is not installed or cannot run there.
    """
    if backend not in _BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(_BACKENDS)}, not {backend!r}")
    if backend != "torch" and torch.device(device).type != "cpu":
        raise Pose3dError(
            f"backend {backend}: runs on the CPU, not on {device}; choose device cpu, or backend "
            "torch"
        )
    if isinstance(network, HRNet):
        network = fold_norms(network)
    return _BACKENDS[backend](network, precision)


def onnx_model(network: nn.Module, metadata: Mapping[str, str] | None = None) -> bytes:
    """The content of an ONNX file: images (N, 3, h, w) -> heatmaps (N, 17, h / 4, w / 4), float32.

    N is free, h and w are those of ``network.input_size``. ``metadata`` goes into the file. The
    same network gives the same bytes. Raises Pose3dError if onnx is not installed.
    """
    onnx = _package("onnx", "onnx")
    width, height = network.input_size
    content = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        # Of the exporter's age, and that the checks of the input's shape are not in the file. (The
        # younger exporter needs a package more and 48 s for HRNet-W32 instead of 3 s.)
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, height, width),),
            content,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "N"}, OUTPUT: {0: "N"}},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(content.getvalue())
    onnx.helper.set_model_props(model, dict(metadata or {}))
    return model.SerializeToString(deterministic=True)


def onnx_runner(model: bytes) -> Callable[[np.ndarray], np.ndarray]:
    """ONNX Runtime for the content of an ONNX file; Pose3dError if it is not installed."""
    # Since 1.29 it sends reports on Linux as well.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    runtime = _package("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run([OUTPUT], {INPUT: images})[0]


def fold_norms(network: HRNet) -> nn.Module:
    """A copy in evaluation mode whose convolutions do what the batch norms behind them did.

    Takes each norm that is registered right after a convolution for the one behind it, which is so
    in HRNet and its blocks.
    """
    network = copy.deepcopy(network).eval()
    for parent in list(network.modules()):
        for (name, conv), (norm_name, norm) in pairwise(list(parent.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, norm_name, nn.Identity())
    return network


class _Foreign(nn.Module):
    """A runtime's network as a module: images (N, 3, h, w) float32 -> heat maps float32."""

    def __init__(self, run: Callable[[np.ndarray], np.ndarray], network: nn.Module) -> None:
        super().__init__()
        self.run = run
        self.input_size = network.input_size
        self.weights_identity = getattr(network, "weights_identity", None)

    def forward(self, images: Tensor) -> Tensor:
        return torch.from_numpy(self.run(images.contiguous().numpy()))


def _onnx(network: nn.Module, _: torch.dtype) -> nn.Module:
    return _Foreign(onnx_runner(onnx_model(network)), network)


def _openvino(network: nn.Module, precision: torch.dtype) -> nn.Module:
    # Where this package cannot be imported, OpenVINO sends no reports.
    sys.modules.setdefault("openvino_telemetry", None)
    openvino = _package("openvino", "openvino")
    width, height = network.input_size
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # as above
        # Without tracing once more to compare, it takes a third of the time.
        traced = torch.jit.trace(network, torch.zeros(1, 3, height, width), check_trace=False)
        model = openvino.convert_model(traced, input=[-1, 3, height, width])
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision is torch.bfloat16 else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",  # one batch at a time, with all threads
        "ENABLE_CPU_PINNING": False,  # it is not alone on the machine
    }
    compiled = openvino.Core().compile_model(model, "CPU", options)
    return _Foreign(lambda images: compiled(images)[0], network)


_BACKENDS = {"torch": lambda network, _: network, "onnx": _onnx, "openvino": _openvino}


def _package(name: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Pose3dError(f'{one_line(error)}; pip install "pose3d[{extra}]" brings it') from None
