"""`pose3d doctor`, in this environment and in ones that pretend to be broken."""

import importlib.util
import io
import json
import os
import re
import sys
from importlib.util import find_spec

import pytest
import torch
import typer
from typer.testing import CliRunner

from pose3d import doctor, probes
from pose3d.doctor import Finding
from pose3d.probes import FAULT, GOOD, NOTE, STOP
from weights import store

# The modules that are tried out; these fail at once, so that nothing else takes time.
TRIED = ("torch", "cv2", "av", "mediapipe")
METADATA = """Metadata-Version: 2.1
Name: {name}
Version: {version}
"""
REQUIRED = """Requires-Python: >=3.10
Provides-Extra: mm
Provides-Extra: mediapipe
Provides-Extra: test
Requires-Dist: numpy<2,>=1.26
Requires-Dist: opencv-python==4.11.0.86
Requires-Dist: tomli>=2; python_version < "3.0"
Requires-Dist: absent-one>=3
Requires-Dist: mmcv-lite==2.1.0; extra == "mm"
Requires-Dist: setuptools<82; extra == "mm"
Requires-Dist: mediapipe==0.10.21; extra == "mediapipe"
Requires-Dist: absent-other; extra == "test"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder whose packages come before the installed ones; caches forget the others."""
    place = tmp_path / "packages"
    place.mkdir()
    monkeypatch.syspath_prepend(place)
    probes._requirements.cache_clear()
    probes.groups.cache_clear()
    yield place
    probes._requirements.cache_clear()
    probes.groups.cache_clear()


@pytest.fixture
def module(folder):
    """Writes a package of this name."""

    def write(name, text="raise ImportError('not for this test')"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(text, encoding="utf-8")

    return write


@pytest.fixture
def distribution(folder):
    """Writes what pip would know of a package."""

    def write(name, version, more=""):
        place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        place.mkdir()
        text = METADATA.format(name=name, version=version) + more
        (place / "METADATA").write_text(text, encoding="utf-8")

    return write


@pytest.fixture
def broken(module):
    """Writes the given modules in place of those that are tried; the rest fails, and quickly."""

    def write(**texts):
        for name in TRIED:
            module(name, texts[name]) if name in texts else module(name)
        return {finding.name: finding for finding in doctor.examine()}

    return write


def run(*arguments):
    """Exit code and output of the command."""
    app = typer.Typer()
    app.command()(doctor.doctor)
    result = CliRunner().invoke(app, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def here():
    """The real thing, once: exit code, output, and the findings."""
    with pytest.MonkeyPatch.context() as patch:
        findings = doctor.examine()
        patch.setattr(doctor, "examine", lambda: findings)
        return run(), run("--json"), {finding.name: finding for finding in findings}


def test_this_environment_runs_the_main_job(here):
    (code, out), _, found = here
    assert code == 0, out
    assert out.endswith("The main job, pose3d video, can run.\n")
    assert not re.search("^[X!] ", out.partition("Main job")[2].partition("- worth")[0], re.M)
    assert found["PyTorch"].found.startswith(f"{torch.__version__} imports")
    assert found["H.264"] == Finding("Codecs", "H.264", GOOD, "written by libx264, read by h264")
    for codec in ("AAC", "HEVC", "VP9", "AV1"):
        assert found[codec].state == GOOD
    assert set(re.findall(r"[\w-]+", found["shipped"].found)) >= set(store.entries())
    assert "mixste" in found["lifting"].found
    assert f"of {os.cpu_count()} cores" in found["CPU"].found
    if not torch.cuda.is_available():
        assert found["GPUs"].found.startswith("none")
        assert "on cpu" in found["--precision auto"].found


def test_plain_text_of_80_columns_when_piped(here):
    (_, out), _, _ = here
    assert out.isascii()
    lines = out.splitlines()
    assert all(line.isprintable() and line == line.rstrip() and len(line) <= 80 for line in lines)
    assert [line for line in lines if line in doctor.SECTIONS] == list(doctor.SECTIONS)


def test_json_says_the_same(here):
    (_, out), (code, told), found = here
    report = json.loads(told)
    assert (code, report["works"]) == (0, True)
    # (A package may be named twice: its version, and what it is for.)
    assert list(dict.fromkeys(row["name"] for row in report["findings"])) == list(found)
    words = " ".join(out.split())
    for row in report["findings"]:
        assert set(row) == {"section", "name", "state", "found", "mend"}
        assert " ".join(f"{row['name']} {row['found']}".split()) in words
        assert " ".join(row["mend"].split()) in words


def test_everything_is_broken(broken, monkeypatch):
    """Imports that fail in every way: one line each, with what helps, and exit code 1."""
    found = broken(
        torch="raise ValueError('numpy.dtype size changed,\\nmay indicate incompatibility')",
        cv2="",  # what is left when one of two OpenCV packages is removed
        av="import os; print('noise', flush=True); os.abort()",
        mediapipe="__version__ = '0.10.35'",
    )
    assert found["PyTorch"].state == found["lifting"].state == STOP
    assert "size changed, may" in found["PyTorch"].found
    assert found["PyTorch"].mend.startswith('pip install "numpy')
    assert found["lifting"].found == "fails as PyTorch does"
    assert (found["OpenCV"].state, found["OpenCV"].section) == (STOP, "Main job")
    assert "its folder is empty" in found["OpenCV"].found
    assert found["OpenCV"].mend.startswith('pip install "opencv-python')
    assert found["PyAV"].found == "crashed (Aborted): noise"
    assert found["PyAV"].mend.startswith('pip install "av')
    assert found["H.264"].state == STOP
    assert "not tried" in found["H.264"].found
    assert "0.10.35 has no pose solution" in found["MediaPipe"].found
    assert found["MediaPipe"].mend == 'pip install "pose3d[mediapipe]"'
    monkeypatch.setattr(doctor, "examine", lambda: list(found.values()))
    code, out = run()
    assert code == 1
    assert "cannot run: mend what is marked with X" in out
    assert "Traceback" not in out
    assert max(map(len, out.splitlines())) <= 80


def test_modules_that_are_not_there_or_lack_a_library(broken):
    found = broken(
        torch="import sys; sys.exit('no licence')",
        cv2="raise ImportError('libGL.so.1: cannot open shared object file: No such file')",
        av="raise ModuleNotFoundError(\"No module named 'scipy'\")",
        mediapipe="raise ImportError('libGL.so.1: cannot open shared object file: No such file')",
    )
    assert found["PyTorch"].found == "SystemExit: no licence"
    for name in ("OpenCV", "MediaPipe"):  # of which the second's error speaks of pip, too
        assert found[name].mend == "apt-get install libgl1 libglib2.0-0"
        assert "libGL.so.1" in found[name].found
    assert "pip" not in found["MediaPipe"].found
    assert found["PyAV"].mend.startswith('pip install "scipy')


def test_what_is_absent_when_torch_crashes(broken, monkeypatch):
    real = importlib.util.find_spec
    absent = ("torchvision", "mmengine")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name in absent else real(name)
    )
    found = broken(torch="import os; os.abort()")
    assert found["PyTorch"].found.startswith("crashed (Aborted)")
    assert "not tried" in found["lifting"].found
    for name in ("torchvision", "OpenMMLab"):
        assert found[name] == Finding("Main job", name, NOTE, "not installed")


def test_a_module_that_hangs(broken, monkeypatch):
    monkeypatch.setattr(doctor, "TIMEOUT_S", 2.0)
    found = broken(cv2="import time; time.sleep(60)")
    assert found["OpenCV"].found == "no answer in 2 s"
    assert found["PyTorch"].state == STOP


FAKE_TORCH = """
import types
float32, float16, bfloat16 = "fp32", "fp16", "bf16"
__version__ = "2.13.0+cu130"
ones = lambda count, device: types.SimpleNamespace(sum=lambda: {sum})
get_num_threads = lambda: 4
Tensor = object
device = lambda name: types.SimpleNamespace(type=name.split(":")[0], __str__=None)
version = types.SimpleNamespace(cuda="13.0", hip=None)
mps = types.SimpleNamespace(is_available=lambda: False)
backends = types.SimpleNamespace(mps=mps)
cpu = types.SimpleNamespace(get_capabilities=lambda: {{"avx2": True, "amx_bf16": True}})
class cuda:
    def is_available():
        import warnings
        {there}
    device_count = lambda: 2
    get_device_capability = lambda device: (9, 0)
    def get_device_properties(number):
        return types.SimpleNamespace(name="H200", total_memory=139 * 2**30, major=9, minor=number)
"""


def test_two_gpus(broken):
    found = broken(torch=FAKE_TORCH.format(there="return True", sum="1.0"))
    assert found["GPUs"].state == GOOD
    assert found["GPUs"].found == (
        "cuda:0 H200, 139 GiB, capability 9.0; cuda:1 H200, 139 GiB, capability 9.1; CUDA 13.0"
    )
    assert found["--precision auto"].found.startswith("fp16 on ")
    assert "has AVX2, AMX-BF16)" in found["--precision auto"].found


def test_a_gpu_that_torch_cannot_use(broken):
    fails = "exec('raise RuntimeError(\\'no kernel image is available\\')')"
    found = broken(torch=FAKE_TORCH.format(there="return True", sum=fails))
    assert found["GPUs"].state == FAULT
    assert found["GPUs"].found == "RuntimeError: no kernel image is available"
    assert found["GPUs"].mend == "use --device cpu"


def test_a_driver_that_is_too_old(broken):
    there = "warnings.warn('CUDA initialization: The NVIDIA driver is too old'); return False"
    found = broken(torch=FAKE_TORCH.format(there=there, sum=1.0))
    assert found["GPUs"].state == NOTE
    assert "built for CUDA 13.0, can use (CUDA init" in found["GPUs"].found
    assert "driver is too old" in found["GPUs"].found
    assert "nvidia-smi" in found["GPUs"].mend
    assert found["--precision auto"].found.startswith("bf16 on ")


@pytest.mark.skipif(find_spec("mmcv") is not None, reason="the real mmcv is in the way")
def test_versions_that_are_known_to_break(distribution):
    distribution("pose3d", "0.1.0", REQUIRED)
    distribution("numpy", "2.3.1")
    distribution("mmcv", "2.2.0")  # does what mmcv-lite does
    distribution("setuptools", "84.2.1")
    distribution("mediapipe", "0.10.35")
    rows = {name: rest for name, *rest in doctor._packages()}
    assert set(rows) == {"numpy", "absent-one", "mmcv", "setuptools", "mediapipe"}
    assert rows["numpy"][0] == rows["mmcv"][0] == rows["setuptools"][0] == NOTE
    assert rows["numpy"][1].startswith("2.3.1, not <2,>=1.26: mediapipe")
    assert rows["numpy"][2] == 'pip install "numpy<2,>=1.26"'
    assert rows["absent-one"] == [FAULT, "not installed", 'pip install "absent-one>=3"']
    assert "2.2.0, not ==2.1.0: mmdet" in rows["mmcv"][1]
    assert "pkg_resources" in rows["setuptools"][1]
    assert "no pose solution" in rows["mediapipe"][1]
    assert rows["mediapipe"][2] == 'pip install "mediapipe==0.10.21"'


def test_an_extra_of_which_nothing_is_there(distribution, monkeypatch):
    distribution("pose3d", "0.1.0", REQUIRED.replace("mediapipe==", "mediapose=="))
    distribution("numpy", "1.26.4+local")
    distribution("setuptools", "84.2.1")  # is nobody's fault without the rest
    monkeypatch.setattr(doctor, "INSTEAD", {})
    rows = {name: rest for name, *rest in doctor._packages()}
    assert rows["numpy"] == [GOOD, "1.26.4+local"]
    if doctor._version("mmcv-lite") is None:
        mend = 'pip install "pose3d[mm]"'
        assert rows["mm"] == [NOTE, "not installed: mmcv-lite, setuptools", mend]
    assert rows["mediapipe"][1] == "not installed: mediapose"


def test_opencv_packages_that_shadow_each_other(distribution):
    distribution("opencv-python", "4.11.0.86")
    distribution("opencv-contrib-python", "4.11.0.86")
    distribution("opencv-python-headless", "4.12.0.88")
    ((_, state, found, mend),) = doctor._opencv_packages()
    assert state == FAULT
    assert "opencv-python-headless 4.12.0.88: they overwrite" in found
    assert mend.startswith("pip uninstall -y opencv-python opencv-contrib-python opencv-python-h")
    assert "; pip install " in mend


def test_no_encoder_and_no_decoder(monkeypatch):
    import av

    monkeypatch.setattr(av, "codecs_available", {"aac"})
    with pytest.raises(RuntimeError, match="cannot write it: no libx264"):
        probes._video("h264", "libx264", "mp4")
    assert probes._video("hevc", "libx265", "mp4")[1] == (
        "decoder hevc is there (not tried: no libx265)"
    )
    with pytest.raises(ValueError, match="no-such"):
        probes._video("no-such", "libx265", "mp4")


@pytest.mark.parametrize(
    ("found", "stopped"),
    [
        ("mediapipe for one person, hrnet-w20-cam for several", "MediaPipe"),
        ("hrnet-w32-256x192, people by mediapipe", "MediaPipe"),
        ("hrnet-w32-256x192, people by rtmdet-m", "OpenMMLab"),
        ("hrnet-w32-256x192, people by centernet", None),
    ],
)
def test_only_what_is_in_use_stops_the_main_job(found, stopped):
    findings = [
        Finding("Main job", "--pose2d auto", GOOD, found),
        Finding("Main job", "MediaPipe", FAULT, "broken"),
        Finding("Main job", "OpenMMLab", FAULT, "broken"),
    ]
    stops = [each.name for each in doctor._needed(findings) if each.state == STOP]
    assert stops == ([stopped] if stopped else [])


def test_what_the_terminal_cannot_show(monkeypatch):
    """A file's name that is no text, a terminal that knows ASCII alone, a path without end."""
    found = f"/home/\udcff\u00fc/{'long' * 40}: can be written"
    finding = Finding("Weights", "kept in", GOOD, found, "nothing")
    monkeypatch.setattr(doctor, "examine", lambda: [finding])
    assert json.loads(run("--json")[1])["findings"][0]["found"] == found
    stream = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stream, encoding="ascii"))
    doctor.doctor()
    sys.stdout.flush()
    lines = stream.getvalue().decode("ascii").splitlines()
    assert lines[lines.index("Weights") + 1].startswith(
        "  kept in           /home/\\udcff\\xfc/longl"
    )
    assert "                    -> nothing" in lines
