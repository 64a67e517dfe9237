"""Every mend: what fails without it, and that it does not with it; each in a fresh interpreter."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from detectors2d.mm import compat
from tests.detectors2d.test_mm_ops import kept_by_definition
from weights.errors import Pose3dError

ROOT = Path(__file__).parents[2]


def run(code: str) -> str:
    """The last line that a Python program prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def the_error(function) -> str:
    with pytest.raises(Pose3dError) as caught:
        function()
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def absent(monkeypatch):
    """Packages are as if they were not installed."""
    real = compat.importlib.util.find_spec

    def make(*names):
        monkeypatch.setattr(
            compat.importlib.util, "find_spec", lambda name: None if name in names else real(name)
        )
        compat.prepare.cache_clear()
        compat.import_torchvision.cache_clear()

    yield make
    compat.prepare.cache_clear()
    compat.import_torchvision.cache_clear()


def test_packages_that_are_not_installed(absent):
    absent("mmengine", "mmcv", "mmdet", "mmpose", "torchvision")
    assert the_error(compat.prepare) == (
        'OpenMMLab\'s networks need mmengine, mmcv, mmdet, mmpose: pip install "pose3d[mm]"'
    )
    assert 'pip install "pose3d[mm]"' in the_error(compat.import_torchvision)


def test_nothing_is_imported_before_it_is_asked_for():
    code = "import sys, detectors2d.mm.detect, detectors2d.mm.pose, detectors2d.people.torchvision;"
    assert run(code + "print({'mmcv', 'mmengine', 'torchvision'} & set(sys.modules))") == "set()"


class TestWithPackages:
    @pytest.fixture(autouse=True)
    def _installed(self):
        for name in compat.PACKAGES:
            pytest.importorskip(name)

    def test_compiled_operations(self):
        code = """
try:
    import mmcv._ext
except ImportError:
    try:
        import mmcv.ops
    except ModuleNotFoundError as error:
        assert error.name == "mmcv._ext"
    else:
        raise SystemExit("mmcv.ops can be imported without its operations")
from detectors2d.mm import compat
compat.prepare()
import mmcv.ops
print(mmcv.ops.nms.__name__)
"""
        assert run(code) == "nms"

    def test_version_of_mmcv(self):
        code = """
import mmcv
mmcv.__version__ = "2.2.0"
try:
    import mmdet
except AssertionError as error:
    assert "mmcv" in str(error)
else:
    raise SystemExit("mmdet can be imported with every mmcv")
from detectors2d.mm import compat
compat.prepare()
import mmdet
print(mmdet.__version__, mmcv.__version__)
"""
        assert run(code).endswith(" 2.2.0")

    def test_xtcocotools_compiled_for_another_numpy(self):
        code = """
import sys

class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "xtcocotools._mask":
            raise ValueError("numpy.dtype size changed, may indicate binary incompatibility")

sys.meta_path.insert(0, Broken())
try:
    import xtcocotools.mask
except ValueError:
    pass
else:
    raise SystemExit("not broken")
from detectors2d.mm import compat
compat.prepare()
import xtcocotools.coco, xtcocotools.cocoeval, xtcocotools.mask
print(xtcocotools.coco.COCO.__module__)
"""
        assert run(code) == "pycocotools.coco"

    def test_setuptools_without_pkg_resources(self):
        code = """
import sys
sys.modules["pkg_resources"] = None
from pathlib import Path
import mmengine.config, mmpose
folder = Path(mmpose.__file__).parent / ".mim/demo/mmdetection_cfg"
path = folder / "rtmdet_nano_320-8xb32_coco-person.py"  # based on one of mmdet's
try:
    mmengine.config.Config.fromfile(path)
except ModuleNotFoundError as error:
    assert "pkg_resources" in str(error)
else:
    raise SystemExit("pkg_resources is not needed")
from detectors2d.mm import compat
compat.prepare()
print(mmengine.config.Config.fromfile(path).model.bbox_head.num_classes)
"""
        assert run(code) == "1"

    def test_nms_through_mmcv(self):
        compat.prepare()
        from mmcv.ops import nms

        generator = np.random.default_rng(2)
        corners = generator.integers(0, 40, (80, 2))
        boxes = np.concatenate([corners, corners + generator.integers(1, 40, (80, 2))], axis=1)
        scores = (generator.permutation(80) + 1) / 80
        expected = kept_by_definition(boxes.tolist(), scores.tolist(), 0.4507, 0)
        kept, indices = nms(boxes.astype(np.float32), scores.astype(np.float32), 0.4507)
        assert indices.tolist() == expected
        np.testing.assert_allclose(kept[:, 4], scores[expected], rtol=1e-6)

    def test_roi_align_through_mmcv(self):
        compat.prepare()
        from mmcv.ops import RoIAlign

        # A slope: the mean over a part of a box is the height of its middle.
        x, y = torch.arange(20.0), torch.arange(16.0)[:, None]
        slope = (3 * x + 7 * y)[None, None]
        rois = torch.tensor([[0, 16, 20, 104, 88.0]])
        found = RoIAlign((2, 4), spatial_scale=1 / 8, sampling_ratio=0)(slope, rois)
        left, top, step_x, step_y = 2 - 0.5, 2.5 - 0.5, 11 / 4, 8.5 / 2
        columns = left + step_x * (torch.arange(4) + 0.5)
        rows = top + step_y * (torch.arange(2) + 0.5)
        expected = 3 * columns + 7 * rows[:, None]
        torch.testing.assert_close(found[0, 0], expected, rtol=1e-5, atol=1e-4)

    def test_operations_that_are_not_there_say_so(self):
        compat.prepare()
        from mmcv.ops import soft_nms

        if not isinstance(sys.modules["mmcv._ext"], compat._Operations):
            pytest.skip("compiled mmcv")
        boxes = np.array([[0, 0, 1, 1.0]], np.float32)
        message = the_error(lambda: soft_nms(boxes, np.ones(1, np.float32)))
        assert "softnms" in message
        assert "mmcv-lite lacks" in message


def test_torchvision_whose_compiled_part_cannot_be_loaded():
    if find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    code = """
import sys
import torch
real = torch.ops.load_library
def broken(path):
    if "torchvision" in str(path):
        raise OSError("libtorch_cuda.so: cannot open shared object file")
    return real(path)
torch.ops.load_library = broken
try:
    import torchvision
except RuntimeError as error:
    assert "torchvision::nms" in str(error)
else:
    raise SystemExit("not broken")
from detectors2d.mm import compat
torchvision = compat.import_torchvision()
boxes = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30.0]])
scores = torch.tensor([0.5, 0.9, 0.7])
kept = torchvision.ops.nms(boxes, scores, 0.5).tolist()
slope = (3 * torch.arange(20.0) + 7 * torch.arange(16.0)[:, None])[None, None]
roi = torch.tensor([[0, 2, 4, 10, 8.0]])
mean = torchvision.ops.roi_align(slope, roi, (1, 1), sampling_ratio=2, aligned=True)
print(kept, round(mean.item(), 4), "torch._inductor.compile_fx" in sys.modules)
"""
    assert run(code) == f"[1, 2] {3 * 5.5 + 7 * 5.5} False"
