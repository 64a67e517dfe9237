"""What ``pose3d doctor`` tries out in processes of their own: imports may be slow, or crash.

Nothing but the standard library is imported before a check runs.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import io
import json
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass

# All is well; worth knowing; broken, but not needed by the main job; the main job needs it.
GOOD, NOTE, FAULT, STOP = "good", "note", "fault", "stop"
# State, what was found, and how to mend it; None where there is nothing to say.
Answer = tuple[str, str, str] | None

# What errors say, and what helps.
_KNOWN_ERRORS = (
    (r"numpy\.dtype size changed|NumPy 1\.x|numpy\.core\.multiarray|_ARRAY_API", "numpy"),
    (r"pkg_resources", "setuptools"),
)
_LIBRARIES = r"lib(GL|gthread|glib)[-.\w]*: cannot open shared object"
_PACKAGES = {"cv2": "opencv-python"}  # of modules that are called otherwise
_CPU_FEATURES = {
    "avx2": "AVX2",
    "avx512_f": "AVX-512",
    "avx512_bf16": "AVX512-BF16",
    "amx_bf16": "AMX-BF16",
}


@dataclass(frozen=True)
class Check:
    """Something to try.

    failed, mend : the state if it raises or crashes, and what may help
    package : without it, if it is given, there is nothing to try
    """

    section: str
    name: str
    run: Callable[[], Answer]
    failed: str
    mend: str
    package: str = ""

    @property
    def absent(self) -> bool:
        """Whether its package is not installed."""
        return bool(self.package) and importlib.util.find_spec(self.package) is None


def install(package: str) -> str:
    """The command that installs a package in the version that pose3d asks for."""
    return f'pip install "{_requirements().get(package, package)}"'


@functools.cache
def _requirements() -> dict[str, str]:
    """Packages that pose3d asks for, with their versions: ``{"numpy": "numpy>=1.26,<2"}``."""
    try:
        rows = importlib.metadata.requires("pose3d") or []
    except importlib.metadata.PackageNotFoundError:  # a folder of sources alone
        rows = []
    return {re.match(r"[-.\w]*", row)[0]: row.partition(";")[0].strip() for row in rows}


def told(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return (text if name == "Pose3dError" else f"{name}: {text}".removesuffix(": "))[:300]


def failure(check: Check, reason: str) -> tuple[str, str, str]:
    """The answer of a check that failed."""
    found, how, command = reason.partition(": pip install ")
    if re.search(_LIBRARIES, reason):  # which pip does not install
        return check.failed, found, "apt-get install libgl1 libglib2.0-0"
    if how:  # our own errors say what helps
        return check.failed, found, f"pip install {command}"
    absent = re.search(r"No module named '(\w+)", reason)
    package = _PACKAGES.get(absent[1], absent[1]) if absent else ""
    if package in _requirements():
        return check.failed, reason, install(package)
    for words, package in _KNOWN_ERRORS:
        if re.search(words, reason):
            return check.failed, reason, install(package)
    return check.failed, reason, check.mend


def main(group: str) -> None:
    """Run the checks of a group; a JSON line each: name, state, found, mend."""
    # What libraries print must not be taken for answers.
    report = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    failed: dict[str, str] = {}
    for check in groups()[group]:
        try:
            answer = None if check.absent else check.run()
        except BaseException as error:  # SystemExit, too
            reason = told(error)
            before = failed.setdefault(reason, check.name)
            answer = failure(check, reason)
            if before != check.name:
                answer = check.failed, f"fails as {before} does", ""
        report.write(json.dumps([check.name, *(answer or ())]) + "\n")
        report.flush()
    # Some libraries crash when a process ends in order.
    os._exit(0)


def _torch() -> Answer:
    import torch

    return GOOD, f"{torch.__version__} imports, {torch.get_num_threads()} threads", ""


def _gpus() -> Answer:
    import torch

    if torch.backends.mps.is_available():
        return GOOD, "Apple's (MPS), which pose3d does not use", ""
    if torch.version.cuda is None and torch.version.hip is None:
        return GOOD, "none: this torch is built for CPUs", ""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        there = torch.cuda.is_available()
    if not there:
        why = f" ({' '.join(str(said[0].message).split())[:160]})" if said else ""
        found = f"none that torch, built for CUDA {torch.version.cuda}, can use{why}"
        return NOTE, found, "nvidia-smi tells whether there is a driver, and a GPU"
    # A GPU that is too old for this torch fails only now.
    float(torch.ones(1, device="cuda").sum())
    gpus = []
    for number in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(number)
        memory = f"{gpu.total_memory / 2**30:.0f} GiB"
        gpus.append(f"cuda:{number} {gpu.name}, {memory}, capability {gpu.major}.{gpu.minor}")
    return GOOD, f"{'; '.join(gpus)}; CUDA {torch.version.cuda}", ""


def _precision() -> Answer:
    import torch

    from pipeline.compute import choose_device, choose_precision

    device = choose_device("auto")
    precision = choose_precision("auto", device)
    name = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[precision]
    has = getattr(torch.cpu, "get_capabilities", dict)()
    features = [told for key, told in _CPU_FEATURES.items() if has.get(key)]
    return GOOD, f"{name} on {device} (the CPU has {', '.join(features) or 'none of AVX'})", ""


def _lifting() -> Answer:
    import lifters3d
    import pipeline.process  # noqa: F401
    from pipeline.settings import Settings

    name = Settings().lifter
    lifters3d.load(name)
    return GOOD, f"{name} loads", ""


def _pose2d() -> Answer:
    from detectors2d.mm import compat
    from pipeline import networks
    from pipeline.settings import Settings
    from weights import store

    name, advice = networks.choose_pose2d(Settings())
    if name == "mediapipe":
        several, _ = networks.choose_pose2d(Settings(people="all"))
        return GOOD, f"mediapipe for one person, {several} for several", advice
    people = networks.choose_detector(Settings())
    missing = [package for package in compat.PACKAGES if not importlib.util.find_spec(package)]
    if people in store.public() and missing:
        return STOP, f"{name}, people by {people}, which lacks {', '.join(missing)}", compat.INSTALL
    return GOOD, f"{name}, people by {people}", advice


def _torchvision() -> Answer:
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        from detectors2d.mm.compat import import_torchvision

        found = "built for another torch; pose3d replaces what does not load"
        index = "--index-url https://download.pytorch.org/whl/cpu"
        version = import_torchvision().__version__
        mend = f"{install('torchvision')} --force-reinstall --no-deps {index}"
        return NOTE, f"{version}, {found}", mend
    return GOOD, f"{torchvision.__version__} imports", ""


def _openmmlab() -> Answer:
    from detectors2d.mm import compat

    compat.prepare()
    return GOOD, f"{', '.join(compat.PACKAGES)} import", ""


def _opencv() -> Answer:
    import cv2
    import numpy as np

    if not hasattr(cv2, "line"):
        raise ImportError("its folder is empty: another OpenCV package took its files away")
    image = np.zeros((8, 8, 3), np.uint8)
    cv2.line(image, (0, 0), (7, 7), (255, 255, 255))
    if not image.any():
        raise RuntimeError("it does not draw")
    return GOOD, f"{cv2.__version__} draws", ""


def _pyav() -> Answer:
    import av

    numbers = [
        f"{name} {'.'.join(map(str, version))}"
        for name, version in av.library_versions.items()
        if name in ("libavcodec", "libavformat", "libswscale")
    ]
    ffmpeg = getattr(av, "ffmpeg_version_info", "")
    return GOOD, f"{av.__version__}, FFmpeg {ffmpeg}: {', '.join(numbers)}", ""


def _video(decoder: str, encoder: str, container: str) -> Answer:
    """Three frames through an encoder and back; for codecs that are read alone, if it is there."""
    import av
    import numpy as np

    if encoder not in av.codecs_available:
        if decoder == "h264":
            raise RuntimeError(f"this FFmpeg cannot write it: no {encoder}")
        av.codec.Codec(decoder, "r")
        return GOOD, f"decoder {decoder} is there (not tried: no {encoder})", ""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(encoder, rate=25, width=64, height=64)
        stream.pix_fmt = "yuv420p"
        for level in (40, 120, 200):
            image = np.full((64, 64, 3), level, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as source:
        levels = [frame.to_ndarray(format="rgb24").mean() for frame in source.decode(video=0)]
        reader = source.streams.video[0].codec_context.codec.name
    if len(levels) != 3 or not np.allclose(levels, (40, 120, 200), atol=12):
        raise RuntimeError(f"three frames came back as {len(levels)} others")
    return GOOD, f"written by {encoder}, read by {reader}", ""


def _aac() -> Answer:
    import av
    import numpy as np

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=48_000)
        stream.layout = "mono"
        for _ in range(4):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate = 48_000
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as source:
        samples = sum(frame.samples for frame in source.decode(audio=0))
    if samples < 4096:
        raise RuntimeError(f"4096 samples came back as {samples}")
    return GOOD, "written and read", ""


def _mediapipe() -> Answer:
    import numpy as np

    from detectors2d.mediapipe import MediaPipePose

    with MediaPipePose() as detector:
        detector.detect(np.full((48, 64, 3), 128, np.uint8))
    return GOOD, f"{importlib.metadata.version('mediapipe')} runs", ""


@functools.cache
def groups() -> dict[str, tuple[Check, ...]]:
    """The checks of every process; later ones in it find what earlier ones imported."""
    mediapipe = 'pip install "pose3d[mediapipe]"'
    av = f"{install('av')} --force-reinstall"
    opencv = f"{install('opencv-python')} --force-reinstall --no-deps"
    torch = f"{install('torch')} --force-reinstall"
    vision, mmlab = install("torchvision"), 'pip install "pose3d[mm]"'
    again = "install pose3d again"
    return {
        "networks": (
            Check("Main job", "PyTorch", _torch, STOP, torch),
            Check("Devices", "GPUs", _gpus, FAULT, "use --device cpu"),
            Check("Devices", "--precision auto", _precision, FAULT, "use --precision fp32"),
            Check("Main job", "lifting", _lifting, STOP, again),
            Check("Main job", "--pose2d auto", _pose2d, STOP, again),
            Check("Main job", "torchvision", _torchvision, FAULT, vision, "torchvision"),
            Check("Main job", "OpenMMLab", _openmmlab, FAULT, mmlab, "mmengine"),
        ),
        "pictures": (
            Check("Main job", "OpenCV", _opencv, STOP, opencv),
            Check("Codecs", "PyAV", _pyav, STOP, av),
            Check("Codecs", "H.264", lambda: _video("h264", "libx264", "mp4"), STOP, av),
            Check("Codecs", "AAC", _aac, FAULT, av),
            Check("Codecs", "HEVC", lambda: _video("hevc", "libx265", "mp4"), FAULT, av),
            Check("Codecs", "VP9", lambda: _video("vp9", "libvpx-vp9", "webm"), FAULT, av),
            Check("Codecs", "AV1", lambda: _video("libdav1d", "libsvtav1", "mp4"), FAULT, av),
        ),
        "mediapipe": (Check("Main job", "MediaPipe", _mediapipe, FAULT, mediapipe),),
    }
