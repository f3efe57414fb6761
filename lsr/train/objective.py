"""The loss of a batch: ranking losses, and what makes weights sparse."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from lsr.train import losses
from lsr.train.batches import TrainingBatch
from lsr.train.config import LossConfig, TrainingConfig
from lsr.train.regularizers import Regularizer, anti_zero, warm_up
from lsr.train.sparsity import SparsityController


@dataclass
class Objective:
    """Weighted sum of the losses of a batch, plus each side's penalty times its strength."""

    config: TrainingConfig
    documents: Penalty
    queries: Penalty
    parts: dict[str, float] = field(default_factory=dict)
