"""Which fabrications fit a budget of learned numbers, what they cost, and how near they come to a matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from arrayfab import _arrays
from arrayfab import fabrications as fab
from arrayfab._arrays import Array
from arrayfab.choices import attainable_rank, choices_within, is_quickly_fitted, unscaled
from arrayfab.fabrications import Fabrication
from arrayfab.fabrications.blueprint import as_size, blueprint
from arrayfab.fitting import Fit, fitter, on_host
from arrayfab.tables import as_text

HEADER = ("fabrication", "l", "multiplies / row", "frozen", "bytes / row", "rank", "error", "fit")

_BYTES = 4  # of a float32


@dataclass(frozen=True, eq=False)
class Line:
    """A fabrication within the budget.

    Attributes
    ----------
    fabrication : Fabrication
        The variant with its hyper-parameters.
    l : int
        Learned numbers.
    multiplies : int
        Of a call, for every row of the data.
    frozen : int
        Numbers that are drawn from the seed and not learned.
    bytes_moved : int
        Of a call in float32, for every row of the data: learned and frozen numbers and the data read once,
        the result written once, and what the call passes over beside its products.
    rank : int
        The highest that any ``w`` can give, for a masked matrix an upper bound.
    fit : Fit or None
        Learned numbers whose matrix is near the target, where there is one.
    """

    fabrication: Fabrication
    l: int  # noqa: E741 - the papers' name
    multiplies: int
    frozen: int
    bytes_moved: int
    rank: int
    fit: Fit | None = None

    @property
    def w(self) -> Array | None:
        """Learned numbers to start training from, None where there was no target."""
        return None if self.fit is None else self.fit.w

    @property
    def error(self) -> float | None:
        """``‖ψ(w) - target‖`` in the Frobenius norm, None where there was no target."""
        return None if self.fit is None else self.fit.error


@dataclass(frozen=True, eq=False)
class Plan:
    """The lines of a plan, the best fit first where there is a target. `str` is the table."""

    n: int
    D: int
    budget: int
    rows: int
    lines: tuple[Line, ...] = field(repr=False)
    target_norm: float | None = None

    def table(self) -> list[tuple[str, ...]]:
        """A line of ``HEADER`` for every fabrication, as text; no error and fit where there is no target."""
        return [self._cells(line) for line in self.lines]

    def _cells(self, line):
        figures = (line.l, line.multiplies, line.frozen, line.bytes_moved, line.rank)
        cells = (_spelled(line.fabrication), *(f"{figure:,}" for figure in figures))
        if line.fit is None:
            return cells
        share = f" ({line.fit.error / self.target_norm:.1%})" if self.target_norm else ""
        return (*cells, f"{line.fit.error:.4g}{share}", "optimal" if line.fit.is_optimal else "local")

    @property
    def title(self) -> str:
        """What the table shows."""
        return f"n={self.n}, D={self.D}: at most {self.budget:,} learned numbers, calls on {self.rows} rows"

    @property
    def header(self) -> tuple[str, ...]:
        """The names of the table's columns."""
        return HEADER if self.target_norm is not None else HEADER[:-2]

    def __str__(self) -> str:
        return as_text(self.title, self.header, self.table())

    def figure(self, path: str | Path) -> None:
        """Draw the lines: error, or attainable rank, and multiplies against learned numbers.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError("matplotlib is needed: pip install 'arrayfab[demo]'") from error
        canvas = Figure(figsize=(11, 4.5), layout="constrained")
        left, right = canvas.subplots(1, 2)
        for i, (name, lines) in enumerate(self._by_variant().items()):
            learned, look = [line.l for line in lines], {"color": f"C{i % 10}", "marker": "os^"[i // 10]}
            heights = [line.rank if line.fit is None else line.fit.error for line in lines]
            left.scatter(learned, heights, **look)
            right.scatter(learned, [line.multiplies for line in lines], label=name, **look)
        left.set(ylabel="attainable rank" if self.target_norm is None else "Frobenius error")
        right.set(ylabel="multiplies per row")
        right.set_yscale("symlog", linthresh=10)
        for axes in (left, right):
            axes.set_xscale("symlog", linthresh=10)
            axes.set(xlabel="learned numbers", xlim=(-1, None))
            axes.axvline(self.budget, color="grey", linestyle="--", linewidth=1)
            axes.grid(alpha=0.3)
        canvas.suptitle(f"{self.n} × {self.D}, at most {self.budget:,} learned numbers")
        canvas.legend(loc="outside right center", fontsize=8)
        canvas.savefig(path, dpi=130)

    def _by_variant(self) -> dict[str, list[Line]]:
        variants: dict[str, list[Line]] = {}
        for line in self.lines:
            variants.setdefault(type(unscaled(line.fabrication)).__name__, []).append(line)
        return variants


def plan(
    n: int,
    D: int,
    budget: int,
    target: Array | None = None,
    *,
    rows: int = 32,
    each: int = 3,
    on_line: Callable[[int, int], object] = lambda done, total: None,
) -> Plan:
    """The fabrications of an ``n × D`` matrix that need no more than ``budget`` learned numbers.

    Of every variant at most ``each`` choices of hyper-parameters are listed: the highest rank ``r`` that
    fits, its half, and so on; the block sizes ``p``, ``q`` that allow the highest rank of the matrix and then
    have the most learned numbers. Left out is what another variant does with fewer numbers: factors with more
    numbers than their product, and networks with more inputs than their rank. Hypernets have at most 128
    learned numbers and about 2²⁴ frozen ones. With a target, `LoHa`, `CP`, `RandLoRA` and rotations are left
    out where their learned numbers times those of the matrix are more than 2²²: a fit would take minutes.

    Parameters
    ----------
    n, D : int
        Rows and columns of the matrix.
    budget : int
        The most numbers to learn.
    target : array, shape ``(n, D)``, optional
        A matrix that each fabrication is fitted to, see `arrayfab.fitting.fit`. The constant is then its
        mean. Hypernets are scaled to its root mean square, and after the fit to what is best for that ``w``.
    rows : int
        Rows of the data of a call, over which the work of forming a matrix is shared.
    each : int
        The most lines of one variant.
    on_line : callable, optional
        ``on_line(done, total)`` is called after every line, with how many there are so far and will be.

    Returns
    -------
    Plan
        Its ``lines`` are sorted by error where there is a target. ``print(plan)`` shows a table,
        ``plan.figure(path)`` draws it, and ``plan.lines[i].w`` starts training.

    Raises
    ------
    TypeError, ValueError
        If a size is no positive integer, or the target has another shape or no real floating numbers.
    ImportError
        If there is a target and SciPy, which fits hypernets, is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayfab
    >>> target = np.outer(np.arange(6.0), [1.0, 2.0, 3.0, 5.0])
    >>> best = arrayfab.plan(6, 4, 12, target).lines[0]
    >>> best.l <= 12, round(best.error, 12)
    (True, 0.0)
    """
    n, D = as_size("plan", "n", n), as_size("plan", "D", D)
    rows, each = as_size("plan", "rows", rows), as_size("plan", "each", each)
    budget = as_size("plan", "budget", budget)
    if target is not None:
        _arrays.check_real_floating("plan", "target", target)
        _arrays.check_shape("plan", "target", target, (n, D))
    line_of = partial(_line, n=n, D=D, rows=rows) if target is None else _fitting(target, rows)
    lines, choices = [], list(choices_within(n, D, budget, each))
    if target is not None:
        choices = [choice for choice in choices if is_quickly_fitted(choice, n, D)]
    for choice in choices:
        lines.append(line_of(choice))
        on_line(len(lines), len(choices))
    if target is None:
        return Plan(n, D, budget, rows, tuple(lines))
    # What comes as near as rounding lets it is equally near, whatever BLAS made of the last digits.
    lines.sort(key=lambda line: (max(line.error or 0.0, 1e-12), line.l))
    return Plan(n, D, budget, rows, tuple(lines), float(np.linalg.norm(on_host(target))))


def _fitting(target: Array, rows: int) -> Callable[[Fabrication], Line]:
    """What makes a line of a choice, fitted to a target."""
    numbers, fit = on_host(target), fitter(target)
    n, D = numbers.shape

    def scaled_fit(hypernet):
        usual = blueprint(hypernet, n, D).structure.mean_square(1.0 / hypernet.l)
        found = fit(float(np.sqrt(np.mean(numbers**2) / usual)) * hypernet)
        # ‖s W − M‖ is least for s = ⟨W, M⟩ / ⟨W, W⟩.
        W = hypernet.fabricate(on_host(found.w), n, D).to_dense()
        scale = float(np.sum(W * numbers) / np.sum(W * W))
        return scale * hypernet, replace(found, error=float(np.linalg.norm(scale * W - numbers)))

    def line_of(choice):
        if isinstance(choice, fab.Hypernet | fab.RandomMatrixHypernet):
            return _line(*scaled_fit(choice), n=n, D=D, rows=rows)
        if isinstance(choice, fab.Constant):
            choice = fab.Constant(c=float(np.mean(numbers)))
        return _line(choice, fit(choice), n=n, D=D, rows=rows)

    return line_of


def _line(fabrication: Fabrication, fitted: Fit | None = None, *, n: int, D: int, rows: int) -> Line:
    frozen = sum(matrix.size for matrix in blueprint(fabrication, n, D).frozen.values())
    cost, l = fabrication.cost(n, D, rows), fabrication.num_parameters(n, D)  # noqa: E741
    moved = l + frozen + rows * (n + D) + cost.moved
    return Line(
        fabrication,
        l,
        math.ceil(cost.multiplies / rows),
        frozen,
        math.ceil(_BYTES * moved / rows),
        attainable_rank(fabrication, n, D),
        fitted,
    )


def _spelled(fabrication: Fabrication) -> str:
    scale = f"{fabrication.scale:.3g} * " if isinstance(fabrication, fab.Scaled) else ""
    return f"{scale}{unscaled(fabrication)}"
