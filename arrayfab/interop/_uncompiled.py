"""What `torch.compile` leaves as it is. Only its tracing imports this, since PyTorch's compiler is large."""

import torch

from arrayfab.interop import torch as door

#: A layer for the compiler to call: its formulas are planned and its frozen matrices drawn in plain Python.
apply = torch.compiler.disable(door.apply)
