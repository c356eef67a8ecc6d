"""Files: checkpoints that hold configurations and learned numbers, and what other libraries wrote."""

from arrayfab.io.checkpoint import load, save
from arrayfab.io.registry import CheckpointError

__all__ = ["CheckpointError", "load", "save"]
