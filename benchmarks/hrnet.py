"""Speed of HRNet-W32 256x192 on a CPU against plain float32 a picture at a time, in one run.

    python -m benchmarks.hrnet [--threads 2] [--batch 16] [--repeats 5]

The network alone, with random weights. Ways of running it take turns, and medians over the turns
are given, so that what else the machine does meets all of them. "ours" is what ``pose3d video``
runs with the backend torch; ONNX Runtime and OpenVINO take part if they are installed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from detectors2d.backends import accelerate
from detectors2d.hrnet import HRNet
from weights.errors import Pose3dError

Way = Callable[[Tensor], Tensor]


def ways() -> Iterator[tuple[str, Way]]:
    """How the network can be run, by name; each takes images (N, 3, 256, 192)."""
    torch.manual_seed(0)
    network = HRNet(32).eval()
    rows = HRNet(32).eval().to(memory_format=torch.channels_last)
    rows.load_state_dict(network.state_dict())
    yield "eager fp32", network
    yield "channels_last", _in_rows(rows)
    yield "channels_last bf16", _in_bf16(_in_rows(rows))
    folded = accelerate(network).to(memory_format=torch.channels_last)
    yield "ours fp32", _in_rows(folded)
    yield "ours bf16", _in_bf16(_in_rows(folded))
    for backend, precision in (
        ("onnx", torch.float32),
        ("openvino", torch.float32),
        ("openvino", torch.bfloat16),
    ):
        name = f"{backend} {'bf16' if precision is torch.bfloat16 else 'fp32'}"
        try:
            yield name, accelerate(network, backend, precision)
        except Pose3dError as error:
            print(f"{name}: left out ({error})")


def _in_rows(network: nn.Module) -> Way:
    return lambda images: network(images.contiguous(memory_format=torch.channels_last))


def _in_bf16(way: Way) -> Way:
    def lowered(images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return way(images)

    return lowered


def speed(way: Way, images: Tensor, seconds: float = 1.0) -> float:
    """Images per second over at least one pass."""
    began, passes = time.perf_counter(), 0
    while passes == 0 or time.perf_counter() - began < seconds:
        way(images)
        passes += 1
    return passes * len(images) / (time.perf_counter() - began)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    images = torch.randn(arguments.batch, 3, 256, 192)
    runners = dict(ways())
    for way in runners.values():
        way(images)
    alone: dict[str, list[float]] = {name: [] for name in runners}
    together: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(arguments.repeats):
        for name, way in runners.items():
            alone[name].append(speed(way, images[:1]))
            together[name].append(speed(way, images))

    print(f"{arguments.threads} threads, torch {torch.__version__}, images/s (times the first)")
    print(f"{'':20s} {'one':>15s} {f'batch of {arguments.batch}':>15s}")
    base = statistics.median(alone["eager fp32"])
    for name in runners:
        cells = (statistics.median(measured[name]) for measured in (alone, together))
        told = " ".join(f"{value:6.1f} ({value / base:5.2f}x)" for value in cells)
        print(f"{name:20s} {told}")


if __name__ == "__main__":
    main()
