"""Frozen random matrices: the same numbers from a seed, on every backend, to the last bit.

A frozen matrix is a pure function of ``(scheme, seed, name, law)``. An entry depends on its own counter
alone, so any run of entries can be drawn by itself, and twice. ``docs/frozen.md`` specifies the scheme.
"""

from arrayfab.frozen.draws import SCHEME, Cache, Frozen, Stream, cache, checked_seed
from arrayfab.frozen.laws import Bernoulli, Gaussian, Law, Rademacher, Uniform

__all__ = [
    "SCHEME",
    "Bernoulli",
    "Cache",
    "Frozen",
    "Gaussian",
    "Law",
    "Rademacher",
    "Stream",
    "Uniform",
    "cache",
    "checked_seed",
]
