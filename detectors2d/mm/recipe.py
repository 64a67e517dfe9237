"""The recipe for training HRNet on COCO, as a configuration of mmengine.

That of HRNet's authors (Sun et al., CVPR 2019), by which the paper of the channel attention trains
too: Adam at 1e-3 for 210 epochs, a tenth of it after 170 and 200, batches of 4 x 32 crops, targets
of sigma 2 cells for 64 rows. All else is mmpose's td-hm_hrnet-w32_8xb64-210e_coco-256x192, which
warms up over 500 steps. Its random scale and rotation are drawn from another distribution than the
authors' (factors 0.35 and 45 of clipped normals), of about the same spread: 0.27 for 0.25, and 43
degrees.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from detectors2d.hrnet import IMAGE_MEAN, IMAGE_STD, JOINTS, STRIDE, HRNet
from detectors2d.mm.coco import CocoSet

if TYPE_CHECKING:
    from mmengine.config import Config

EPOCHS, BATCH, LEARNING_RATE = 210, 128, 1e-3
VALIDATION_EVERY = 10  # epochs


def coco_config(
    network: HRNet,
    data: CocoSet,
    validation: CocoSet | None = None,
    *,
    epochs: int = EPOCHS,
    batch: int = BATCH,
    learning_rate: float = LEARNING_RATE,
    workers: int = 2,
) -> Config:
    """Everything that mmengine's Runner needs to train ``network`` on ``data``.

    The drops of the learning rate keep their place in a shorter or longer training. ``workers`` are
    processes that prepare crops. Without ``validation`` nothing is measured on the way.
    """
    from mmengine.config import Config

    size = network.input_size
    codec = {
        "type": "MSRAHeatmap",
        "input_size": size,
        "heatmap_size": (size[0] // STRIDE, size[1] // STRIDE),
        "sigma": size[1] // STRIDE / 32,  # as ``heatmaps.decode_dark`` expects
    }
    batch = min(batch, len(data.people.xyxy))
    steps = epochs * (len(data.people.xyxy) // batch)
    evaluated = validation or data
    content = {
        "default_scope": "mmpose",
        "custom_imports": {"imports": ["detectors2d.mm.backbone"], "allow_failed_imports": False},
        "model": _model(network, codec),
        "train_cfg": {"by_epoch": True, "max_epochs": epochs, "val_interval": VALIDATION_EVERY},
        "optim_wrapper": {"optimizer": {"type": "Adam", "lr": learning_rate}},
        "param_scheduler": _schedule(epochs, steps),
        "train_dataloader": {
            **_loader(data, batch, workers, _preparation(codec, train=True)),
            "sampler": {"type": "DefaultSampler", "shuffle": True},
            # Batch norm behind the pooling of the attention cannot learn from a single crop.
            "drop_last": True,
        },
        "test_cfg": {},
        "test_dataloader": _test_loader(evaluated, batch, workers, _preparation(codec)),
        "test_evaluator": {"type": "CocoMetric", "ann_file": os.path.abspath(evaluated.file)},
        "env_cfg": {"cudnn_benchmark": True},
    }
    if validation is not None:
        content |= {
            f"val_{part}": content[f"test_{part}"] for part in ("cfg", "dataloader", "evaluator")
        }
    return Config(content)


def _model(network: HRNet, codec: dict) -> dict:
    backbone = {"type": "Pose3dHRNet", **network.config}
    return {
        "type": "TopdownPoseEstimator",
        "data_preprocessor": {
            "type": "PoseDataPreprocessor",
            "mean": [255 * value for value in IMAGE_MEAN],
            "std": [255 * value for value in IMAGE_STD],
            "bgr_to_rgb": True,
        },
        "backbone": backbone,
        "head": {
            "type": "HeatmapHead",
            "in_channels": network.config["width"],
            "out_channels": JOINTS,
            "deconv_out_channels": None,
            "loss": {"type": "KeypointMSELoss", "use_target_weight": True},
            "decoder": codec,
        },
        "test_cfg": {"flip_test": True, "flip_mode": "heatmap", "shift_heatmap": True},
    }


def _schedule(epochs: int, steps: int) -> list[dict]:
    warm_up = min(500, steps // 10)
    milestones = sorted({epochs * at // EPOCHS for at in (170, 200)} - {0})
    schedule = [{"type": "MultiStepLR", "milestones": milestones, "gamma": 0.1, "by_epoch": True}]
    if warm_up > 1:
        rise = {"type": "LinearLR", "start_factor": 0.001, "end": warm_up, "by_epoch": False}
        schedule.insert(0, rise)
    return schedule


def _preparation(codec: dict, train: bool = False) -> list[dict]:
    varied = [
        {"type": "RandomFlip", "direction": "horizontal"},
        {"type": "RandomHalfBody"},
        {"type": "RandomBBoxTransform"},
    ]
    return [
        {"type": "LoadImage"},
        {"type": "GetBBoxCenterScale"},
        *(varied if train else []),
        {"type": "TopdownAffine", "input_size": codec["input_size"]},
        *([{"type": "GenerateTarget", "encoder": codec}] if train else []),
        {"type": "PackPoseInputs"},
    ]


def _loader(data: CocoSet, batch: int, workers: int, pipeline: list[dict]) -> dict:
    return {
        "batch_size": batch,
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "dataset": {
            "type": "CocoDataset",
            "data_mode": "topdown",
            "ann_file": os.path.abspath(data.file),
            "data_prefix": {"img": os.path.abspath(data.folder)},
            "pipeline": pipeline,
        },
    }


def _test_loader(data: CocoSet, batch: int, workers: int, pipeline: list[dict]) -> dict:
    loader = _loader(data, batch, workers, pipeline)
    loader["dataset"]["test_mode"] = True
    sampler = {"type": "DefaultSampler", "shuffle": False, "round_up": False}
    return {**loader, "sampler": sampler, "drop_last": False}
