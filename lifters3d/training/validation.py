"""Errors after every epoch of a training."""

from __future__ import annotations

import torch
from torch import nn

from lifters3d.data.clips import ClipSet
from lifters3d.data.mocap17 import Mocap
from lifters3d.data.training_windows import ClipWindows
from lifters3d.evaluation.metrics import mpjpe, p_mpjpe
from lifters3d.training.evaluate import evaluate
from lifters3d.training.objectives import wanted_frame

Validation = Mocap | ClipSet
MOCAP_WINDOWS = 170
# Frames that are lifted of a data set's test clips, evenly spread over them.
FRAMES, BATCH = 4096, 64


def errors_on(lifter: nn.Module, validation: Validation) -> dict[str, float]:
    """MPJPE and P-MPJPE in mm, by name, relative to the root.

    Motion capture is seen by the same virtual cameras every time, with exact ("clean") and noisy
    2D. Of a data set some thousand frames of the test clips are taken: a figure to watch, not the
    protocol's.
    """
    if isinstance(validation, Mocap):
        errors = evaluate(lifter, validation, windows=MOCAP_WINDOWS)
        names = [f"{kind}_{name}" for kind in ("clean", "noisy") for name in ("mpjpe", "p_mpjpe")]
        return {name: errors[name] for name in names}
    return _errors_on_clips(lifter, validation)


@torch.inference_mode()
def _errors_on_clips(lifter: nn.Module, clips: ClipSet) -> dict[str, float]:
    convention = lifter.convention
    windows = ClipWindows(
        clips.test,
        clips.skeleton,
        lifter.frames,
        lifter.output,
        convention.normalisation,
        convention.joints,
        mirrored=False,
        device=next(lifter.parameters()).device,
    )
    sequence = lifter.output == "sequence"
    count = max(1, min(len(windows), FRAMES // (lifter.frames if sequence else 1)))
    numbers = torch.linspace(0, len(windows) - 1, count).round().long()
    wanted = slice(None) if sequence else slice(wanted_frame(lifter), wanted_frame(lifter) + 1)
    predicted, target = [], []
    for chosen in numbers.split(max(1, BATCH // lifter.frames) if sequence else BATCH):
        keypoints, true = windows.pick(chosen)
        poses = lifter(keypoints)
        counts = windows.counts(chosen)[:, wanted]
        predicted.append((poses - poses[:, :, clips.skeleton.root, None])[counts])
        target.append(true[:, wanted][counts])
    p, t = (1000 * torch.cat(poses).double().cpu().numpy() for poses in (predicted, target))
    return {"test_mpjpe": mpjpe(p, t), "test_p_mpjpe": p_mpjpe(p, t)}
