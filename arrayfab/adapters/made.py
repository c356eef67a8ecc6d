"""What tools make: an adapter, and how near it comes to what it stands for."""

from __future__ import annotations

from dataclasses import dataclass, field

from arrayfab.adapters.adapter import Adapter


@dataclass(frozen=True)
class Nearness:
    """How near an update, or a tensor, comes to what it stands for.

    Parameters
    ----------
    module : str
        Or the name of a tensor that is replaced.
    shape : tuple of int
        Of the matrix, None where the update does not tell.
    what : str
        The family, or ``"replaced"``.
    rank : int, optional
        None where the update has none, or was left as it is.
    error : float
        The distance in the Frobenius norm, as a share of the length of what the update stands for. It is
        that of the numbers that are held, their rounding included.
    """

    module: str
    shape: tuple[int | None, ...]
    what: str
    rank: int | None = None
    error: float = 0.0


@dataclass(frozen=True, eq=False)
class Made:
    """An adapter that was made from others, or from weights.

    Parameters
    ----------
    adapter : Adapter
    lines : list of Nearness
        One for each of its updates and of the tensors that it replaces.
    unmatched : list of str
        What could not be served: tensors that one of two models lacks, or whole numbers that differ.
    """

    adapter: Adapter
    lines: list[Nearness]
    unmatched: list[str] = field(default_factory=list)
