"""Learned numbers whose matrix is near a given one, in the Frobenius norm.

Where a closed form gives the nearest matrix of all, it is taken: projections, the truncated SVD (C. Eckart,
G. Young, 1936), also of the rearranged matrix (C. Van Loan, N. Pitsianis, 1993) and of its blocks.
Elsewhere steps that are exact in one factor alternate, with momentum (Y. Nesterov, 1983), or Gauss–Newton is
run, and a local optimum is found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from arrayfab import _arrays
from arrayfab import fabrications as fab
from arrayfab._arrays import Array
from arrayfab.approximation import Target
from arrayfab.fabrications import Fabrication
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.nearest import nearest


@dataclass(frozen=True, eq=False)
class Fit:
    """Learned numbers, how far their matrix is from the target, and whether any other could be nearer."""

    w: Array
    error: float
    is_optimal: bool


def fit(fabrication: Fabrication, target: Array) -> Fit:
    """The learned numbers ``w`` that bring ``W = ψ(w)`` near a target.

    Parameters
    ----------
    fabrication : Fabrication
        ``ψ``.
    target : array, shape ``(n, D)``
        Of any namespace. The work is done on the host, in float64.

    Returns
    -------
    Fit
        ``w`` lives where the target does, in its dtype; ``error`` is ``‖W - target‖`` in the Frobenius norm,
        of the matrix of that very ``w``; ``is_optimal`` says whether no other ``w`` has a smaller error,
        rounding aside. It is so for every formula that is linear in ``w``, for `LowRank`, `Hypercomplex` and
        sums of equal ones, `Monarch`, and a `TensorTrain` of two cores. For others ``w`` is what a
        deterministic search has come to.

    Raises
    ------
    TypeError, ValueError
        If the target is no matrix of real floating numbers, all of them finite, or the hyper-parameters do
        not fit its shape.
    ImportError
        If the formula has no closed form, and SciPy is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import LowRank
    >>> from arrayfab.fitting import fit
    >>> found = fit(LowRank(r=1), np.diag([4.0, 2.0, 1.0]))
    >>> round(found.error**2, 12), found.is_optimal  # the squared singular values left out
    (5.0, True)
    """
    return fitter(target)(fabrication)


def fitter(target: Array) -> Callable[[Fabrication], Fit]:
    """`fit` to one target, whose decompositions all fits share."""
    xp = _arrays.check_real_floating("fit", "target", target).xp
    if target.ndim != 2:
        raise ValueError(f"fit: target must have shape (n, D), got {tuple(target.shape)}")
    n, D = target.shape
    numbers = on_host(target)
    if not np.all(np.isfinite(numbers)):
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(numbers))[0])
        raise ValueError(f"fit: target must be finite, got {numbers[at]} at {at}")
    is_zero, shared = not np.any(numbers), Target(numbers)

    def fitted(fabrication):
        fabrication.num_parameters(n, D)  # whose error names the size that does not fit
        fabrication = _here(fabrication)
        if is_zero and blueprint(fabrication, n, D).structure.zeroing:
            # One factor alone is zero: were they all, no gradient would lead away.
            w, is_optimal = fabrication.init(n, D, rng=0, zero=True), True
        else:
            w, is_optimal = nearest(fabrication, shared)
        w = _arrays.from_host(w, xp, target.dtype, _arrays.device_of(target))
        W = fabrication.fabricate(on_host(w), n, D).to_dense()
        return Fit(w, float(np.linalg.norm(W - numbers)), is_optimal)

    return fitted


def _here(part):
    """A fabrication, or a part of one, with arrays handed in moved to the host."""
    if isinstance(part, tuple):
        return tuple(map(_here, part))
    if isinstance(part, Mapping):
        return {name: on_host(array) for name, array in part.items()}
    if isinstance(part, fab.Base):
        return fab.Base(on_host(part.W0))
    if not (isinstance(part, Fabrication) and part.holds_arrays):
        return part
    return replace(part, **{field.name: _here(getattr(part, field.name)) for field in fields(part)})


def on_host(array: Array) -> np.ndarray:
    """An array of any namespace as one of NumPy in float64."""
    xp = _arrays.check_real_floating("fit", "array", array).xp
    if array.dtype not in (xp.float32, xp.float64):  # NumPy may not have the dtype
        array = xp.astype(array, xp.float32)
    return _arrays.to_host(array).astype(np.float64)
