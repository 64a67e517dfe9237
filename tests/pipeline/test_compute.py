"""Devices and precision: which are chosen, and what they change."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import lifters3d
from pipeline.compute import PRECISIONS, choose_device, choose_precision, map_batches
from pipeline.lifting import lift_sequences
from pipeline.settings import Settings
from pipeline.windows import default_batch, lift_windows
from tests.pipeline.lifters import SIZE, evenly, rooted
from tests.pipeline.networks import KINDS, figure, network, tensors
from weights.errors import Pose3dError

WALK = Path(__file__).parents[2] / "demos" / "walk.npz"
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# Choices -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "count", "device"),
    [
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda"),
        ("cpu", 2, "cpu"),
        ("cuda", 1, "cuda"),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_devices(monkeypatch, wanted, count, device):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    assert choose_device(wanted) == torch.device(device)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("cuda:2", "device 'cuda:2' is not there: 2 CUDA devices are visible"),
        ("cuda:", "unknown device 'cuda:'"),
        ("mps", "unknown device 'mps': choose auto, cpu, cuda or cuda:N"),
        ("CPU", "unknown device 'CPU'"),
        ("", "unknown device ''"),
        ("cpu\n", "unknown device"),
    ],
)
def test_devices_that_are_not_there(monkeypatch, wanted, words):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(Pose3dError) as caught:
        choose_device(wanted)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("device", "has", "dtype"),
    [
        (CPU, {"avx512_bf16": True}, torch.bfloat16),
        (CPU, {"amx_bf16": True}, torch.bfloat16),
        (CPU, {"avx512_f": True, "avx512_bf16": False}, torch.float32),
        (CPU, {}, torch.float32),
        (CUDA, (9, 0), torch.float16),
        (CUDA, (7, 0), torch.float16),
        (CUDA, (6, 1), torch.float32),
    ],
)
def test_auto_is_what_the_hardware_multiplies_fast(monkeypatch, device, has, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: has)
    assert choose_precision("auto", device) == dtype
    assert choose_precision("fp32", device) == torch.float32
    assert choose_precision("bf16", device) == torch.bfloat16


def test_what_precisions_there_are():
    assert choose_precision("fp16", CUDA) == torch.float16
    with pytest.raises(Pose3dError, match="fp16 needs a CUDA device: choose auto, fp32 or bf16"):
        choose_precision("fp16", CPU)
    for wrong in ("half", "FP32", "", None):
        with pytest.raises(Pose3dError, match="choose one of auto, fp32, bf16, fp16"):
            choose_precision(wrong, CPU)
    for precision in PRECISIONS:
        assert Settings(precision=precision).precision == precision


def test_batches_fit_the_device():
    for kind in KINDS:
        lifter = network(kind)
        assert 1 <= default_batch(lifter, CPU) < default_batch(lifter, CUDA)
    long = network("mixste")
    long.frames = 10**6
    assert default_batch(long, CPU) == 1


# What they change --------------------------------------------------------------------------------


def lifted(lifter, keypoints, size=SIZE, **options):
    return lift_sequences(lifter, [(keypoints, evenly(len(keypoints)))], size, **options)[0].joints


@pytest.mark.parametrize("kind", KINDS)
def test_fp32_is_the_network_as_it_is(kind, monkeypatch):
    lifter, clip = network(kind), figure(30)
    exact = lifted(lifter, clip, precision="fp32")
    np.testing.assert_array_equal(lifted(lifter, clip), exact)
    with torch.inference_mode():
        bare = lift_windows(lifter, tensors(clip), SIZE, flip_average=True)[0].joints
    np.testing.assert_array_equal(rooted(bare.numpy()), exact)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    np.testing.assert_array_equal(lifted(lifter, clip, precision="auto"), exact)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_bf16_rounds_and_no_more(kind, causal, monkeypatch):
    lifter, clip = network(kind, "frame", frame_rate=30.0), figure(30)
    exact = lifted(lifter, clip, causal=causal)
    rough = lifted(lifter, clip, causal=causal, precision="bf16")
    assert rough.dtype == np.float32
    error = np.sqrt(np.square(rough - exact).mean()) / exact.std()
    assert 1e-4 < error < 0.03
    fast = {"avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: fast, raising=False)
    np.testing.assert_array_equal(lifted(lifter, clip, causal=causal, precision="auto"), rough)


def test_bf16_with_the_shipped_lifter_is_within_millimetres():
    with np.load(WALK) as walk:
        clip, size = walk["joints2d"][:60, 0], tuple(walk["size"])
    lifter = lifters3d.load("mixste")
    exact, rough = (lifted(lifter, clip, size, precision=p) for p in ("fp32", "bf16"))
    error = 1000 * np.linalg.norm(rough - exact, axis=-1)
    assert 0.01 < error.mean() < 2  # mm; measured 0.6
    assert error.max() < 10


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_cuda_agrees_with_the_cpu(kind, causal):
    lifter, clip = network(kind, "person", frame_rate=30.0), figure(30)
    exact = lifted(lifter, clip, causal=causal)
    lifter = lifter.to("cuda")
    try:
        spread = exact.std()
        for precision, most in (("fp32", 1e-3), ("bf16", 0.03), ("fp16", 0.01)):
            joints = lifted(lifter, clip, causal=causal, precision=precision)
            assert np.sqrt(np.square(joints - exact).mean()) / spread < most, precision
    finally:
        lifter.to("cpu")


# Batches -----------------------------------------------------------------------------------------


@pytest.fixture
def two_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("two_threads")
def test_batches_run_at_once_and_come_in_order():
    together = threading.Barrier(2, timeout=20)

    def work(batch):
        if batch < 2:
            together.wait()
        if batch == 0:
            time.sleep(0.05)
        assert torch.get_num_threads() == 1
        return 2 * batch

    assert [int(x) for x in map_batches(work, list(torch.arange(9)), CPU)] == list(range(0, 18, 2))
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("lowered", [True, False])
def test_threads_compute_in_the_callers_mode(lowered):
    weight = torch.ones(4, 4, requires_grad=True)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=lowered):
        found = list(map_batches(lambda x: x @ weight, [torch.ones(2, 4)] * 3, CPU))
    assert [x.dtype for x in found] == [torch.bfloat16 if lowered else torch.float32] * 3
    assert all(x.is_inference() for x in found)


@pytest.mark.usefixtures("two_threads")
def test_a_failing_batch_ends_the_others():
    seen = []

    def work(batch):
        seen.append(int(batch))
        if batch == 1:
            raise ValueError("no")
        time.sleep(0.01)
        return batch

    with pytest.raises(ValueError, match="no"):
        list(map_batches(work, list(torch.arange(500)), CPU))
    assert len(seen) < 100
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("kind", KINDS)
def test_threads_change_nothing(kind):
    lifter, keypoints = network(kind), tensors(figure(40))
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(lift_windows(lifter, keypoints, SIZE, flip_average=True, batch=3))
    torch.set_num_threads(1)
    for one, two in zip(*results, strict=True):
        torch.testing.assert_close(one.joints, two.joints, rtol=0, atol=1e-6)
        torch.testing.assert_close(one.doubt, two.doubt, rtol=0, atol=2e-3, equal_nan=True)
