"""Files: checkpoints that hold configurations and learned numbers, and what other libraries wrote."""

from arrayfab.io.checkpoint import load, save
from arrayfab.io.registry import CheckpointError
from arrayfab.io.tinybig import read_tinybig

__all__ = ["CheckpointError", "load", "read_tinybig", "save"]
