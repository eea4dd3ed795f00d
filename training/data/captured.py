"""Training windows of real 2D and 3D with their real cameras."""

from __future__ import annotations

from training.data.recording import Recording

__all__ = ["Recording"]
