"""Every variant in every role at one shape, in figures."""

from __future__ import annotations

from arrayfab import fabrications as fab
from arrayfab.expansions import Expansion, Taylor
from arrayfab.roles import (
    BilinearInterdependence,
    ConcatenationFusion,
    ParameterizedInterdependence,
    Reconciliation,
    Role,
)

VARIANTS = {
    "full": fab.Full(),
    "constant": fab.Constant(),
    "eye": fab.Eye(),
    "masked": fab.Masked(),
    "duplicated padding": fab.DuplicatedPadding(),
    "duplicated diagonal padding": fab.DuplicatedDiagonalPadding(),
    "low rank (lorr)": fab.LowRank(),
    "hypercomplex (hm)": fab.Hypercomplex(),
    "lphm": fab.LPHM(),
    "dual lphm": fab.DualLPHM(),
    "random matrix adaption": fab.RandomMatrixAdaption(),
    "hypernet": fab.Hypernet(),
    "random matrix hypernet": fab.RandomMatrixHypernet(),
    "mirrored lphm": fab.MirroredLPHM(),
    "loha": fab.LoHa(),
    "cp": fab.CP(),
    "tensor train": fab.TensorTrain(),
    "randlora": fab.RandLoRA(),
    "vb-lora": fab.VBLoRA(),
    "block diagonal": fab.BlockDiagonal(),
    "monarch": fab.Monarch(),
    "toeplitz": fab.Toeplitz(),
    "circulant": fab.Circulant(),
    "fourierft": fab.FourierFT(),
    "ia3": fab.IA3(),
    "dora": fab.DoRA(inner=fab.LowRank()),
    "cayley": fab.Cayley(),
    "neumann": fab.Neumann(),
    "butterfly": fab.Butterfly(),
    "householder": fab.Householder(),
}

EXPANSIONS: dict[str, Expansion] = {
    "taylor": Taylor(d=2),
    "taylor of degree 3": Taylor(d=3),
}

PRODUCTS = EXPANSIONS["taylor"]

HEADER = (
    *("variant", "l", "compression"),
    *("reconciliation", "of products", "interdependence", "bilinear", "fusion"),
)


def catalogue(n: int, D: int, rows: int = 32) -> list[tuple[str, ...]]:
    """A line of `HEADER` for every variant, as text.

    The roles' columns hold the multiplies of a call on ``rows`` rows: a reconciliation and a fusion of two
    halves from ``D`` columns to ``n``, an attribute interdependence from ``n`` columns to ``D``, and a
    bilinear one of ``D`` columns with its ``rows × rows`` matrix. "Of products" is the reconciliation of
    ``D`` columns and their ``D²`` products, `Taylor`, with a matrix of as many columns. A dash stands where
    a variant does not fit.
    """
    return [_line(name, variant, n, D, rows) for name, variant in VARIANTS.items()]


def _line(name, variant, n, D, rows):
    l = _or_dash(lambda: variant.num_parameters(n, D))  # noqa: E741
    halves = (D // 2, D - D // 2)
    calls = [
        (lambda: Reconciliation(fabrication=variant, n=n, D=D), [(rows, D)]),
        (lambda: Reconciliation(expansion=PRODUCTS, fabrication=variant, n=n, m=D), [(rows, D)]),
        (lambda: ParameterizedInterdependence(fabrication=variant, m=n, m_prime=D), [(rows, n)]),
        (lambda: BilinearInterdependence(fabrication=variant, b=rows), [(rows, D)]),
        (lambda: ConcatenationFusion(fabrication=variant, n=n, dims=halves), [(rows, d) for d in halves]),
    ]
    compression = f"{n * D / l:,.1f}×" if isinstance(l, int) and l else "–"
    return (name, _text(l), compression, *(_text(_or_dash(_multiplies, *call)) for call in calls))


def _multiplies(role, shapes) -> int:
    made: Role = role()
    return made.cost(*shapes).multiplies


def _or_dash(figure, *arguments):
    try:
        return figure(*arguments)
    except ValueError:  # the sizes do not fit the variant
        return "–"


def _text(figure) -> str:
    return figure if isinstance(figure, str) else f"{figure:,}"
