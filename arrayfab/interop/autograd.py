"""HIPS autograd: layers as functions with our derivatives."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from arrayfab.layer import Layer

try:
    from autograd.extend import defjvp_argnums, defvjp_argnums, primitive
except ImportError as error:
    raise ImportError("autograd is needed: pip install autograd") from error

_W = 2  # the position of w in the arguments of the primitive; the inputs follow


def function(layer: Layer) -> Callable[[Any, np.ndarray], Any]:
    """A layer as a function ``f(x, w)`` of NumPy arrays that autograd differentiates by arrayfab's rules.

    All that is kept for the gradient is ``x`` and ``w``; the pullback computes the product again. Reverse and
    forward mode work, once: a second derivative raises NotImplementedError.

    Parameters
    ----------
    layer : Layer
        A role, or layers composed.

    Examples
    --------
    >>> import autograd, autograd.numpy as np
    >>> from arrayfab import LowRank, Reconciliation
    >>> f = function(Reconciliation(fabrication=LowRank(r=1), n=2, D=3))
    >>> autograd.grad(lambda w: np.sum(f(np.ones((4, 3)), w) ** 2))(np.ones(5))
    array([72., 72., 48., 48., 48.])
    """
    return partial(_call, layer)


def _call(layer, x, w):
    is_list = isinstance(x, list | tuple)
    return _apply(layer, is_list, w, *(x if is_list else (x,)))


def _packed(is_list, arrays):
    return list(arrays) if is_list else arrays[0]


@primitive
def _apply(layer, is_list, w, *xs):
    return layer(_packed(is_list, xs), w)


# Primitives themselves, so that an outer derivative meets them and not the arrays inside.
@primitive
def _pull(layer, is_list, grad_y, w, *xs):
    grad_x, grad_w = layer.vjp(_packed(is_list, xs), w)[1](grad_y)
    return np.zeros_like(w) if grad_w is None else grad_w, *(grad_x if is_list else (grad_x,))


@primitive
def _push(layer, is_list, w, dw, *xs_and_dxs):
    k = len(xs_and_dxs) // 2
    x, dx = (_packed(is_list, arrays) for arrays in (xs_and_dxs[:k], xs_and_dxs[k:]))
    return layer.jvp(x, w, dx, dw)[1]


def _vjp(argnums, ans, args, kwargs):
    layer, is_list, *arrays = args

    def autograd_pullback(grad_y):
        grads = _pull(layer, is_list, grad_y, *arrays)
        return tuple(grads[i - _W] for i in argnums)

    return autograd_pullback


def _jvp(argnums, directions, ans, args, kwargs):
    layer, is_list, w, *xs = args
    moving = dict(zip(argnums, directions, strict=True))
    dw, *dxs = (moving.get(i, np.zeros_like(array)) for i, array in enumerate((w, *xs), start=_W))
    return _push(layer, is_list, w, dw, *xs, *dxs)


def _only_once(*_):
    raise NotImplementedError(
        "arrayfab.interop.autograd differentiates once; for second derivatives take arrayfab.interop.jax "
        "or arrayfab.interop.torch"
    )


defvjp_argnums(_apply, _vjp)
defjvp_argnums(_apply, _jvp)
for _rule in (_pull, _push):
    defvjp_argnums(_rule, _only_once)
    defjvp_argnums(_rule, _only_once)
