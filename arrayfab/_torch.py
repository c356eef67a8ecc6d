"""PyTorch's modes, transformations and traces: what is made outside of them enters them as a constant."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch._ops import _len_torch_dispatch_stack_pre_dispatch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import _disable_current_modes


def outside(make: Callable, *arguments: Any) -> torch.Tensor:
    """``make(*arguments)``, outside of every mode and transformation, and never compiled.

    It stays within a mode of tensors without numbers, which may be on a device that this machine lacks.
    """
    # PyTorch's compiler is large: it is not loaded for this.
    call = torch.compiler.disable(_outside) if "torch._dynamo" in sys.modules else _outside
    return call(make, *arguments)


def _outside(make, *arguments):
    with torch._C._DisableFuncTorch(), torch._C.DisableTorchFunction(), torch.inference_mode(False):
        with _disable_current_modes() as modes:
            is_fake = any(isinstance(mode, FakeTensorMode) for mode in modes)
            if not is_fake:
                return make(*arguments)
        return make(*arguments)


def is_plain(x: torch.Tensor) -> bool:
    """Whether a tensor is one of numbers alone, which nobody traces, wraps or tracks."""
    return (
        type(x) is torch.Tensor
        and not x.is_inference()
        and not torch._C._functorch.is_functorch_wrapped_tensor(x)
        and not torch._is_functional_tensor(x)
    )


def entered(x: torch.Tensor) -> torch.Tensor:
    """A plain tensor as a constant of the modes that are on."""
    if torch._C._len_torch_dispatch_stack() or _len_torch_dispatch_stack_pre_dispatch():
        return torch.ops.aten.lift_fresh.default(x)
    return x
