"""JAX: layers as functions with our derivatives, configurations and structured matrices as pytrees.

Importing the module registers arrayfab's classes with JAX. ``docs/autodiff.md`` says what each transformation
gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass
from functools import partial
from typing import Any

import arrayfab
from arrayfab._arrays import Array
from arrayfab.fabrications import ProductOf, Scaled, SumOf, WithFrozen
from arrayfab.layer import Layer
from arrayfab.matrix import StructuredMatrix

try:
    import jax
except ImportError as error:
    raise ImportError("JAX is needed: pip install jax") from error


def function(layer: Layer, mode: str = "reverse") -> Callable[[Any, Array], Any]:
    """A layer as a function ``f(x, w)`` that JAX differentiates by arrayfab's rules.

    Parameters
    ----------
    layer : Layer
        A role, or layers composed.
    mode : str
        ``"reverse"``: the pullback is ours (`jax.custom_vjp`). All that is kept for it is ``x`` and ``w``; it
        computes the product again. Like every such function it refuses `jax.jvp`, `jax.jacfwd` and
        `jax.linearize`.

        ``"forward"``: the directional derivative is ours (`jax.custom_jvp`), and JAX makes the pullback by
        transposing it. Then every transformation works, and intermediates are kept.

    Returns
    -------
    callable
        ``f(x, w)``, with ``x`` an array or a list of them, as the layer takes it, for ``jit``, ``grad``,
        ``vmap`` and ``scan``.

    Raises
    ------
    ValueError
        If ``mode`` is neither.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from arrayfab import LowRank, Reconciliation
    >>> f = function(Reconciliation(fabrication=LowRank(r=1), n=2, D=3))
    >>> loss = jax.jit(lambda w, x: jnp.sum(f(x, w) ** 2))
    >>> jax.grad(loss)(jnp.ones(5), jnp.ones((4, 3))).tolist()
    [72.0, 72.0, 48.0, 48.0, 48.0]
    """
    if mode not in _MODES:
        raise ValueError(f"function: mode must be one of {list(_MODES)}, got {mode!r}")
    return partial(_MODES[mode], layer)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _by_vjp(layer, x, w):
    return layer(x, w)


def _keep_inputs(layer, x, w):
    return layer(x, w), (x, w)


def _pull(layer, kept, grad_y):
    x, w = kept
    grad_x, grad_w = layer.vjp(x, w)[1](grad_y)
    # A tuple of inputs asks for a tuple of cotangents. None, where nothing is learned, stands for zeros.
    grad_x = jax.tree.unflatten(jax.tree.structure(x), jax.tree.leaves(grad_x))
    grad_w = None if grad_w is None else _varying_as(w, grad_w)
    return jax.tree.map(_varying_as, x, grad_x), grad_w


def _varying_as(primal, cotangent):
    # Inside `shard_map` a type says over which axes of the mesh an array varies, and a cotangent must have
    # that of its array. What devices share gets the sum of theirs: so JAX transposes a sum of the two.
    if jax.typeof(primal) == jax.typeof(cotangent):
        return cotangent
    _, pull = jax.vjp(lambda primal: primal + jax.numpy.zeros_like(cotangent), primal)
    return pull(cotangent + jax.numpy.zeros_like(primal))[0]


_by_vjp.defvjp(_keep_inputs, _pull)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _by_jvp(layer, x, w):
    return layer(x, w)


@_by_jvp.defjvp
def _push(layer, primals, tangents):
    return layer.jvp(*primals, *tangents)


_MODES: dict[str, Callable] = {"reverse": _by_vjp, "forward": _by_jvp}


def register(*classes: type) -> None:
    """Make pytrees without leaves of a configuration's classes: fabrications, roles, layers of your own.

    Those of arrayfab are registered already. A registered instance may be an argument of a jitted function,
    or part of one; JAX then compiles anew for every configuration. Arrays handed in by ``with_frozen`` are
    constants of the compiled function.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from arrayfab import LowRank
    >>> dense = jax.jit(lambda fabrication, w: fabrication.fabricate(w, 2, 2).to_dense())
    >>> dense(LowRank(r=1), jnp.ones(4)).shape
    (2, 2)
    """
    for each in classes:
        jax.tree_util.register_static(each)


def _flatten(matrix):
    names = tuple(matrix.handed_in)
    leaves = (matrix.w, *(matrix.handed_in[name] for name in names))
    return leaves, (matrix.fabrication, matrix.n, matrix.D, matrix.is_transposed, names)


def _unflatten(form, leaves):
    (fabrication, n, D, is_transposed, names), (w, *arrays) = form, leaves
    matrix = StructuredMatrix(fabrication, n, D, w, dict(zip(names, arrays, strict=True)))
    matrix.is_transposed = is_transposed
    return matrix


_PUBLIC = [getattr(arrayfab, name) for name in arrayfab.__all__]
register(
    *(each for each in _PUBLIC if isinstance(each, type) and is_dataclass(each)),
    Scaled,
    SumOf,
    ProductOf,
    WithFrozen,
)
jax.tree_util.register_pytree_node(StructuredMatrix, _flatten, _unflatten)
