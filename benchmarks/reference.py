"""The numbers that every peer must give: plain dense formulas in float64.

``W`` is formed by the fabrication's own `fabricate`, all products are plain ones, and a gradient goes to
``w`` through the whole ``grad_W``. Where a dense matrix would not fit a minute or the memory, the role itself
in float64 stands in, which the smaller sizes have checked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from arrayfab.roles import BilinearInterdependence, ParameterizedInterdependence
from expanded import formed
from workloads import Problem

LARGEST = 1 << 26  # entries of the largest matrix that is formed
ROOM = {"float16": 2e-2, "float32": 1e-4, "float64": 1e-11}


def dense(problem: Problem) -> tuple[Any, tuple, np.ndarray]:
    """``y``, the inputs' gradients and that of ``w``."""
    role, (n, D) = problem.workload.role, problem.workload.matrix
    xs = tuple(x.astype(np.float64) for x in problem.xs)
    w, g = problem.w.astype(np.float64), problem.g.astype(np.float64)
    W, pull = problem.workload.fabrication.vjp(w, n, D)
    if not xs:
        return W, (), pull(g)
    x = np.concatenate(xs, axis=1)
    if problem.workload.is_expanded:
        K, pull_K = formed(problem.workload.kind)[0](x)
        return K @ W.T, (pull_K(g @ W),), pull(g.T @ K)
    if isinstance(role, BilinearInterdependence):
        # y = x A with A = xᵀ W x, so that  grad A = xᵀ g.
        A, grad_A = x.T @ W @ x, x.T @ g
        grad_x = g @ A.T + W @ x @ grad_A.T + W.T @ x @ grad_A
        return x @ A, (grad_x,), pull(x @ grad_A @ x.T)
    if isinstance(role, ParameterizedInterdependence):
        return x @ W, (g @ W.T,), pull(x.T @ g)
    edges = np.cumsum([part.shape[1] for part in xs])[:-1]
    return x @ W.T, tuple(np.split(g @ W, edges, axis=1)), pull(g.T @ x)


def matrix_free(problem: Problem) -> tuple[Any, tuple, np.ndarray]:
    """The same from the role in float64."""
    role, xs = problem.workload.role, [x.astype(np.float64) for x in problem.xs]
    y, pullback = role.vjp(xs if len(xs) != 1 else xs[0], problem.w.astype(np.float64))
    grad_x, grad_w = pullback(problem.g.astype(np.float64))
    return y, tuple(grad_x) if isinstance(grad_x, list) else (grad_x,), grad_w


def reference(problem: Problem) -> tuple[Any, tuple, np.ndarray]:
    """What a gradient call must return."""
    is_small = all(n * D <= LARGEST for n, D in problem.workload.formed)
    return dense(problem) if is_small else matrix_free(problem)


def error(found: Any, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest number expected."""
    found = np.asarray(found, dtype=np.float64)
    if found.size != expected.size:
        raise ValueError(f"expected {expected.shape}, got {found.shape}")
    scale = np.max(np.abs(expected))
    return float(np.max(np.abs(found.reshape(expected.shape) - expected)) / (scale or 1.0))


def disagreement(problem: Problem, y: Any, grad_xs: Any, grad_w: Any, expected: tuple) -> str | None:
    """What differs, and by how much; None where all numbers agree. A gradient left out is None."""
    room = ROOM[problem.workload.dtype]
    parts = [("y", y, expected[0])]
    if grad_xs is not None:
        parts += [(f"grad_x[{i}]", *pair) for i, pair in enumerate(zip(grad_xs, expected[1], strict=True))]
        parts.append(("grad_w", grad_w, expected[2]))
    for name, found, wanted in parts:
        off = error(found, wanted)
        if not off < room:
            return f"{name} is off by {off:.1e}"
    return None
