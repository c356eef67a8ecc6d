"""What `torch.compile` leaves as it is. Only its tracing imports this, since PyTorch's compiler is large."""

import torch


@torch.compiler.disable
def call(function, *arguments):
    """``function(*arguments)``, whose formulas are planned and frozen matrices drawn in plain Python."""
    return function(*arguments)
