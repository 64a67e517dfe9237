"""``pose3d live``: a camera, a stream or a file in, 3D skeletons at once."""

from __future__ import annotations

import time
from collections import deque
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose3d import options, terminal
from weights.errors import Pose3dError

if TYPE_CHECKING:
    from pipeline.capture import CameraSource, FileSource
    from pipeline.live import Moment, Recording

# Pictures over which the shown speed is taken.
SPEED_OVER = 30


def live(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="A video, played at its own rate.", show_default=False
        ),
    ] = None,
    camera: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Number of the camera. [dim]\\[default: 0][/dim]"),
    ] = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="A stream: rtsp://..., http://...")
    ] = None,
    serve: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help="Show the skeletons on a page that this machine alone can open; 0 is any free "
            "port. [dim]\\[default: 0, unless --record][/dim]",
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npz", help="Write the result of the pictures worked on."),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, help="Stop after this time.")
    ] = None,
    lifter: Annotated[str, typer.Option(help="Lifter: its name or a weights file.")] = "poseformer",
    flip: options.Flip = None,
    fov: options.Fov = None,
    device: options.Device = None,
    precision: options.Precision = None,
    quiet: options.Quiet = False,
) -> None:
    """Turn one person in front of a camera into 3D skeletons, at once.

    Every picture is lifted from it and earlier ones alone; when that takes too long, pictures are
    dropped, and the newest comes next. Ctrl-C ends it.

    Example: pose3d live --camera 0 --serve 8000 --record session.npz
    """
    if sum(given is not None for given in (source, camera, url)) > 1:
        raise Pose3dError("FILE, --camera and --url exclude each other: give one")
    if record is not None and record.suffix != ".npz":
        raise Pose3dError(f"{record}: a result is an .npz; choose a name that ends in .npz")
    # The networks' libraries take seconds to import: not for --help or a wrong flag.
    from pipeline import detection
    from pipeline.capture import CameraSource, FileSource
    from pipeline.lifting import focal_length
    from pipeline.live import CausalLifter, Recording, follow
    from pipeline.mjpeg import MjpegServer
    from pipeline.process import check_targets, open_lifter
    from pipeline.rendering.live import LiveView
    from pipeline.settings import make_settings

    settings = make_settings(
        lifter=lifter,
        pose2d="mediapipe",
        causal=True,
        flip=flip,
        fov=fov,
        device=device,
        precision=precision,
    )
    if record is not None:
        check_targets(source or Path(), record.parent, [record])
    network = open_lifter(settings)
    with ExitStack() as stack:
        detector = stack.enter_context(detection.MediaPipePose())
        pictures: FileSource | CameraSource
        pictures = FileSource(source) if source is not None else CameraSource(url or camera or 0)
        recording = Recording(pictures.name, pictures.size, pictures.frame_rate)
        page = None
        if serve is not None or record is None:
            page = stack.enter_context(MjpegServer(serve or 0))
            view = LiveView(pictures.size, focal_length(pictures.size, fov))
            print(page.url, flush=True)
        if record is not None:
            stack.callback(_save, recording, record, network, settings)
        show = stack.enter_context(_Status(quiet))
        frames = stack.enter_context(closing(pictures.frames()))
        causal = CausalLifter(network, pictures.size, settings)
        with suppress(KeyboardInterrupt):  # the usual end
            for moment in follow(frames, detector, causal):
                words = show(moment)
                if record is not None:
                    recording.add(moment)
                if page is not None and page.watched:
                    page.show(view.draw(moment, words))
                if seconds is not None and moment.captured.time_s >= seconds:
                    break


def _save(recording: Recording, path: Path, network, settings) -> None:
    """Also when a camera fails: what was recorded is kept."""
    from pipeline.process import make_folder

    if len(recording):
        make_folder(path.parent)
        recording.result(network, settings).save(path)
        print(path, flush=True)


class _Status:
    """A line about speed and latency, while it runs and at its end."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._ends: deque[float] = deque(maxlen=SPEED_OVER)
        self._latencies: list[float] = []
        self._dropped = 0
        self._line = terminal.errors.status("starting")

    def __enter__(self) -> _Status:
        self._began = time.monotonic()
        if not self._quiet and terminal.errors.is_terminal:
            self._line.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._line.stop()
        count = len(self._latencies)
        if count and not self._quiet:
            spent = time.monotonic() - self._began
            middle = sorted(self._latencies)[count // 2]
            terminal.errors.print(
                f"{count} frames in {spent:.1f} s, {count / spent:.0f} frames/s, "
                f"{self._dropped} dropped, latency {middle * 1000:.0f} ms (median)"
            )

    def __call__(self, moment: Moment) -> str:
        """What is told of a moment, which has just been worked on."""
        self._ends.append(time.monotonic())
        self._latencies.append(moment.latency_s)
        self._dropped = moment.captured.dropped
        span = self._ends[-1] - self._ends[0]
        speed = (len(self._ends) - 1) / span if span > 0 else 0.0
        words = (
            f"{speed:.0f} frames/s, latency {moment.latency_s * 1000:.0f} ms, "
            f"{self._dropped} dropped"
        )
        self._line.update(words)
        return words
