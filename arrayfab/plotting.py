"""Figures with Matplotlib: entries and spectra of matrices, learning curves, cost against size.

Every function takes the axes to draw on, or makes a figure of its own, and gives the axes back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.fabrications import Fabrication
from arrayfab.glimpse import glimpse
from arrayfab.interop.scipy import aslinearoperator
from arrayfab.matrix import StructuredMatrix
from arrayfab.outline import formula
from arrayfab.training.history import History

try:
    from matplotlib import pyplot
except ImportError as error:
    raise ImportError("matplotlib 3.8.4 or newer is needed: pip install 'arrayfab[plot]'") from error

#: What `costs` counts: the name of the axis.
_COUNTED = {
    "learned": "learned numbers",
    "multiplies": "multiplies for each row of data",
}


def _axes(axes: Any) -> Any:
    return pyplot.figure(layout="constrained").subplots() if axes is None else axes


def matrix(W: StructuredMatrix | Array, axes: Any = None, *, most: int = 256) -> Any:
    """The entries of a matrix in colours: red is negative, blue is positive, white is zero.

    Of a larger one every so many-th row and column is drawn; a structured one is not formed for that.

    Parameters
    ----------
    W : StructuredMatrix or array, shape ``(n, D)``
    axes : matplotlib.axes.Axes, optional
    most : int
        So many rows and columns are drawn at most.

    Raises
    ------
    ValueError
        If the matrix has leading axes.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import LowRank, plotting
    >>> W = LowRank(r=2).fabricate(np.ones(2 * 5000), 3000, 2000)
    >>> plotting.matrix(W).get_ylabel()
    '3,000 rows'
    """
    if len(W.shape) != 2:
        raise ValueError(f"plotting.matrix: the matrix must have no leading axes, got shape {tuple(W.shape)}")
    n, D = W.shape
    if isinstance(W, StructuredMatrix):
        values = glimpse(W, most, most)
    else:
        values = _arrays.to_host(W[:: math.ceil(n / most), :: math.ceil(D / most)])
    axes, limit = _axes(axes), np.abs(values).max(initial=0.0)
    image = axes.imshow(values, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    axes.figure.colorbar(image, ax=axes)
    axes.set(xticks=[], yticks=[], xlabel=f"{D:,} columns", ylabel=f"{n:,} rows")
    return axes


def spectrum(
    W: StructuredMatrix | Array, axes: Any = None, *, count: int | None = None, label: str | None = None
) -> Any:
    """The singular values of a matrix, the largest first.

    Parameters
    ----------
    W : StructuredMatrix or array, shape ``(n, D)``
    axes : matplotlib.axes.Axes, optional
    count : int, optional
        So many of the largest, found with SciPy by products with the matrix, which is not formed. Left out,
        all of them, of the matrix formed on the host.
    label : str, optional
        The name of the line.

    Raises
    ------
    ValueError
        If the matrix has leading axes, or ``count`` is not between 1 and one less than the smaller side.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import LowRank, plotting
    >>> fabrication = LowRank(r=2)
    >>> W = fabrication.fabricate(fabrication.init(30, 40, rng=0), 30, 40)
    >>> axes = plotting.spectrum(W)
    >>> int((axes.lines[0].get_ydata() > 1e-9).sum())
    2
    """
    if len(W.shape) != 2:
        raise ValueError(
            f"plotting.spectrum: the matrix must have no leading axes, got shape {tuple(W.shape)}"
        )
    if count is None:
        dense = W.to_dense() if isinstance(W, StructuredMatrix) else W
        values = np.linalg.svd(_arrays.to_host(dense), compute_uv=False)
    else:
        values = _largest(W, count)
    axes = _axes(axes)
    axes.plot(range(1, len(values) + 1), values, ".-", label=label)
    axes.set(xlabel="number", ylabel="singular value", yscale="log")
    if label is not None:
        axes.legend()
    return axes


def _largest(W, count):
    from scipy.sparse.linalg import svds

    if not (_arrays.is_integer(count) and 0 < count < min(W.shape)):
        raise ValueError(
            f"plotting.spectrum: count must be a whole number from 1 to {min(W.shape) - 1}, got {count!r}"
        )
    operator = aslinearoperator(W) if isinstance(W, StructuredMatrix) else _arrays.to_host(W)
    start = np.random.default_rng(0).standard_normal(min(W.shape))
    return np.sort(svds(operator, k=int(count), return_singular_vectors=False, v0=start))[::-1]


def curves(histories: History | Mapping[str, History], axes: Any = None) -> Any:
    """The losses of one training or several, and metrics on an axis of their own at the right.

    Parameters
    ----------
    histories : History, or mapping from str to History
        Several have names.
    axes : matplotlib.axes.Axes, optional

    Examples
    --------
    >>> from arrayfab import plotting
    >>> from arrayfab.training import Epoch, History
    >>> history = History([Epoch(loss=1.0, rate=0.1), Epoch(loss=0.5, rate=0.1)])
    >>> plotting.curves({"small": history, "large": history}).get_ylabel()
    'loss'
    """
    axes, right = _axes(axes), None
    named = {"": histories} if isinstance(histories, History) else histories
    for name, history in named.items():
        at, colour = range(1, len(history.epochs) + 1), None
        for column, kind, style in (("loss", "training", "-"), ("validation_loss", "validation", "--")):
            if _is_known(history, column):
                label = f"{name}, {kind}" if name else kind
                (line,) = axes.plot(at, history.column(column), style, color=colour, label=label)
                colour = line.get_color()
        if _is_known(history, "metric"):
            right = axes.twinx() if right is None else right
            right.plot(at, history.column("metric"), ":", color=colour)
            right.set_ylabel("metric on the validation set (dotted)")
    axes.set(xlabel="epoch", ylabel="loss", yscale="log")
    axes.legend()
    return axes


def _is_known(history, column):
    return not all(map(math.isnan, history.column(column)))


def costs(
    fabrications: Sequence[Fabrication] | Mapping[str, Fabrication],
    sizes: Sequence[int],
    axes: Any = None,
    *,
    count: str = "multiplies",
) -> Any:
    """What fabrications of an ``n × n`` matrix cost, against ``n``; nothing is multiplied for that.

    Parameters
    ----------
    fabrications : sequence of Fabrication, or mapping from str to Fabrication
        Those by themselves are named as they are written.
    sizes : sequence of int
        Where one does not fit a size its line has a gap.
    axes : matplotlib.axes.Axes, optional
    count : str
        ``"multiplies"`` of a product for each row of data, or ``"learned"`` numbers.

    Raises
    ------
    ValueError
        If ``count`` is neither.

    Examples
    --------
    >>> from arrayfab import DualLPHM, Full, LowRank, plotting
    >>> axes = plotting.costs([Full(), LowRank(r=4), DualLPHM(r=4)], [256, 1024, 4096], count="learned")
    >>> axes.lines[1].get_ydata().tolist()
    [2048.0, 8192.0, 32768.0]
    """
    if count not in _COUNTED:
        raise ValueError(f"plotting.costs: count must be one of {list(_COUNTED)}, got {count!r}")
    named = fabrications if isinstance(fabrications, Mapping) else {formula(one): one for one in fabrications}
    axes = _axes(axes)
    for name, fabrication in named.items():
        axes.plot(sizes, [_counted(fabrication, n, count) for n in sizes], ".-", label=name)
    axes.set(xlabel="n", ylabel=_COUNTED[count], xscale="log", yscale="log")
    axes.legend()
    return axes


def _counted(fabrication, n, count):
    try:
        if count == "learned":
            return float(fabrication.num_parameters(n, n))
        return float(fabrication.cost(n, n).multiplies)
    except ValueError:  # it does not fit the size
        return math.nan
