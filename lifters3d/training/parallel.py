"""Several processes that train one lifter, as torchrun starts them; or a single one."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from weights.errors import Pose3dError


@dataclass(frozen=True)
class Team:
    """Which process of how many this is, and the device it computes on."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def add_up(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all processes, in place."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def add_gradients(self, lifter: nn.Module) -> None:
        """Sum the gradients of all processes, in one message."""
        if self.size == 1:
            return
        parameters = [one for one in lifter.parameters() if one.requires_grad]
        for one in parameters:
            if one.grad is None:
                one.grad = torch.zeros_like(one)
        flat = self.add_up(torch.cat([one.grad.flatten() for one in parameters]))
        for one, grad in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            one.grad.copy_(grad.view_as(one))

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            distributed.barrier()

    def leave(self) -> None:
        if self.size > 1:
            distributed.destroy_process_group()


def join(device: str) -> Team:
    """This process's place; under torchrun every process of a machine takes a GPU of its own."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise Pose3dError(f"device {device!r} cannot be used: {reason}") from None
    if size == 1:
        return Team(0, 1, torch.device(device))
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return Team(distributed.get_rank(), size, torch.device(device))
