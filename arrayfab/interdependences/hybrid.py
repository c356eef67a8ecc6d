"""Interdependences made of others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

from arrayfab.interdependences.base import Interdependence
from arrayfab.interdependences.functions import as_real
from arrayfab.structures import add, hadamard

FUSIONS = ("mean", "sum", "product")


@dataclass(frozen=True, kw_only=True)
class HybridInterdependence(Interdependence):
    """The mean, the sum or the product, entry by entry, of the matrices of several interdependences.

    A sum is multiplied out: parts that need no matrix for their product need none here.

    Parameters
    ----------
    parts : tuple of Interdependence
        Whatever their own types are, they become of that of the whole.
    fusion : str
        ``"mean"``, ``"sum"`` or ``"product"``.
    weights : tuple of float, optional
        One for every matrix, by which it is multiplied before; a mean divides by how many there are unless
        weights are given.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab.interdependences import GaussianKernel, HybridInterdependence, LinearKernel
    >>> hybrid = HybridInterdependence(parts=(LinearKernel(), GaussianKernel(sigma=2.0)), weights=(0.9, 0.1))
    >>> hybrid(np.ones((3, 4))).shape
    (3, 4)
    """

    parts: tuple[Interdependence, ...]
    fusion: str = "mean"
    weights: tuple[float, ...] | None = None

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.parts, list | tuple) or not self.parts:
            raise ValueError(f"HybridInterdependence: parts must be interdependences, got {self.parts!r}")
        for part in self.parts:
            if not isinstance(part, Interdependence):
                raise TypeError(f"HybridInterdependence: parts must be interdependences, got {part!r}")
        if self.fusion not in FUSIONS:
            raise ValueError(f"HybridInterdependence: fusion must be one of {FUSIONS}, got {self.fusion!r}")
        kind = self.interdependence_type
        parts = tuple(replace(part, interdependence_type=kind) for part in self.parts)
        object.__setattr__(self, "parts", parts)
        if self.weights is not None:
            weights = tuple(as_real(self, "every weight", weight) for weight in self.weights)
            if len(weights) != len(self.parts):
                raise ValueError(
                    f"HybridInterdependence: expected {len(self.parts)} weights, one for every part, "
                    f"got {weights}"
                )
            object.__setattr__(self, "weights", weights)

    @property
    def needs_data(self):  # type: ignore[override]
        return any(part.needs_data for part in self.parts)

    @property
    def holds_arrays(self):  # type: ignore[override]
        return any(part.holds_arrays for part in self.parts)

    def relation(self, V):
        matrices = [part.relation(V) for part in self.parts]
        weights = self.weights
        if weights is None and self.fusion == "mean":
            weights = (1.0 / len(matrices),) * len(matrices)
        if weights is not None:
            matrices = [weight * matrix for weight, matrix in zip(weights, matrices, strict=True)]
        return reduce(hadamard, matrices) if self.fusion == "product" else add(*matrices)
