"""torchvision's detectors from files: the same boxes as torchvision's own networks give."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn

from detectors2d.mm.compat import import_torchvision
from detectors2d.people import build_people
from weights.errors import Pose3dError

pytestmark = pytest.mark.skipif(find_spec("torchvision") is None, reason="needs torchvision")


def picture(height=100, width=160) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (height // 20, width // 20, 3), np.uint8)
    return coarse.repeat(20, 0).repeat(20, 1)


def made(name, **config):
    """A network of torchvision whose random weights find many people, on small pictures."""
    torch.manual_seed(0)
    detection = import_torchvision().models.detection
    network = getattr(detection, name)(weights=None, weights_backbone=None, **config).eval()
    with torch.no_grad():
        scores = network.roi_heads.box_predictor.cls_score
        scores.weight[torch.arange(len(scores.weight)) != 1] = 0
        scores.bias[1] += 5
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
        # Here a usual epsilon of 1e-5 makes everything smaller by 1 / sqrt(2).
        network.backbone.body.bn1.running_var.fill_(1e-5)
        network.backbone.body.bn1.weight.fill_(1e-5**0.5)
    return network


def frozen(network):
    """As torchvision trained its published ones: norms that never change, without epsilon."""
    norm = import_torchvision().ops.FrozenBatchNorm2d
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                fixed = norm(child.num_features, eps=0.0)
                state = {k: v for k, v in child.state_dict().items() if k in fixed.state_dict()}
                fixed.load_state_dict(state)
                setattr(module, name, fixed)
    return network


def small(network):
    network.transform.min_size = (160,)
    return network


def people(path, network):
    torch.save(network.state_dict(), path)
    detector = build_people("torchvision", path)
    small(detector.network)
    return detector.detect([picture()])[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("fasterrcnn_resnet50_fpn", {"num_classes": 91}),
        ("keypointrcnn_resnet50_fpn", {"num_classes": 2, "num_keypoints": 17}),
    ],
)
def test_the_same_as_torchvisions_own(tmp_path, name, config):
    network = small(frozen(made(name, **config)))
    boxes, scores = people(tmp_path / "weights.pth", network)
    pixels = torch.from_numpy(picture()).permute(2, 0, 1) / 255
    with torch.no_grad():
        expected = network([pixels])[0]
    own = expected["boxes"][expected["labels"] == 1].numpy()
    assert len(own) > 5
    assert abs(len(boxes) - len(own)) < 3
    # Nearly all: of boxes with nearly the same score either may go.
    off = np.abs(boxes[:, None] - own).max(-1).min(-1)
    assert (off < 0.01).mean() > 0.9
    np.testing.assert_allclose(scores.max(), expected["scores"].max(), atol=1e-4)
    assert boxes.dtype == scores.dtype == np.float32
    assert ((boxes >= 0) & (boxes <= [160, 100, 160, 100])).all()


def test_norms_with_counters_keep_their_epsilon(tmp_path):
    path = tmp_path / "weights.pth"
    network = made("fasterrcnn_resnet50_fpn_v2", num_classes=91)
    torch.save({"model": network.state_dict()}, path)
    loaded = build_people("torchvision", path).network
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert {m.eps for m in loaded.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-5}


def test_weights_that_do_not_fit(tmp_path):
    path = tmp_path / "weights.pth"

    def the_error(content) -> str:
        torch.save(content, path)
        with pytest.raises(Pose3dError) as caught:
            build_people("torchvision", path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "not weights of torchvision's fasterrcnn" in the_error({"w": torch.zeros(3)})
    state = made("fasterrcnn_resnet50_fpn", num_classes=91).state_dict()
    message = the_error({**state, "roi_heads.mask_head.0.0.weight": torch.zeros(1)})
    assert "weights do not fit fasterrcnn_resnet50_fpn: Unexpected key" in message
