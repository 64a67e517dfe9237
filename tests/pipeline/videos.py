"""What tests of video files share: clips with numbered pictures, and readers other than ours."""

from fractions import Fraction

import av
import cv2
import numpy as np

from tests.pipeline.clips import make_clip, numbered

NTSC = Fraction(30000, 1001)


def count(path, **kwargs):
    return make_clip(path, image=lambda i: numbered(i, 64, 48), **kwargs)


def opencv_pictures(path):
    """(F, H, W, 3) RGB upright, and the frame rate, as OpenCV reads them."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    pictures = []
    while True:
        ok, picture = capture.read()
        if not ok:
            return np.array(pictures), capture.get(cv2.CAP_PROP_FPS)
        pictures.append(picture[:, :, ::-1])


def stamps(path, kind="video"):
    """Presentation seconds of the packets of a stream, sorted, straight from the file."""
    with av.open(str(path)) as container:
        packets = container.demux(getattr(container.streams, kind)[0])
        return sorted(float(p.pts * p.time_base) for p in packets if p.size)
