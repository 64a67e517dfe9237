"""``pose3d live``: a camera, a stream or a file in, 3D skeletons at once."""

from __future__ import annotations

import shlex
import time
from collections import Counter, deque
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from pose3d import options, terminal
from weights.errors import Pose3dError

if TYPE_CHECKING:
    from pipeline.capture import CameraSource, FileSource
    from pipeline.live import Moment
    from pipeline.recording import Recording
    from pipeline.streams import StreamSource

# Pictures over which the shown speed and latency are taken.
RECENT = 30
# Of the file, beside the result that will be, in which a recording is until its end.
UNFINISHED = ".part"


def live(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help="A video, played at its own rate; - is standard input.",
            show_default=False,
        ),
    ] = None,
    camera: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Number of the camera. [dim]\\[default: 0][/dim]"),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A stream: rtsp://..., http://..., tcp://..."),
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Show the skeletons in a window; q or Esc ends it.")
    ] = False,
    serve: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help="Show the skeletons on a page that this machine alone can open; 0 is any free "
            "port. [dim]\\[default: 0, unless --show or --record][/dim]",
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Serve the page at this address, for others (0.0.0.0: all)."
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npz", help="Write the result of the pictures worked on."),
    ] = None,
    recover: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz.part", help="Only finish the recording of a run that was killed."
        ),
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
    if sum(given is not None for given in (source, camera, url, recover)) > 1:
        raise Pose3dError("FILE, --camera, --url and --recover exclude each other: give one")
    if source is not None and "://" in source:
        raise Pose3dError("a stream is given by --url, not as a file")
    if record is not None and record.suffix != ".npz":
        raise Pose3dError(f"{record}: a result is an .npz; choose a name that ends in .npz")
    if recover is not None:
        if show or not all(given is None for given in (serve, host, seconds)):
            raise Pose3dError("--recover only finishes a recording: leave out all but --record")
        _recover(recover, record)
        return
    # The networks' libraries take seconds to import: not for --help or a wrong flag.
    from pipeline import detection
    from pipeline.lifting import focal_length
    from pipeline.live import CausalLifter, follow
    from pipeline.mjpeg import HOST, MjpegServer
    from pipeline.process import open_lifter
    from pipeline.recording import Recording
    from pipeline.rendering.live import LiveView
    from pipeline.settings import make_settings
    from pipeline.window import Window, check_display

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
        _check_record(record, source)
    if show:
        check_display()
    network = open_lifter(settings)
    with ExitStack() as stack:
        detector = stack.enter_context(detection.MediaPipePose())
        page = None
        if serve is not None or host is not None or not (show or record is not None):
            page = stack.enter_context(MjpegServer(serve or 0, host or HOST))
            if not page.is_private:
                terminal.warn(f"everybody who reaches {page.url} can watch, without a password")
        pictures = _open(source, camera, url)
        view = LiveView(pictures.size, focal_length(pictures.size, fov))
        window = stack.enter_context(Window(view.size)) if show else None
        recording = None
        if record is not None:
            unfinished = Path(f"{record}{UNFINISHED}")
            recording = Recording(
                unfinished, pictures.name, pictures.size, pictures.frame_rate, network, settings
            )
            stack.callback(_finish, unfinished, record, recording)
            stack.enter_context(recording)
        if page is not None:
            print(page.url, flush=True)
        status = stack.enter_context(_Status(quiet))
        began = time.monotonic()

        def over() -> bool:
            late = seconds is not None and time.monotonic() - began >= seconds
            return late or (window is not None and window.closed())

        frames = stack.enter_context(closing(pictures.frames(over)))
        causal = CausalLifter(network, pictures.size, settings)
        with suppress(KeyboardInterrupt):  # the usual end
            for moment in follow(frames, detector, causal):
                if recording is not None:
                    recording.add(moment)
                watched = page is not None and page.watched
                if watched or window is not None:
                    image = view.draw(moment, status.words)
                    if watched:
                        page.show(image)
                    if window is not None:
                        window.show(image)
                ended = over()
                status.add(moment)
                if ended:
                    break


def _open(
    source: str | None, camera: int | None, url: str | None
) -> FileSource | CameraSource | StreamSource:
    from pipeline.capture import CameraSource, FileSource
    from pipeline.streams import STDIN, StreamSource

    if url is not None or source == STDIN:
        return StreamSource(STDIN if url is None else url, terminal.warn)
    return FileSource(source) if source is not None else CameraSource(camera or 0)


def _check_record(record: Path, source: str | None) -> None:
    """Before the long work; makes the folder, where the recording is from the beginning."""
    from pipeline.process import check_targets, make_folder

    targets = [record, Path(f"{record}{UNFINISHED}")]
    try:
        check_targets(Path(source or ""), record.parent, targets)
        make_folder(record.parent)
    except Pose3dError as error:
        raise Pose3dError(str(error).replace("--output", "--record")) from None


def _finish(unfinished: Path, record: Path, recording: Recording) -> None:
    """Also when a camera fails: what was recorded is kept."""
    from pipeline.recording import read_recording

    try:
        if len(recording):
            read_recording(unfinished).save(record)
            print(record, flush=True)
        unfinished.unlink()
    except BaseException:
        path = shlex.quote(str(unfinished))
        terminal.warn(f"{unfinished} keeps the recording: pose3d live --recover {path}")
        raise


def _recover(unfinished: Path, record: Path | None) -> None:
    """Make a result of what a run that was killed has recorded; that is left to the user."""
    from pipeline.recording import read_recording

    if record is None:
        if unfinished.suffix != UNFINISHED:
            raise Pose3dError(f"{unfinished}: give the .npz.part of a recording, or --record too")
        record = unfinished.with_suffix("")
    result = read_recording(unfinished)
    if record.exists():
        raise Pose3dError(f"{record} is there already: give another --record")
    result.save(record)
    print(record, flush=True)
    terminal.warn(f"{unfinished} is no longer needed, if no run writes to it")


class _Status:
    """A line about speed and latency, while it runs and at its end."""

    def __init__(self, quiet: bool) -> None:
        self.words = "starting"
        self._quiet = quiet
        self._ends: deque[float] = deque(maxlen=RECENT + 1)
        self._latencies: deque[float] = deque(maxlen=RECENT)
        self._of_all: Counter[int] = Counter()  # ms; grows no more in hours
        self._dropped = 0
        self._line = terminal.errors.status(self.words)

    def __enter__(self) -> _Status:
        self._began = time.monotonic()
        if not self._quiet and terminal.errors.is_terminal:
            self._line.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._line.stop()
        count = self._of_all.total()
        if count and not self._quiet:
            spent = time.monotonic() - self._began
            middle = median(self._of_all.elements())
            terminal.errors.print(
                f"{count} frames in {spent:.1f} s, {count / spent:.0f} frames/s, "
                f"{self._dropped} dropped, latency {middle:.0f} ms (median)"
            )

    def add(self, moment: Moment) -> None:
        """Tell of a moment that was just shown: its latency ends now."""
        now = time.monotonic()
        late = now - moment.captured.due_s
        self._ends.append(now)
        self._latencies.append(late)
        self._of_all[round(late * 1000)] += 1
        self._dropped = moment.captured.dropped
        span = self._ends[-1] - self._ends[0]
        speed = (len(self._ends) - 1) / span if span > 0 else 0.0
        self.words = (
            f"{speed:.0f} frames/s, latency {median(self._latencies) * 1000:.0f} ms, "
            f"{self._dropped} dropped"
        )
        self._line.update(self.words)
