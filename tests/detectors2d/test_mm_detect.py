"""mmdet's detectors: random weights, held against mmdet's own way of using them."""

import numpy as np
import pytest
import torch

from weights.errors import Pose3dError

for package in ("mmengine", "mmcv", "mmdet", "mmpose"):
    pytest.importorskip(package)

from detectors2d.mm.detect import MMDetector  # noqa: E402
from detectors2d.people import build_people  # noqa: E402

TINY = "mmdet:rtmdet_tiny_8xb32-300e_coco"
SIZE = (320, 320)
FASTER = "mmdet:faster-rcnn_r50_fpn_1x_coco"


def picture(seed=0, height=120, width=200) -> np.ndarray:
    """Colourful blotches: the network must not see the same everywhere."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 20, width // 20, 3), np.uint8)
    return coarse.repeat(20, 0).repeat(20, 1)


def likes_people(detector: MMDetector) -> MMDetector:
    """With random weights all classes score alike; move the person's score. Small pictures."""
    network = detector.network
    detector.prepare.transforms[1].scale = SIZE
    with torch.no_grad():
        if hasattr(network, "roi_head"):
            network.roi_head.bbox_head.fc_cls.weight *= 20
            network.roi_head.bbox_head.fc_cls.bias[0] += 6
            network.roi_head.bbox_head.fc_reg.weight *= 20
        else:
            for convolution in network.bbox_head.rtm_cls:
                convolution.bias[0] += 2
    return detector


@pytest.fixture(scope="module")
def rtmdet():
    torch.manual_seed(0)
    return likes_people(MMDetector(TINY))


@pytest.fixture(scope="module")
def faster_rcnn():
    torch.manual_seed(0)
    return likes_people(MMDetector(FASTER))


@pytest.fixture(params=["rtmdet", "faster_rcnn"])
def detector(request):
    return request.getfixturevalue(request.param)


def largest_overlap(boxes) -> float:
    corners = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    ends = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    both = (ends - corners).clip(0).prod(-1)
    sizes = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    part = both / (sizes[:, None] + sizes - both)
    np.fill_diagonal(part, 0)
    return part.max()


@pytest.mark.slow
def test_boxes_are_well_formed(detector):
    ((boxes, scores),) = detector.detect([picture()])
    assert boxes.shape == (len(scores), 4)
    assert len(scores) > 10
    assert boxes.dtype == scores.dtype == np.float32
    assert ((boxes >= 0) & (boxes <= [200, 120, 200, 120])).all()
    assert (boxes[:, :2] < boxes[:, 2:]).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (np.diff(scores) <= 0).all()
    assert largest_overlap(boxes.astype(np.float64)) < 0.6501


@pytest.mark.slow
def test_the_same_as_mmdets_own_inference(detector):
    from detectors2d.mm.building import read_config
    from detectors2d.mm.compat import import_torchvision

    import_torchvision()
    from mmdet.apis import inference_detector
    from mmengine.registry import DefaultScope

    network = detector.network
    network.cfg = read_config(FASTER if hasattr(network, "roi_head") else TINY, "mmdet")
    network.cfg.test_dataloader.dataset.pipeline[1].scale = SIZE
    image = picture()
    with DefaultScope.overwrite_default_scope("mmdet"):
        found = inference_detector(network, image[..., ::-1].copy()).pred_instances
    found = found[found.labels == 0].numpy()
    expected = found.bboxes.clip(0, [200, 120, 200, 120])
    inside = (expected[:, 2:] > expected[:, :2]).all(-1)
    ((boxes, scores),) = detector.detect([image])
    np.testing.assert_allclose(boxes, expected[inside], atol=1e-3)
    np.testing.assert_allclose(scores, found.scores[inside], atol=1e-6)


@pytest.mark.slow
def test_pictures_together_as_one_by_one(detector):
    images = [picture(0), picture(1)]
    together = detector.detect(images)
    for image, (boxes, scores) in zip(images, together, strict=True):
        ((own_boxes, own_scores),) = detector.detect([image])
        np.testing.assert_allclose(boxes, own_boxes, atol=0.05)
        np.testing.assert_allclose(scores, own_scores, atol=1e-4)
    assert not np.array_equal(together[0][0], together[1][0])
    assert detector.detect([]) == []


def test_candidates_are_few(rtmdet):
    assert rtmdet.network.bbox_head.test_cfg.nms_pre == 1000


def test_nothing_is_fetched(rtmdet, faster_rcnn):
    for each in (rtmdet, faster_rcnn):
        for module in each.network.modules():
            told = getattr(module, "init_cfg", None) or []
            for entry in told if isinstance(told, list) else [told]:
                assert entry.get("type") != "Pretrained"


def the_error(function) -> str:
    with pytest.raises(Pose3dError) as caught:
        function()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


def test_weights_tell_the_size(tmp_path, rtmdet, faster_rcnn):
    for name, made in (("rtmdet", rtmdet), ("faster-rcnn", faster_rcnn)):
        path = tmp_path / f"{name}.pth"
        torch.save({"meta": {}, "state_dict": made.network.state_dict()}, path)
        people = build_people(name, path)
        for key, tensor in made.network.state_dict().items():
            assert torch.equal(people.network.state_dict()[key], tensor)
        assert people.person == 0


def test_weights_for_people_alone(tmp_path):
    made = MMDetector("mmdet:rtmdet_m_640-8xb32_coco-person")
    path = tmp_path / "rtmdet_m_person.pth"
    torch.save({"state_dict": made.network.state_dict()}, path)
    people = build_people("rtmdet", path)
    assert people.network.bbox_head.num_classes == 1
    assert people.person == 0


def test_weights_that_do_not_fit(tmp_path, rtmdet):
    path = tmp_path / "weights.pth"
    state = dict(rtmdet.network.state_dict())
    first = "neck.out_convs.0.conv.weight"

    torch.save({"state_dict": {k: v for k, v in state.items() if k != first}}, path)
    message = the_error(lambda: build_people("rtmdet", path))
    assert message.startswith(f"{path}: weights do not fit {TINY}: Missing key")
    assert first in message

    torch.save({"state_dict": {**state, "neck.more.weight": torch.zeros(1)}}, path)
    assert "neck.more.weight" in the_error(lambda: build_people("rtmdet", path))

    torch.save({"state_dict": {**state, first: state[first][1:]}}, path)
    assert "size mismatch" in the_error(lambda: build_people("rtmdet", path))

    torch.save({"state_dict": {**state, first: state[first] * torch.nan}}, path)
    assert "not finite" in the_error(lambda: build_people("rtmdet", path))

    mean = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
    torch.save({"state_dict": {**state, "data_preprocessor.mean": mean}}, path)
    assert "trained on pictures with a mean of" in the_error(lambda: build_people("rtmdet", path))
    torch.save({"state_dict": {**state, "data_preprocessor.mean": mean.flip(0)}}, path)
    build_people("rtmdet", path)

    torch.save({"state_dict": {"backbone.conv1.weight": torch.zeros(64, 3, 7, 7)}}, path)
    assert "not weights of an RTMDet" in the_error(lambda: build_people("rtmdet", path))


def test_configurations_that_are_not_there(tmp_path):
    path = tmp_path / "mine.py"
    message = the_error(lambda: MMDetector("mmdet:rtmdet_tiny"))
    assert "did you mean mmdet:rtmdet_tiny_8xb32-300e_coco?" in message
    assert "no such configuration file" in the_error(lambda: MMDetector(str(path)))
    path.write_text("model = dict(type='NoSuchDetector')\n")
    assert "says nothing of test_dataloader" in the_error(lambda: MMDetector(str(path)))
    with path.open("a") as file:
        file.write("test_dataloader = dict(dataset=dict(type='CocoDataset', pipeline=[]))\n")
    assert "NoSuchDetector" in the_error(lambda: MMDetector(str(path)))
    path.write_text("model = no_such_name\n")
    assert "no_such_name" in the_error(lambda: MMDetector(str(path)))


def test_classes_without_people():
    message = the_error(lambda: MMDetector("mmdet:ssd300_8xb32-24e_widerface"))
    assert "has no class 'person', only face" in message
