"""Layers that are functions of whole rows."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab.formulated import Formulated
from arrayfab.structures import LogSoftmax
from arrayfab.structures import Softmax as Shares


@dataclass(frozen=True)
class Softmax(Formulated):
    """Rows as probabilities ``exp(xₖ) / Σ exp(xₗ)``, or as their logarithms; nothing is learned.

    Parameters
    ----------
    is_log : bool
        Whether the logarithms are wanted, which lose no digits where a probability is small.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import Softmax
    >>> Softmax()(np.asarray([[0.0, 0.0, 800.0], [1.0, 1.0, 1.0]])).round(2)
    array([[0.  , 0.  , 1.  ],
           [0.33, 0.33, 0.33]])
    """

    is_log: bool = False

    def __post_init__(self):
        if not isinstance(self.is_log, bool):
            raise TypeError(f"Softmax: is_log must be True or False, got {self.is_log!r}")

    def formula(self, X):  # type: ignore[override]
        return LogSoftmax(X) if self.is_log else Shares(X)
