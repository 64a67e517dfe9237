"""Tiny clips for tests, made on the spot with PyAV."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

COLOURS = np.array([[220, 40, 40], [40, 200, 60], [50, 70, 220], [235, 235, 235]], np.uint8)
SOUND_RATE = 48_000
MATRICES = {"bt709": (1, 1), "bt601": (6, 5)}  # AVColorSpace, number swscale gives it


def quadrants(width: int, height: int) -> np.ndarray:
    """(H, W, 3) RGB: red, green / blue, white; tells every rotation from every other."""
    image = np.empty((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = COLOURS[0]
    image[: height // 2, width // 2 :] = COLOURS[1]
    image[height // 2 :, : width // 2] = COLOURS[2]
    image[height // 2 :, width // 2 :] = COLOURS[3]
    return image


def quadrant_colours(image: np.ndarray) -> np.ndarray:
    """(4, 3) colours at the centres of the quadrants of an (H, W, 3) picture."""
    height, width = image.shape[:2]
    rows, columns = (height // 4, 3 * height // 4), (width // 4, 3 * width // 4)
    return np.array([image[y, x] for y in rows for x in columns], int)


def numbered(index: int, width: int, height: int) -> np.ndarray:
    """(H, W, 3) grey picture whose level tells its number, 0-59 (see `number_of`)."""
    return np.full((height, width, 3), 10 + 4 * index, np.uint8)


def number_of(image: np.ndarray) -> int:
    """The index of a `numbered` picture."""
    return round((float(image.mean()) - 10) / 4)


def make_clip(
    path: str | Path,
    *,
    size: tuple[int, int] = (64, 48),
    rate: Fraction = Fraction(30),
    frames: int = 30,
    rotation: int = 0,
    pixel_format: str = "yuv420p",
    audio: bool | str = False,
    audio_seconds: float | None = None,
    times: Sequence[float] | None = None,
    image: Callable[[int], np.ndarray] | None = None,
    codec: str = "libx264",
    matrix: str | None = "bt601",
    full_range: bool = False,
    aspect: Fraction | None = None,
    container_options: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Writes a clip; the suffix of `path` chooses the container. Returns the path.

    size: (width, height) as stored. rotation: degrees clockwise that a player turns the picture.
    times: seconds of each frame (variable rate) in place of `frames` at `rate`.
    image: index -> (H, W, 3) RGB as stored; `quadrants` if not given.
    audio: a 1 kHz tone, True for AAC or the name of an encoder; as long as the pictures by default.
    matrix: tagged and used; None is BT.601 without a tag. aspect: of a stored pixel.
    """
    width, height = size
    path = Path(path)
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        ticks = 90_000
        stream = container.add_stream(
            codec,
            rate=rate,
            width=width,
            height=height,
            time_base=Fraction(1, ticks) if times is not None else 1 / Fraction(rate),
            options={"crf": "4", "preset": "ultrafast"} if options is None else options,
        )
        stream.pix_fmt = pixel_format
        context = stream.codec_context
        tag, number = MATRICES[matrix or "bt601"]
        if matrix is not None:
            context.colorspace = context.color_primaries = context.color_trc = tag
            context.color_range = 2 if full_range else 1
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(-rotation)
        sound = None
        if audio:
            sound = container.add_stream("aac" if audio is True else audio, rate=SOUND_RATE)
            sound.layout = "mono"
        count = frames if times is None else len(times)
        for index in range(count):
            picture = quadrants(width, height) if image is None else image(index)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format=pixel_format,
                dst_colorspace=number,
                src_color_range=2,
                dst_color_range=2 if full_range else 1,
            )
            frame.time_base = context.time_base
            frame.pts = index if times is None else round(times[index] * ticks)
            frame.duration = 1 if times is None else round(ticks / rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            end = float(count / rate) if times is None else times[-1]
            _write_tone(container, sound, end if audio_seconds is None else audio_seconds)
    return path


def _write_tone(container, stream, seconds: float) -> None:
    """A 1 kHz tone whose loudness rises with time, so that a shift shows."""
    moments = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    wave = np.sin(2 * np.pi * 1000 * moments) * (0.1 + 0.8 * moments / max(seconds, 1e-9))
    for begin in range(0, len(wave), 1024):
        part = wave[None, begin : begin + 1024].astype(np.float32)
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
        frame.sample_rate = SOUND_RATE
        frame.time_base = Fraction(1, SOUND_RATE)
        frame.pts = begin
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
