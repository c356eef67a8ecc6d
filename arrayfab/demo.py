"""A classifier of scikit-learn's digits in which every matrix is fabricated, trained by L-BFGS."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from arrayfab import _arrays
from arrayfab.composition import Parallel, Sequential
from arrayfab.fabrications import (
    LPHM,
    DualLPHM,
    Fabrication,
    Full,
    Hypercomplex,
    LowRank,
    RandomMatrixAdaption,
    RandomMatrixHypernet,
)
from arrayfab.gradients import scipy_objective, softmax_cross_entropy
from arrayfab.layer import Layer
from arrayfab.plain import Pointwise, Reshape
from arrayfab.roles import (
    BilinearInterdependence,
    ConcatenationFusion,
    ParameterizedInterdependence,
    Reconciliation,
)

DECAY = 1e-3  # of the squared learned numbers
SIDE, PIXELS, HIDDEN, CLASSES = 8, 64, 128, 10


@dataclass(frozen=True)
class Variant:
    """A choice of fabrications for the five places of the architecture."""

    name: str
    mixing: Fabrication  # among an image's pixels, 64 × 64
    rows: Fabrication  # among an image's columns, 8 × 8
    bilinear: Fabrication  # among an image's rows, 8 × 8
    fusion: Fabrication  # 128 × 192
    readout: Fabrication  # 10 × 128

    def model(self) -> Sequential:
        """Three branches over the pixels, a fusion that joins them, a read-out."""
        branches: list[Layer] = [
            ParameterizedInterdependence(fabrication=self.mixing, m=PIXELS),
            _on_image(ParameterizedInterdependence(fabrication=self.rows, m=SIDE)),
            _on_image(BilinearInterdependence(fabrication=self.bilinear, b=SIDE)),
        ]
        fusion = ConcatenationFusion(fabrication=self.fusion, dims=(PIXELS,) * 3, n=HIDDEN)
        readout = Reconciliation(fabrication=self.readout, n=CLASSES, D=HIDDEN, bias=True)
        return Sequential([Parallel(branches), fusion, Pointwise("tanh"), readout])


def _on_image(layer: Layer) -> Sequential:
    flat, square = (PIXELS,), (SIDE, SIDE)
    return Sequential([Reshape(flat, square), layer, Reshape(square, flat)])


def _alike(name: str, fabrication: Fabrication) -> Variant:
    return Variant(name, fabrication, fabrication, fabrication, fabrication, fabrication)


BASELINE = _alike("dense baseline", Full())

VARIANTS = [
    BASELINE,
    Variant(
        "the five functions",
        mixing=DualLPHM(p=8, q=8, r=8),
        rows=Full(),
        bilinear=RandomMatrixAdaption(r=8),
        fusion=LowRank(r=16),
        readout=0.002 * RandomMatrixHypernet(r=32, l=256, hidden_dim=256),
    ),
    _alike("low rank", LowRank(r=12)),
    _alike("hypercomplex", Hypercomplex(p=2, q=4)),
    _alike("lphm", LPHM(p=2, q=4, r=12)),
    _alike("dual lphm", DualLPHM(p=2, q=4, r=8)),
    _alike("hypercomplex + low rank", Hypercomplex() + LowRank(r=4)),
]


@dataclass(frozen=True)
class Outcome:
    """A trained variant."""

    variant: Variant
    parameters: int
    train_accuracy: float
    test_accuracy: float
    seconds: float
    fusion: np.ndarray  # the fusion's matrix


def digits(seed: int = 0) -> tuple[np.ndarray, ...]:
    """Train images, train labels, test images, test labels; a quarter is for the test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    x, x_test, t, t_test = train_test_split(
        images / 16.0, labels, test_size=0.25, random_state=seed, stratify=labels
    )
    return x, t, x_test, t_test


def train(
    variant: Variant,
    data: tuple[np.ndarray, ...],
    xp: ModuleType,
    iterations: int = 100,
    seed: int = 0,
    on_iteration: Callable[[], object] = lambda: None,
) -> Outcome:
    """Fit a variant by L-BFGS on arrayfab's own gradients, with arrays of ``xp`` in float32."""
    from scipy.optimize import minimize

    model = variant.model()
    x, x_test = (_arrays.from_host(images, xp, xp.float32, None) for images in data[::2])
    t, t_test = (_arrays.from_host(labels, xp, None, None) for labels in data[1::2])
    start = time.perf_counter()
    fit = minimize(
        _decayed(scipy_objective(model, softmax_cross_entropy, x, t), DECAY),
        model.init(rng=seed),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": iterations},
        callback=lambda intermediate_result: on_iteration(),
    )
    seconds = time.perf_counter() - start
    w = _arrays.from_host(fit.x, xp, x.dtype, None)
    branches, fusion = model.layers[:2]
    begin = branches.num_parameters()
    of_fusion = w[begin : begin + fusion.num_parameters()]
    return Outcome(
        variant,
        model.num_parameters(),
        _accuracy(model(x, w), t),
        _accuracy(model(x_test, w), t_test),
        seconds,
        _arrays.to_host(variant.fusion.fabricate(of_fusion, HIDDEN, 3 * PIXELS).to_dense()),
    )


def _decayed(objective, decay):
    def decayed_objective(w):
        value, grad = objective(w)
        return value + decay * float(w @ w) / 2, grad + decay * w

    return decayed_objective


def _accuracy(logits, labels):
    return float(np.mean(np.argmax(_arrays.to_host(logits), axis=-1) == _arrays.to_host(labels)))


def figure(outcomes: list[Outcome], path: Path) -> None:
    """Accuracy against learned numbers, above the fabricated fusion matrices as images."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    canvas = plt.figure(figsize=(12, 7.5), layout="constrained")
    grid = canvas.add_gridspec(2, len(outcomes), height_ratios=[1.3, 1])
    axes = canvas.add_subplot(grid[0, :])
    for outcome in outcomes:
        (point,) = axes.plot(outcome.parameters, 100 * outcome.test_accuracy, "o", markersize=9)
        axes.annotate(
            outcome.variant.name,
            (outcome.parameters, 100 * outcome.test_accuracy),
            xytext=(9, -3),
            textcoords="offset points",
            color=point.get_color(),
        )
    axes.set(
        xscale="log",
        xlabel="learned numbers",
        ylabel="test accuracy, %",
        title="Digits: the same architecture, different fabrications",
    )
    axes.margins(x=0.2, y=0.15)
    axes.grid(alpha=0.3)
    for i, outcome in enumerate(outcomes):
        axes = canvas.add_subplot(grid[1, i])
        limit = np.abs(outcome.fusion).max()
        axes.imshow(outcome.fusion.T, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
        axes.set_title(outcome.variant.name, fontsize=8)
        axes.set(xticks=[], yticks=[])
        if i == 0:
            axes.set_ylabel("the fusion's matrix, transposed")
    canvas.savefig(path, dpi=130)
    plt.close(canvas)
