"""What all of tinybig's functions share: the constructor, the name, and calls."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar

from arrayfab import _arrays
from arrayfab._arrays import Array


class ParameterError(ValueError, AssertionError):
    """Parameters, data or sizes that are missing or do not fit; caught as either of its bases."""


def checked(method):
    """A method that raises `ParameterError` where arrayfab raises ValueError."""

    @functools.wraps(method)
    def checked_method(*args, **kwargs):
        try:
            return method(*args, **kwargs)
        except ValueError as error:
            if type(error) is not ValueError:
                raise
            raise ParameterError(*error.args) from error

    return checked_method


class Function:
    """What every one of tinybig's functions has: parameters from a table, a name, and a call."""

    # The constructor's parameters in tinybig's order with their defaults, `...` where there is none.
    _order: ClassVar[dict[str, Any]] = {}
    _hyper: ClassVar[tuple[str, ...]] = ()
    _made_of: ClassVar[Any] = None

    if TYPE_CHECKING:  # attributes are set by the table of their class

        def __getattr__(self, name: str) -> Any: ...

    @checked
    def __init__(self, *args, **kwargs):
        given = dict(zip(self._order, args, strict=False))
        if twice := given.keys() & kwargs:
            raise TypeError(f"{type(self).__name__}: given twice: {sorted(twice)}")
        values = self._order | kwargs | given
        for key in self._order:
            if values[key] is ...:
                raise TypeError(f"{type(self).__name__}: {key} is missing")
            setattr(self, key, values[key])
        self._settle()

    def _settle(self):
        """What follows from the arguments."""

    def get_name(self) -> str:
        return self.name

    def __call__(self, *args, **kwargs) -> Array:
        return self.forward(*args, **kwargs)

    def _need(self, name, value):
        if value is None:
            raise ParameterError(f"{self.name}: {name} is missing")
        return value

    def _vector(self, w):
        """``w`` without its leading axis."""
        _arrays.check_real_floating(self.name, "w", self._need("w", w))
        if len(w.shape) != 2 or w.shape[0] != 1:
            raise ParameterError(f"{self.name}: w must have shape (1, l), got {tuple(w.shape)}")
        return w[0, :]
