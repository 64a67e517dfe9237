"""Training windows of a data set's clips, picked by number."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lifters3d.data.batches import to_input, to_target
from lifters3d.data.clips import Clip, Skeleton
from lifters3d.normalisation import screen
from lifters3d.skeleton import flip
from weights.errors import Pose3dError


class ClipWindows:
    """All windows of clips with true 3D, and their mirror images.

    Lifters of one frame have a window for every valid frame; lifters of sequences have windows side
    by side, which go as far over a clip's one end as over its other (as MixSTE's code cuts
    them). What lies beyond an end is the end's frame repeated, in 2D and 3D.

    Parameters
    ----------
    clips : of one skeleton
    frames : receptive field T
    output : the lifter's: "sequence", "center" or "last"
    normalisation, joints : as of ``registry.Convention``; other than "screen" and "h36m" need the
        17 joints of Human3.6M
    mirrored : whether every window is there a second time, mirrored

    Raises
    ------
    Pose3dError
        If there are no clips, one has no 3D, or the skeleton does not go with the normalisation.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        skeleton: Skeleton,
        frames: int,
        output: str,
        normalisation: str = "screen",
        joints: str = "h36m",
        mirrored: bool = True,
        device: torch.device | str = "cpu",
    ) -> None:
        if not clips:
            raise Pose3dError("the data set has no clips of its training subjects")
        if skeleton.root is None:
            raise Pose3dError("the data set's skeleton has no root joint to train with")
        if len(skeleton.names) != 17 and (normalisation, joints) != ("screen", "h36m"):
            raise Pose3dError(
                f"{normalisation} normalisation and {joints} joints need the 17 joints of "
                f"Human3.6M, not {len(skeleton.names)}: use normalisation=screen joints=h36m"
            )
        self.frames, self.normalisation, self.joints = frames, normalisation, joints
        self.root, self.mirror, self.mirrored = skeleton.root, skeleton.mirror, mirrored
        keypoints, positions, valid, starts, low, high = [], [], [], [], [], []
        first = 0
        for clip in clips:
            if clip.joints is None:
                raise Pose3dError(f"clip {clip.name} has no 3D to train on")
            keypoints.append(screen(torch.from_numpy(clip.keypoints), clip.size))
            positions.append(torch.from_numpy(clip.joints))
            valid.append(torch.from_numpy(clip.valid))
            count = len(clip.keypoints)
            if output == "sequence":
                windows = -(-count // frames)
                own = torch.arange(windows) * frames - (windows * frames - count) // 2
            else:
                before = frames - 1 if output == "last" else frames // 2
                own = torch.from_numpy(clip.valid).nonzero()[:, 0] - before
            starts.append(own + first)
            low.append(torch.full_like(own, first))
            high.append(torch.full_like(own, first + count - 1))
            first += count
        self.keypoints = torch.cat(keypoints).to(device)
        self.positions = torch.cat(positions).to(device)
        self.valid = torch.cat(valid).to(device)
        self.starts, self.low, self.high = (
            torch.cat(parts).to(device) for parts in (starts, low, high)
        )

    def __len__(self) -> int:
        return len(self.starts) * (2 if self.mirrored else 1)

    def pick(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Windows by number: input (B, T, J, 2), target (B, T, J, 3) metres, root-relative.

        Numbers from half of ``len`` on are the mirror images of those before.
        """
        numbers = numbers.to(self.starts.device)
        index = self._frames(numbers)
        keypoints, positions = self.keypoints[index], self.positions[index]
        turned = (numbers >= len(self.starts))[:, None, None, None]
        keypoints = torch.where(turned, flip(keypoints, self.mirror), keypoints)
        positions = torch.where(turned, flip(positions, self.mirror), positions)
        if (self.normalisation, self.joints) == ("screen", "h36m"):
            return keypoints, positions - positions[:, :, self.root, None]
        derived = self.joints == "derived"
        return (
            to_input(keypoints, self.normalisation, self.frames, derived),
            to_target(positions, self.normalisation),
        )

    def counts(self, numbers: Tensor) -> Tensor:
        """(B, T) bool: the windows' frames that are valid, and no repetitions beyond an end."""
        numbers = numbers.to(self.starts.device)
        index = self._frames(numbers)
        own = numbers % len(self.starts)
        offsets = torch.arange(self.frames, device=own.device)
        return self.valid[index] & (index == self.starts[own, None] + offsets)

    def _frames(self, numbers: Tensor) -> Tensor:
        """(B, T) of windows: which of all clips' frames they are made of."""
        own = numbers % len(self.starts)
        offsets = torch.arange(self.frames, device=own.device)
        index = self.starts[own, None] + offsets
        return index.maximum(self.low[own, None]).minimum(self.high[own, None])
