"""How names and arguments go out of use."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import TypeVar

Function = TypeVar("Function", bound=Callable)


def deprecated(*, since: str, removed_in: str, instead: str) -> Callable[[Function], Function]:
    """Mark a function or method as going out of use: each call warns, at the caller's line.

    Parameters
    ----------
    since, removed_in : str
        The version that warns first, and the one that will not have it any more.
    instead : str
        What to call, as it is to be written.

    Examples
    --------
    >>> import warnings
    >>> @deprecated(since="0.2", removed_in="0.4", instead="fabricate(w, n, D)")
    ... def build(w):
    ...     return w
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     _ = build(1)
    >>> print(caught[0].message)
    build is deprecated since arrayfab 0.2 and will be removed in 0.4; call fabricate(w, n, D) instead
    """

    def mark(function):
        message = (
            f"{function.__qualname__} is deprecated since arrayfab {since} and will be removed in "
            f"{removed_in}; call {instead} instead"
        )

        @functools.wraps(function)
        def warned(*args, **kwargs):
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            return function(*args, **kwargs)

        return warned

    return mark
