"""mmpose's networks: HRNet against its authors' numbers, others against mmpose's own inference."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.filling import filled
from weights.errors import Pose3dError

for package in ("mmengine", "mmcv", "mmdet", "mmpose"):
    pytest.importorskip(package)

from detectors2d.mm.pose import MMPose, load_heatmap_network  # noqa: E402
from detectors2d.registry import build_pose, load_pose  # noqa: E402
from detectors2d.topdown import TopDown  # noqa: E402
from pipeline.networks import open_pose2d  # noqa: E402
from pipeline.settings import Settings  # noqa: E402

DATA = Path(__file__).parents[1] / "data" / "hrnet_w32.npz"
HRNET = "mmpose:td-hm_hrnet-w32_8xb64-210e_coco-256x192"
SMALL = "mmpose:td-hm_mobilenetv2_8xb64-210e_coco-256x192"
SIMCC = "mmpose:rtmpose-t_8xb256-420e_coco-256x192"
UDP = "mmpose:cspnext-tiny_udp_8xb256-210e_coco-256x192"


def the_error(function) -> str:
    with pytest.raises(Pose3dError) as caught:
        function()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


@pytest.fixture(scope="module")
def golden():
    with np.load(DATA) as file:
        return dict(file)


@pytest.fixture(scope="module")
def authors_state(golden):
    entries = json.loads(golden["keys_json"].tobytes())
    return {name: torch.from_numpy(filled(name, tuple(shape))) for name, shape, _ in entries}


def mmpose_name(name: str) -> str:
    return ("head." if name.startswith("final_layer.") else "backbone.") + name


@pytest.fixture(scope="module")
def hrnet(authors_state, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "hrnet.pth"
    state = {mmpose_name(name): tensor for name, tensor in authors_state.items()}
    torch.save({"meta": {}, "state_dict": state}, path)
    return load_heatmap_network(HRNET, path)


def test_entries_are_the_authors(hrnet, authors_state):
    mine = {name: tensor.shape for name, tensor in hrnet.estimator.state_dict().items()}
    assert mine == {mmpose_name(name): tensor.shape for name, tensor in authors_state.items()}
    assert len(mine) == 1754
    assert hrnet.input_size == (192, 256)
    assert hrnet.weights_identity["name"] == "hrnet.pth"
    assert len(hrnet.weights_identity["sha256"]) == 64


@torch.inference_mode()
def test_heat_maps_are_the_authors(hrnet, golden):
    noise = np.random.RandomState(zlib.crc32(b"input:hrnet_w32")).random_sample(3 * 256 * 192)
    image = (-2 + 4 * (2 * noise - 1 + 1) / 2).astype(np.float32).reshape(1, 3, 256, 192)
    assert zlib.crc32(image) == golden["input_crc32"]
    heatmaps = hrnet(torch.from_numpy(image)).numpy()
    assert heatmaps.shape == (1, 17, 64, 48)
    np.testing.assert_allclose(heatmaps[..., 1::4, 2::4], golden["output"], rtol=0, atol=1e-4)
    means = heatmaps.mean((2, 3), dtype=np.float64)
    np.testing.assert_allclose(means, golden["output_means"], rtol=0, atol=1e-4)


def picture(height=150, width=220) -> np.ndarray:
    coarse = np.random.default_rng(3).integers(0, 256, (height // 10, width // 10, 3), np.uint8)
    return coarse.repeat(10, 0).repeat(10, 1)


BOXES = np.array([[20, 10, 90, 140], [-30, 40, 100, 200], [100, 60, 210, 90.0]])


def mmposes_own(network, image, boxes) -> tuple[np.ndarray, np.ndarray]:
    from detectors2d.mm.compat import import_torchvision

    import_torchvision()
    from mmpose.apis import inference_topdown

    samples = inference_topdown(network, image[..., ::-1].copy(), boxes)
    found = [sample.pred_instances for sample in samples]
    keypoints = np.concatenate([each.keypoints for each in found])
    return keypoints, np.concatenate([each.keypoint_scores for each in found])


@pytest.fixture
def one_thread():
    """Shared out otherwise, sums of random networks are rounded to other peaks."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize("config", [SIMCC, UDP, SMALL])
def test_estimates_are_mmposes_own(config, one_thread):
    from detectors2d.mm.building import read_config

    torch.manual_seed(0)
    pose = MMPose(config, batch=2)
    if config == UDP:  # whose decoding fails on flat maps
        pose.network.head.final_layer.weight.data *= 100
    pose.network.cfg, pose.network.dataset_meta = read_config(config, "mmpose"), pose.meta
    image = picture()
    expected, expected_scores = mmposes_own(pose.network, image, BOXES)
    (keypoints, scores), (none, no_scores) = pose.estimate([image, image], [BOXES, BOXES[:0]])
    assert keypoints.shape == (3, 17, 2)
    assert scores.shape == (3, 17)
    assert keypoints.dtype == scores.dtype == np.float32
    np.testing.assert_allclose(keypoints, expected, rtol=0, atol=0.05)
    np.testing.assert_allclose(scores, expected_scores, rtol=0, atol=1e-5)
    assert none.shape == (0, 17, 2)
    assert no_scores.shape == (0, 17)
    assert np.ptp(keypoints[..., 0]) > 5


@pytest.mark.slow
def test_our_crops_and_decoding_are_mmposes(hrnet):
    """Only the flipped pictures are treated differently, so without them."""
    pose = MMPose(HRNET)
    pose.network.load_state_dict(hrnet.estimator.state_dict())
    pose.network.test_cfg.flip_test = False
    image = picture()
    ((expected, expected_scores),) = pose.estimate([image], [BOXES])
    ((keypoints, scores),) = TopDown(hrnet, flip=False).estimate([image], [BOXES])
    np.testing.assert_allclose(scores, expected_scores, rtol=0, atol=1e-4)
    # Without a peak above 0 mmpose says cell -1; next to borders it moves peaks, HRNet's code not.
    cells = np.array([162.5, 650 / 3, 550 / 3])[:, None] / 64
    off = (np.abs(keypoints - expected).max(-1) / cells)[scores > 0]
    assert len(off) > 25
    assert off.max() < 0.251
    assert (off < 1e-3).mean() > 0.6


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(1)
    return load_heatmap_network(SMALL)


def test_weights_of_mmengine(tmp_path, small):
    from mmengine.logging import HistoryBuffer

    path = tmp_path / "epoch_210.pth"
    state = small.estimator.state_dict()
    content = {
        "meta": {"cfg": "...", "dataset_meta": {"sigmas": np.full(17, 0.05, np.float32)}},
        "state_dict": state,
        "message_hub": {
            "log_scalars": {"train/loss": HistoryBuffer([0.5, 0.25], [1, 1])},
            "runtime_info": {"loss": np.float64(0.25)},
        },
    }
    torch.save(content, path)
    loaded = load_heatmap_network(SMALL, path).estimator.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_weights_of_older_versions(tmp_path, small):
    """mmpose 0.x has keypoint_head for head, and pictures' mean and std in the file."""
    path = tmp_path / "mobilenetv2.pth"
    state = {
        f"keypoint_{name}" if name.startswith("head.") else name: tensor
        for name, tensor in small.estimator.state_dict().items()
    }
    state["data_preprocessor.std"] = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
    torch.save({"state_dict": state}, path)
    loaded = load_heatmap_network(SMALL, path)
    crop = torch.randn(1, 3, 256, 192)
    with torch.inference_mode():
        assert torch.equal(loaded(crop), small(crop))


def test_weights_that_do_not_fit(tmp_path, small):
    path = tmp_path / "weights.pth"
    state = dict(small.estimator.state_dict())
    last = "head.final_layer.weight"
    for wrong, said in (
        ({k: v for k, v in state.items() if k != last}, "Missing key"),
        ({**state, "head.more": torch.zeros(1)}, "Unexpected key"),
        ({**state, last: state[last][:5]}, "size mismatch"),
    ):
        torch.save({"state_dict": wrong}, path)
        message = the_error(lambda: load_heatmap_network(SMALL, path))
        assert message.startswith(f"{path}: weights do not fit {SMALL}: ")
        assert said in message
    torch.save({"state_dict": {}, "epoch": 3}, path)
    assert "holds no network" in the_error(lambda: load_heatmap_network(SMALL, path))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (SIMCC, "RTMCCHead with SimCCLabel does not give heat maps like HRNet's"),
        (UDP, "HeatmapHead with UDPHeatmap does not give heat maps like HRNet's"),
        ("mmpose:td-hm_hrnet-w32_8xb64-210e_mpii-256x256", "finds 16 joints of mpii"),
        ("mmpose:td-hm_hrnet-w32_8xb64-210e_coco-256x193", f"did you mean {HRNET}?"),
        ("hrnet-w32", "give mmpose:NAME"),
    ],
)
def test_configurations_that_do_not_serve(config, said):
    assert said in the_error(lambda: load_heatmap_network(config))


def test_by_name_through_the_registry(hrnet, golden, authors_state, tmp_path):
    path = tmp_path / "x.pth"
    torch.save({mmpose_name(name): tensor for name, tensor in authors_state.items()}, path)
    images = torch.randn(1, 3, 256, 192, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        mine = load_pose(f"{HRNET}:{path}")(images)
        torch.testing.assert_close(mine, hrnet(images), rtol=0, atol=1e-4)  # another memory format
    assert build_pose(SMALL).input_size == (192, 256)
    assert "without more" in the_error(lambda: load_pose(HRNET))
    assert "without more" in the_error(lambda: load_pose(f"{HRNET}:{path}", cam_blocks=2))
    assert "SimCC" in the_error(lambda: build_pose(SIMCC))


def test_the_first_pass_takes_any_network(authors_state, tmp_path):
    """HRNet-like ones go through our batches, others through mmpose's own road."""
    path = tmp_path / "x.pth"
    torch.save({mmpose_name(name): tensor for name, tensor in authors_state.items()}, path)
    found = open_pose2d(f"{HRNET}:{path}", Settings(device="cpu", flip=False))
    assert isinstance(found, TopDown)
    assert not found.flip
    assert found.weights_identity["network"] == HRNET
    simcc = MMPose(SIMCC)
    torch.save({"state_dict": simcc.network.state_dict()}, path)
    found = open_pose2d(f"{SIMCC}:{path}", Settings(device="cpu"))
    assert isinstance(found, MMPose)
    assert found.weights_identity["name"] == "x.pth"
    assert len(found.weights_identity["sha256"]) == 64
    settings = Settings(device="cpu")
    assert "mmpose:CONFIG:FILE" in the_error(lambda: open_pose2d(HRNET, settings))
    assert "no such" in the_error(lambda: open_pose2d(f"{HRNET}:missing.pth", settings))
    assert "did you mean" in the_error(lambda: open_pose2d("mmpose:td-hm_hrnet-w3:x", settings))
