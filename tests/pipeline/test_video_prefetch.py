"""Reading ahead in a thread: order, bounds, exceptions, and an end."""

import threading
import time

import pytest

from pipeline.video import VideoReader, prefetch
from tests.pipeline.videos import count
from weights.errors import Pose3dError


def test_prefetch_keeps_order_and_bounds():
    made = []

    def source():
        for i in range(100):
            made.append(i)
            yield i

    ahead = 0
    seen = []
    for item in prefetch(source(), depth=4):
        seen.append(item)
        ahead = max(ahead, len(made) - len(seen))
        if item < 3:
            time.sleep(0.01)
    assert seen == list(range(100))
    assert 1 <= ahead <= 6


def test_prefetch_passes_exceptions_on():
    def source():
        yield 1
        raise Pose3dError("from the thread")

    items = prefetch(source())
    assert next(items) == 1
    with pytest.raises(Pose3dError, match="from the thread"):
        next(items)


def test_prefetch_ends_with_its_consumer(tmp_path):
    path = count(tmp_path / "clip.mp4")
    before = threading.active_count()
    with VideoReader(path) as reader:
        for frame in prefetch(reader, depth=2):
            if frame.index == 3:
                break
        assert threading.active_count() == before
    for item in prefetch(iter(int, 1), depth=2):  # endless
        assert item == 0
        break
    assert threading.active_count() == before
