"""Training by mmengine's Runner: what it learns, what it writes, and going on with it."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest
import torch

from detectors2d.heatmaps import box_to_crop, crop_transforms
from detectors2d.hrnet import IMAGE_MEAN, IMAGE_STD, HRNet
from detectors2d.mm.coco import read_coco, read_picture
from detectors2d.registry import CONFIGS, load_pose, save_pose
from tests.detectors2d.hrnets import pictures, small
from tests.detectors2d.stick_figures import write_set
from weights.errors import Pose3dError
from weights.reading import read_weights

for package in ("mmengine", "mmcv", "mmdet", "mmpose"):
    pytest.importorskip(package)

from detectors2d.mm import compat  # noqa: E402

compat.prepare()

from detectors2d.mm.backbone import from_mmpose, to_mmpose  # noqa: E402
from detectors2d.mm.building import build, read_config  # noqa: E402
from detectors2d.mm.pose import load_heatmap_network  # noqa: E402
from detectors2d.mm.recipe import coco_config  # noqa: E402
from detectors2d.mm.training import start_network, train  # noqa: E402

QUICK = {"epochs": 3, "batch": 4, "learning_rate": 1e-3, "workers": 0}
ATTENTIVE = {"width": 8, "cam_blocks": 2, "input_size": (64, 96)}


def the_error(function) -> str:
    with pytest.raises(Pose3dError) as caught:
        function()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


def fresh() -> HRNet:
    torch.manual_seed(0)
    return HRNet(**ATTENTIVE)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    file = write_set(tmp_path_factory.mktemp("people"), pictures=12)
    return read_coco(file, file.parent / "images")


@pytest.fixture(scope="module")
def run(tmp_path_factory, data):
    """The folder of a run, its weights file, its lines; its folder as it was after two epochs."""
    folder, early = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("early")
    lines, steps = [], []

    def tell(line):
        lines.append(line)
        if line.startswith("epoch 2/3"):
            shutil.copy(folder / "checkpoint.pth", early)

    path = train(
        fresh(),
        "tiny",
        data,
        folder,
        validation=data,
        **QUICK,
        tell=tell,
        advance=lambda *step: steps.append(step),
    )
    # 24 people, four a step.
    assert steps == 3 * [(1, 6), (2, 6), (3, 6), (4, 6), (5, 6), (6, 6)]
    return folder, path, lines, early


def test_what_is_told(run):
    _, _, lines, _ = run
    found = [re.fullmatch(r"epoch (\d)/3: loss ([\d.e-]+), \d+ s", line) for line in lines[:3]]
    assert [match[1] for match in found] == ["1", "2", "3"]
    losses = [float(match[2]) for match in found]
    assert 0 < losses[2] < 0.9 * losses[0] < 0.02
    assert re.fullmatch(r"epoch 3/3: AP 0\.\d{3}, AP50 .*, AR 0\.\d{3} on validation", lines[3])
    assert len(lines) == 4


@torch.no_grad()
def test_it_learns_where_the_joints_are(data, run):
    """Crops and maps as TopDown understands them, not as mmpose prepares them."""
    rows = json.loads(data.file.read_text())["annotations"]
    joints = np.array([row["keypoints"] for row in rows]).reshape(-1, 17, 3)[..., :2]
    maps = crop_transforms(*box_to_crop(data.people.xyxy, 64 / 96), (64, 96))
    images = [read_picture(data.pictures[i]) for i in data.people.image_ids]
    crops = [cv2.warpAffine(image, m, (64, 96)) for image, m in zip(images, maps, strict=True)]
    cells = (np.einsum("nij,nkj->nki", maps[:, :, :2], joints) + maps[:, None, :, 2]) / 4
    y, x = np.mgrid[:24, :16]
    away = (x - cells[..., :1, None]) ** 2 + (y - cells[..., 1:, None]) ** 2
    wanted = np.exp(-away / (2 * 0.75**2))  # the recipe's sigma of 2 cells of 64, for 24 rows
    pixels = (np.stack(crops) / 255 - IMAGE_MEAN) / IMAGE_STD
    # After 18 steps the running means of the batch norms still lag behind.
    network = load_pose(run[1]).train()
    found = network(torch.from_numpy(pixels).float().permute(0, 3, 1, 2)).numpy()
    assert ((found - wanted) ** 2).mean() < 0.95 * (wanted**2).mean()


@torch.inference_mode()
def test_the_weights_file_is_the_network_inside_mmpose(run):
    folder, path, _, _ = run
    ours = load_pose(path)
    theirs = load_heatmap_network(str(folder / "config.py"), folder / "checkpoint.pth")
    assert ours.input_size == theirs.input_size == (64, 96)
    images = pictures(2, 96, 64)
    assert torch.equal(ours(images), theirs(images))
    # The network has learnt: maps are not those of the start.
    assert (ours(images) - fresh().eval()(images)).abs().max() > 0.01
    checkpoint = load_pose(folder / "checkpoint.pth", gate="literal")
    assert torch.equal(ours(images), checkpoint(images))
    assert path == folder / "tiny.safetensors"
    training = read_weights(path)[1]["training"]
    assert (training["epochs_made"], training["people"], training["batch"]) == (3, 24, 4)


@torch.inference_mode()
def test_our_weights_inside_mmpose_and_back(tmp_path, run):
    folder, _, _, _ = run
    network = small(**ATTENTIVE)
    torch.save({"state_dict": to_mmpose(network.state_dict())}, tmp_path / "ours.pth")
    theirs = load_heatmap_network(str(folder / "config.py"), tmp_path / "ours.pth")
    images = pictures(2, 96, 64)
    assert torch.equal(network(images), theirs(images))
    back = from_mmpose(theirs.estimator.state_dict())
    assert back.keys() == network.state_dict().keys()
    assert all(torch.equal(back[name], each) for name, each in network.state_dict().items())


def test_a_run_that_was_broken_off_ends_as_the_whole_one(data, run):
    _, path, lines, early = run
    told = []
    resumed = train(fresh(), "tiny", data, early, **QUICK, resume=True, tell=told.append)
    assert [line.split(",")[0] for line in told] == [lines[2].split(",")[0]]
    ours, whole = load_pose(resumed).state_dict(), load_pose(path).state_dict()
    assert all(torch.equal(ours[name], each) for name, each in whole.items())

    # Nothing is left to do.
    assert train(fresh(), "tiny", data, early, **QUICK, resume=True, tell=told.append) == resumed
    assert len(told) == 1


def test_what_cannot_be_resumed(tmp_path, data, run):
    folder, _, _, _ = run

    def resume(where, **changed):
        train(fresh(), "tiny", data, where, **{**QUICK, "resume": True, **changed})

    assert "holds no checkpoint.pth to resume from" in the_error(lambda: resume(tmp_path))
    assert "holds a run already; --resume" in the_error(lambda: resume(folder, resume=False))
    message = the_error(lambda: resume(folder, epochs=5))
    assert "of another run (epochs 3 there, 5 now)" in message
    (tmp_path / "checkpoint.pth").write_bytes(b"PK\x03\x04 damaged")
    assert "not a training checkpoint" in the_error(lambda: resume(tmp_path))
    torch.save({"meta": {"epoch": 1}}, tmp_path / "checkpoint.pth")
    assert "not a training checkpoint" in the_error(lambda: resume(tmp_path))


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_checkpoint_runs_no_code(tmp_path, data, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # of torch.load by itself
    torch.save({"meta": {"settings": Trap(tmp_path / "ran")}}, tmp_path / "checkpoint.pth")
    resume = lambda: train(fresh(), "tiny", data, tmp_path, **QUICK, resume=True)  # noqa: E731
    assert "not a training checkpoint" in the_error(resume)
    assert not (tmp_path / "ran").exists()


@torch.inference_mode()
def test_a_neutral_start_is_the_plain_network(tmp_path, data, monkeypatch):
    plain = small()
    save_pose(plain, tmp_path / "plain.safetensors", {}, half=False)
    monkeypatch.setitem(CONFIGS, "hrnet-w8-cam", {"width": 8, "cam_blocks": 2})
    start = start_network("hrnet-w8-cam", tmp_path / "plain.safetensors")
    estimator = build(coco_config(start, data), "mmpose", "start")
    estimator.load_state_dict(to_mmpose(start.state_dict()))
    assert any(".cam." in name for name in estimator.state_dict())
    images = pictures(2, 96, 64)
    assert torch.equal(estimator(images, None), plain(images))

    assert "weights of hrnet-w8, not hrnet-w32" in the_error(
        lambda: start_network("hrnet-w32", tmp_path / "plain.safetensors")
    )
    assert "unknown --config 'hrnet-w33'" in the_error(lambda: start_network("hrnet-w33"))


def test_the_recipe(data):
    """Learning rate and batch of HRNet's authors, all else of mmpose's own configuration."""
    with torch.device("meta"):
        network = HRNet(32, cam_blocks=2)
    config = coco_config(network, data)
    theirs = read_config("mmpose:td-hm_hrnet-w32_8xb64-210e_coco-256x192", "mmpose")
    assert config.optim_wrapper == {"optimizer": {"type": "Adam", "lr": 1e-3}}
    assert config.train_cfg.max_epochs == theirs.train_cfg.max_epochs == 210
    assert config.param_scheduler[-1].milestones == [170, 200]
    for part in ("train_dataloader", "test_dataloader"):
        assert config[part].dataset.pipeline == theirs[part].dataset.pipeline
    for part in ("head", "test_cfg"):
        assert config.model[part] == theirs.model[part]
    for part in ("mean", "std"):
        ours = config.model.data_preprocessor[part]
        assert ours == pytest.approx(theirs.model.data_preprocessor[part])
    assert config.model.head.decoder.sigma == 2

    short = coco_config(network, data, epochs=21, batch=2)
    assert short.param_scheduler[-1].milestones == [17, 20]
    assert short.param_scheduler[0].end == 25  # a tenth of 21 epochs of 12 steps


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"epochs": 0}, "--epochs must be 1 or more, not 0"),
        ({"batch": 1}, "--batch must be 2 or more, not 1: the attention's batch norms need two"),
        ({"learning_rate": 0.0}, "--learning-rate must be above 0, not 0.0"),
        ({"learning_rate": float("nan")}, "--learning-rate must be above 0, not nan"),
        ({"learning_rate": 1e30}, "epoch 1: the loss is "),
    ],
)
def test_numbers_out_of_range(tmp_path, data, changed, said):
    call = {**QUICK, "batch": 2, **changed}
    assert said in the_error(lambda: train(fresh(), "tiny", data, tmp_path, **call))
