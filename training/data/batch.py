"""What a training batch is: named float32 tensors, one row a window. Each data set says which."""

from __future__ import annotations

from torch import Tensor

Batch = dict[str, Tensor]
