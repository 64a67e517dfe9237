"""What training pictures of people are made of, rendered from the man of boxes."""

import itertools

import cv2
import numpy as np
import pytest

from detectors2d.training.people.compose import Stock, still
from detectors2d.training.people.stock import SIZE, main
from detectors2d.training.rendered_people.assets import Assets
from detectors2d.training.rendered_people.studio import cut_outs
from tests.detectors2d import box_man

pytestmark = pytest.mark.skipif(box_man.opengl_is_missing(), reason="needs moderngl and an EGL")


@pytest.fixture(scope="module")
def assets(tmp_path_factory):
    return box_man.write_assets(tmp_path_factory.mktemp("people"))


def test_cut_outs_reach_their_borders(assets):
    for cut in itertools.islice(cut_outs(Assets(assets), 3, (96, 128)), 5):
        height, width = cut.shape[:2]
        assert cut.dtype == np.uint8
        assert width <= 96
        assert height <= 128
        assert width > 88 or height > 118  # it filled the picture before
        alpha = cut[..., 3]
        assert set(np.unique(alpha)) == {0, 255}
        assert all(side.any() for side in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))


def test_a_stock_goes_on(assets, tmp_path, capsys):
    folder = tmp_path / "stock"
    order = [str(folder), "--assets", str(assets), "--seed", "5"]
    assert main([*order, "--people", "2", "--places", "3"]) == 0
    kept = {path: path.read_bytes() for path in folder.rglob("*.*")}
    assert main([*order, "--people", "3", "--places", "12"]) == 0
    assert all(path.read_bytes() == content for path, content in kept.items())
    stock = Stock([folder])
    assert len(stock.people) == 3
    assert len(stock.places) == 12
    for number in range(12):
        image, owners = stock.place(number)
        assert image.shape == (*SIZE[::-1], 3)
        assert owners.shape == SIZE[::-1]
    # About half of the places have people.
    assert sum(len(still(stock, n, SIZE).boxes) > 0 for n in range(12)) in range(1, 12)
    assert cv2.imread(str(folder / "people/000002.webp"), cv2.IMREAD_UNCHANGED).shape[2] == 4


def test_assets_that_are_not_there(tmp_path, capsys):
    assert main([str(tmp_path / "stock"), "--assets", str(tmp_path / "none")]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
