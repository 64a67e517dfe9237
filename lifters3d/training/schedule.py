"""Optimisers and learning rates of the recipes."""

from __future__ import annotations

import math

import torch
from torch import nn

from lifters3d.training.recipes import Recipe


def optimiser_of(recipe: Recipe, lifter: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimiser for a lifter's weights."""
    kind = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
    return kind(
        lifter.parameters(),
        recipe.learning_rate,
        betas=(recipe.beta1, recipe.beta2),
        weight_decay=recipe.weight_decay,
        amsgrad=recipe.optimiser == "amsgrad",
        fused=True,
    )


def rate_at(recipe: Recipe, step: int, steps_per_epoch: int, width: int = 512) -> float:
    """Learning rate of a step, counted from 0 over all epochs.

    ``width`` is the model's (d_model), which "noam" depends on.
    """
    epoch = step // steps_per_epoch
    if recipe.schedule == "noam":
        # Vaswani et al. 2017, eq. 3, times a factor.
        warmup = max(1, recipe.warmup)
        return (
            recipe.learning_rate * width**-0.5 * min((step + 1) ** -0.5, (step + 1) * warmup**-1.5)
        )
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    if recipe.schedule == "cosine":
        last = recipe.epochs * steps_per_epoch
        progress = min(1.0, (step - recipe.warmup) / max(1, last - recipe.warmup))
        share = 0.5 * (1 + math.cos(math.pi * progress))
        return recipe.learning_rate * (recipe.final_rate + (1 - recipe.final_rate) * share)
    if recipe.schedule == "strided":
        halved = epoch // 5
        return recipe.learning_rate * 0.5**halved * recipe.decay ** (epoch - halved)
    return recipe.learning_rate * recipe.decay ** (epoch // recipe.decay_every)
