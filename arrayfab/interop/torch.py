"""PyTorch: layers with our derivatives, as a function and as a module."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np

from arrayfab.layer import Layer
from arrayfab.ruled import vjp_of

try:
    import torch
except ImportError as error:
    raise ImportError("PyTorch is needed: see https://pytorch.org/get-started") from error


def apply(layer: Layer, x: Any, w: torch.Tensor | None = None) -> Any:
    """``layer(x, w)``, which PyTorch differentiates by arrayfab's rules.

    All that is kept for the gradient is ``x`` and ``w``; the pullback computes the product again. It is made
    of PyTorch's operations, so second derivatives work. Forward mode and the transformations of `torch.func`
    work too. Under `torch.autocast` a layer is what `torch.nn.Linear` is there: ``x`` and ``w`` are cast,
    ``y`` has autocast's dtype, and gradients have their inputs' own.

    Parameters
    ----------
    layer : Layer
        A role, or layers composed.
    x : torch.Tensor or list of torch.Tensor
        What the layer takes.
    w : torch.Tensor, optional
        The learned numbers. May be left out where there are none.

    Examples
    --------
    >>> import torch
    >>> from arrayfab import LowRank, Reconciliation
    >>> role = Reconciliation(fabrication=LowRank(r=1), n=2, D=3)
    >>> w = torch.ones(5, requires_grad=True)
    >>> apply(role, torch.ones(4, 3), w).square().sum().backward()
    >>> w.grad
    tensor([72., 72., 48., 48., 48.])
    """
    if torch.compiler.is_dynamo_compiling():
        from arrayfab.interop import _uncompiled

        return _uncompiled.call(apply, layer, x, w)
    is_list = isinstance(x, list | tuple)
    xs = tuple(x) if is_list else (x,)
    dtype = _autocast_dtype(w)
    y = _applied(layer, is_list, w, xs) if dtype is None else _cast(layer, is_list, w, xs, dtype)
    return list(y) if isinstance(y, tuple) else y


def _autocast_dtype(w):
    """The dtype to which autocast casts what meets ``w``, None where it casts nothing."""
    device = w.device.type if isinstance(w, torch.Tensor) else "meta"
    if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
        return None
    return torch.get_autocast_dtype(device) if _is_cast(w) else None


def _is_cast(tensor):
    # Autocast leaves float64 alone.
    return isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and tensor.dtype != torch.float64


def _cast(layer, is_list, w, xs, dtype):
    # Arrays that were handed in have the dtype of w: there the result alone is cast down.
    within = w.dtype if _holds_arrays(layer) else dtype
    w, *xs = (tensor.to(within) if _is_cast(tensor) else tensor for tensor in (w, *xs))
    with _without_autocast(w):
        y = _applied(layer, is_list, w, xs)
    return tuple(part.to(dtype) for part in y) if isinstance(y, tuple) else y.to(dtype)


def _holds_arrays(layer):
    return getattr(layer, "holds_arrays", False) or any(map(_holds_arrays, getattr(layer, "layers", ())))


def _without_autocast(tensor):
    # The rules compute in the dtype of what they are given, wherever they are called.
    device = tensor.device.type
    is_on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if is_on else nullcontext()


def _applied(layer, is_list, w, xs):
    if _forward_levels() > 1:
        y = layer(_packed(is_list, xs), w)
        return tuple(y) if isinstance(y, list) else y
    return _Apply.apply(layer, is_list, w, *xs)


def _forward_levels():
    # Where forward mode is inside forward mode, PyTorch drops the outer derivative of a function's own `jvp`
    # and says nothing (pytorch/pytorch#197867, seen with 2.13): such calls go through the array code.
    functorch = torch._C._functorch
    levels = functorch.get_interpreter_stack() or ()
    return sum(level.key() == functorch.TransformType.Jvp for level in levels)


def _packed(is_list, arrays):
    arrays = list(arrays)
    return arrays if is_list else arrays[0]


class _Apply(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(layer, is_list, w, *xs):
        y = layer(_packed(is_list, xs), w)
        return tuple(_apart(part, xs) for part in y) if isinstance(y, list) else _apart(y, xs)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.layer, ctx.is_list, *tensors = inputs
        ctx.gives_list = isinstance(output, tuple)
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx, *grads):
        w, *xs = ctx.saved_tensors
        needs_w, *needs_x = ctx.needs_input_grad[2:]
        wrt = "x" * any(needs_x) + "w" * needs_w
        with _without_autocast(xs[0]):
            _, pullback = vjp_of(ctx.layer, _packed(ctx.is_list, xs), w, wrt)
            grad_x, grad_w = pullback(_packed(ctx.gives_list, grads))
        grad_x = [None] * len(xs) if grad_x is None and ctx.is_list else grad_x
        return None, None, grad_w, *(grad_x if ctx.is_list else (grad_x,))

    @staticmethod
    def jvp(ctx, _layer, _is_list, dw, *dxs):
        w, *xs = ctx.saved_tensors
        dw, *dxs = (_zeros_if_none(d, tensor) for d, tensor in zip((dw, *dxs), (w, *xs), strict=True))
        with _without_autocast(xs[0]):
            _, dy = ctx.layer.jvp(_packed(ctx.is_list, xs), w, _packed(ctx.is_list, dxs), dw)
        return tuple(dy) if ctx.gives_list else dy


def _apart(y, xs):
    # PyTorch refuses an output that is an input, which a product with an identity gives.
    return y.clone() if any(y is x for x in xs) else y


def _zeros_if_none(direction, tensor):
    return torch.zeros_like(tensor) if direction is None and tensor is not None else direction


class Module(torch.nn.Module):
    """A layer as a `torch.nn.Module`, whose one parameter is ``w``.

    Parameters
    ----------
    layer : Layer
        A role, or layers composed.
    w : torch.Tensor, optional
        The numbers to start from; those of ``layer.init`` if left out.
    rng : int or numpy.random.Generator, optional
        Seed or generator of ``layer.init``.
    dtype, device
        Of ``w`` where it is left out. Frozen matrices follow when the module is moved, but for those that
        were handed in.

    Raises
    ------
    ValueError
        If ``w`` does not hold ``layer.num_parameters()`` numbers along its last axis.

    Examples
    --------
    >>> import torch
    >>> from arrayfab import LowRank, Reconciliation
    >>> Module(Reconciliation(fabrication=LowRank(r=2), n=10, D=64), rng=0)(torch.ones(5, 64)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        layer: Layer,
        w: torch.Tensor | None = None,
        *,
        rng: int | np.random.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ):
        super().__init__()
        if w is None:
            w = layer.init(rng=rng, xp=torch, dtype=dtype, device=device)
        if w.shape[-1:] != (layer.num_parameters(),):
            raise ValueError(
                f"Module: w must hold {layer.num_parameters()} numbers along its last axis, "
                f"got shape {tuple(w.shape)}"
            )
        self.layer = layer
        self.w = torch.nn.Parameter(w)

    def forward(self, x: Any) -> Any:
        """The layer's result for ``x``, a tensor or a list of them, as the layer takes it."""
        return apply(self.layer, x, self.w)

    def extra_repr(self) -> str:
        return f"{self.layer}, l={self.layer.num_parameters()}"
