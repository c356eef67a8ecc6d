"""What is computed once, without a lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from functools import cached_property
else:

    class cached_property:
        """Like `functools.cached_property` from Python 3.12 on, which takes no lock.

        On Python 3.11 that one holds a lock per class attribute while it computes. Formulas nest in any
        order, so that two threads could wait for each other's. Here both compute, and the last value stays.
        """

        def __init__(self, compute):
            self.compute, self.__doc__ = compute, compute.__doc__

        def __set_name__(self, owner, name):
            self.name = name

        def __get__(self, instance, owner=None):
            if instance is None:
                return self
            value = vars(instance)[self.name] = self.compute(instance)
            return value


def remembered(known: dict, key: Any, make: Callable, most: int = 64) -> Any:
    """``known[key]``, made where it is missing. What holds many things already forgets them first."""
    try:
        return known[key]
    except KeyError:
        pass
    if len(known) >= most:
        known.clear()
    made = known[key] = make()
    return made


__all__ = ["cached_property", "remembered"]
