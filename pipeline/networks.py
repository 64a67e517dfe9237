"""The networks of the first pass: which ones the settings mean, and opening them."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from detectors2d.people.registry import OURS
from pipeline.compute import choose_device, choose_precision
from pipeline.settings import Settings
from weights import download, store
from weights.errors import Pose3dError

if TYPE_CHECKING:
    from detectors2d.mm.pose import MMPose
    from detectors2d.people import People
    from detectors2d.topdown import TopDown

ADVISED = "hrnet-w48-256x192 rtmdet-m-person"
# Our own weights, shipped.
OUR_POSE2D = "hrnet-w20-cam"
# Settings of ``people`` that ask for one person, whoever it is.
ONE_PERSON = ("largest", "1")
# Public weights in the order in which "auto" takes them.
PEOPLE_BEST_FIRST = (
    "rtmdet-m-person",
    "rtmdet-m",
    "rtmdet-tiny",
    "faster-rcnn-r50",
    "rtmdet-nano-person",
)
BEST_FIRST = ("hrnet-w48-384x288", "hrnet-w48-256x192", "hrnet-w32-384x288", "hrnet-w32-256x192")


def choose_pose2d(settings: Settings) -> tuple[str, str]:
    """What finds the joints, and how to get better.

    "auto" takes the best public weights that were fetched; else MediaPipe, where its one person is
    all that is wanted; else our own network, which is shipped.
    """
    advice = "for better joints: pose3d weights fetch " + ADVISED
    if settings.pose2d != "auto":
        return settings.pose2d, advice
    for name in BEST_FIRST:
        if download.location(store.public()[name]).is_file():
            return name, ""
    alone = settings.people in ONE_PERSON and settings.detector in (None, "mediapipe")
    if alone and settings.backend == "torch" and importlib.util.find_spec("mediapipe"):
        return "mediapipe", advice
    return OUR_POSE2D, advice


def check_pose2d(settings: Settings) -> str:
    """What finds the joints; Pose3dError if other settings do not go with it."""
    pose2d, _ = choose_pose2d(settings)
    if pose2d == "mediapipe":
        if settings.detector not in (None, "mediapipe"):
            raise Pose3dError(
                f"detector {settings.detector}: MediaPipe finds its one person by itself; leave "
                f"out --detector, or give --pose2d {OUR_POSE2D}"
            )
        if settings.backend != "torch":
            raise Pose3dError(
                f"backend {settings.backend}: MediaPipe has a runtime of its own; leave out "
                f"--backend, or give --pose2d {OUR_POSE2D}"
            )
        if settings.people not in (*ONE_PERSON, "all", "id:1"):
            raise Pose3dError(
                f"people {settings.people}: MediaPipe follows one person; for several: --pose2d "
                f"{OUR_POSE2D}"
            )
        return pose2d
    detector = choose_detector(settings)
    # (One after the other it may find several, of whom id:N is one.)
    if detector == "mediapipe" and settings.people.isdigit() and settings.people != "1":
        raise Pose3dError(
            f"people {settings.people}: MediaPipe finds one person; for several: leave out "
            "--detector mediapipe"
        )
    if detector.startswith("boxes:") and (settings.start or settings.det_every > 1):
        raise Pose3dError(
            f"detector {detector}: the file counts the video's frames from 0, one by one: leave "
            "out start and det-every"
        )
    return pose2d


def choose_detector(settings: Settings) -> str:
    """Who finds the people for a network of joints.

    Without the setting it is public weights that were fetched, else our own, which are shipped.
    """
    if settings.detector is not None:
        return settings.detector
    known = store.public()
    here = (name for name in PEOPLE_BEST_FIRST if download.location(known[name]).is_file())
    return next(here, OURS)


def open_top_down(pose2d: str, settings: Settings) -> tuple[TopDown | MMPose, People]:
    """The network of joints and the detector of people that the settings name."""
    return open_pose2d(pose2d, settings), open_people(settings)


def open_pose2d(pose2d: str, settings: Settings) -> TopDown | MMPose:
    """A network of joints by a name of weights, a file, or mmpose:CONFIG:FILE."""
    # Networks' libraries take seconds to import.
    from detectors2d.backends import accelerate
    from detectors2d.registry import load_pose
    from detectors2d.topdown import TopDown

    device = choose_device(settings.device)
    if pose2d.startswith("mmpose:"):
        from detectors2d.mm.pose import MMPose, gives_heatmaps, split_name

        config, weights = split_name(pose2d)
        if weights is None:
            raise Pose3dError(f"{pose2d}: which weights? mmpose:CONFIG:FILE names them")
        if not gives_heatmaps(config):
            if settings.backend != "torch":
                raise Pose3dError(
                    f"backend {settings.backend}: {config} gives no heat maps like HRNet's"
                )
            return MMPose(config, download.resolve(weights), device)
        pose2d = pose2d.removesuffix(weights) + download.resolve(weights)
    precision = choose_precision(settings.precision, device)
    network = accelerate(load_pose(download.resolve(pose2d)), settings.backend, precision, device)
    # Finer than the quarters of a cell of HRNet's own code.
    return TopDown(
        network,
        flip=settings.flip,
        decoding="dark",
        untangle=True,
        precision=precision,
        device=device,
    )


def open_people(settings: Settings) -> People:
    """The detector of people that the settings name, else the best that is at hand."""
    from detectors2d.people import build_people

    device = choose_device(settings.device)
    name, _, weights = choose_detector(settings).partition("=")
    if name in store.public():
        kind = "rtmdet" if name.startswith("rtmdet") else "faster-rcnn"
        return build_people(kind, download.resolve(name), device)
    return build_people(name, weights or None, device)
