"""The protocol of everything that has data in, learned numbers in, and a result out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from arrayfab._arrays import Array


@runtime_checkable
class Layer(Protocol):
    """What can be composed and trained: every role, and what is composed of such.

    The ``vjp`` of arrayfab's own layers takes a keyword beside, ``wrt``: ``"xw"``, ``"x"`` or ``"w"`` say
    which gradients are wanted, and None stands in place of another.
    """

    def num_parameters(self) -> int:
        """The length of ``w``."""

    def init(self, **options) -> Array:
        """Random learned numbers to start from; the options are those of `arrayfab.Fabrication.init`."""

    def __call__(self, x, w: Array) -> Any: ...

    def vjp(self, x, w: Array) -> tuple[Any, Callable]:
        """The result and its pullback, ``pullback(grad_y) → (grad_x, grad_w)``."""

    def jvp(self, x, w: Array, dx, dw: Array) -> tuple[Any, Any]:
        """The result and its derivative in the direction ``(dx, dw)``."""
