# pyright: strict
"""A program with types, as a user writes it: it is held to mypy's and pyright's strictest, and it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import arrayfab
from arrayfab import (
    Attention,
    Base,
    BilinearInterdependence,
    ConcatenationFusion,
    DualLPHM,
    Eye,
    Fabrication,
    Full,
    Head,
    LowRank,
    Parallel,
    ParameterizedInterdependence,
    Pointwise,
    Reconciliation,
    Sequential,
    StructuredMatrix,
    Taylor,
    expansions,
    interdependences,
    models,
    remainders,
)
from arrayfab.fitting import fit
from arrayfab.gradients import mean_squared_error, scipy_objective, softmax_cross_entropy, value_and_grad
from arrayfab.interop.scipy import aslinearoperator
from arrayfab.layer import Layer
from arrayfab.structures import Cost, Dense, Structure
from arrayfab.training import AdamW, Cosine, EarlyStopping, History, Run, Training, accuracy


class Outer(Fabrication):
    """``W = u vᵀ``: a variant of one's own."""

    def blocks(self, n: int, D: int) -> dict[str, tuple[int, ...]]:
        return {"u": (n, 1), "v": (1, D)}

    def matrix(self, n: int, D: int, **holes: Dense) -> Structure:
        return holes["u"] @ holes["v"]


def matrices() -> list[float]:
    """Fabrications, and what is made of them."""
    updates: list[Fabrication] = [LowRank(r=4), 0.5 * Eye() + DualLPHM(p=4, q=4, r=2), -Outer() / 2.0]
    sums: Fabrication = sum(updates[1:], start=updates[0])
    W0: np.ndarray = np.ones((64, 64))
    figures: list[float] = []
    for fabrication in (*updates, sums, Base(W0) + LowRank(r=1), Outer() @ Full()):
        count: int = fabrication.num_parameters(64, 64)
        w: Any = fabrication.init(64, 64, rng=0)
        W: StructuredMatrix = fabrication.fabricate(w, 64, 64)
        shape: tuple[int, ...] = W.shape
        cost: Cost = fabrication.cost(64, 64, rows=2)
        dense, pullback = fabrication.vjp(w, 64, 64)
        figures += [float(np.sum(dense)), float(cost.multiplies), float(shape[0]), float(count)]
        figures.append(float(np.sum(pullback(dense))))
        transposed: StructuredMatrix = W.T
        aslinearoperator(transposed)
    return figures


def layers() -> list[Layer]:
    """Roles, heads and models."""
    role = Reconciliation(fabrication=LowRank(r=2), expansion=Taylor(d=2), n=4, m=6, bias=True)
    head = Head(
        fabrication=DualLPHM(r=2),
        expansion=expansions.BSpline(),
        attribute=interdependences.GaussianKernel(),
        remainder=remainders.linear(m=6, n=4),
        channels=2,
        n=4,
        m=6,
    )
    both = Sequential([Parallel([role, head]), ConcatenationFusion(fabrication=Full(), dims=(4, 4), n=3)])
    among = [
        ParameterizedInterdependence(fabrication=Full(), m=6),
        BilinearInterdependence(fabrication=LowRank(r=1), b=5),
        Attention(fabrication=LowRank(r=1), m=6, interdependence_type="instance"),
    ]
    return [role, head, both, *among, Pointwise("tanh"), models.kan((6, 5, 3))]


def call(layer: Layer, x: Any) -> tuple[Any, Any]:
    """A result, and its gradient in the learned numbers."""
    w = layer.init(rng=0)
    y, pullback = layer.vjp(x, w)
    _, tangent = layer.jvp(x, w, x, w)
    _, grad_w = pullback(y + tangent)
    return layer(x, w), grad_w


def by_roles(x: Any) -> list[Any]:
    """What roles, heads and compositions answer by themselves."""
    role = Reconciliation(fabrication=LowRank(r=2), n=4, m=6)
    head = Head(fabrication=Full(), n=4, m=6)
    results: list[Any] = []
    for layer in (role, head, Sequential([role, Pointwise("tanh")])):
        w = layer.init(rng=0, variance=1.0)
        y, pullback = layer.vjp(x, w, wrt="w")
        results += [layer(x, w), layer.jvp(x, w, x, w)[1], pullback(y)[1], layer.cost((5, 6)).multiplies]
    return [*results, role.matrix(role.init(rng=0))]


def objective(layer: Layer, x: Any, t: Any) -> Callable[[Any], tuple[float, Any]]:
    """What SciPy minimizes."""
    value, gradient = value_and_grad(layer, mean_squared_error)(layer.init(rng=0), x, t)
    assert value >= 0
    assert gradient.shape == (layer.num_parameters(),)
    return scipy_objective(layer, softmax_cross_entropy, x, t)


def train(layer: Layer, x: Any, t: Any, path: Path) -> History:
    """A run that is saved and resumed."""
    training = Training(
        layer=layer,
        optimizer=AdamW(weight_decay=1e-3),
        rate=Cosine(0.01, epochs=3),
        stopping=EarlyStopping(patience=2),
        metric=accuracy,
        epochs=3,
    )
    run: Run = training.start(x, t, validation=(x, t)).train(2)
    arrayfab.save(path, run.entries())
    return training.resume(arrayfab.load(path), x, t, validation=(x, t)).train().history


def near(target: np.ndarray) -> str:
    """A fit, and a plan."""
    found = fit(LowRank(r=2), target)
    error: float = found.error
    plan = arrayfab.plan(8, 8, 40, target=target)
    return f"{error:.3f} {plan} {arrayfab.__version__} {layers()[0]}"
