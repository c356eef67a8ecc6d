"""The protocol of everything that has data in, learned numbers in, and a result out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from arrayfab._arrays import Array

# ``pullback(grad_y) → (grad_x, grad_w)``.
Pullback = Callable[[Any], tuple[Any, Any]]


@runtime_checkable
class Layer(Protocol):
    """What can be composed and trained: every role, and what is composed of such.

    The ``vjp`` of arrayfab's own layers takes a keyword beside, ``wrt``: ``"xw"``, ``"x"`` or ``"w"`` say
    which gradients are wanted, and None stands in place of another.
    """

    def num_parameters(self) -> int:
        """The length of ``w``."""

    def init(self, **options: Any) -> Array:
        """Random learned numbers to start from; the options are those of `arrayfab.Fabrication.init`."""

    def __call__(self, x: Any, w: Array) -> Any: ...

    def vjp(self, x: Any, w: Array) -> tuple[Any, Pullback]:
        """The result and its pullback, ``pullback(grad_y) → (grad_x, grad_w)``."""

    def jvp(self, x: Any, w: Array, dx: Any, dw: Array) -> tuple[Any, Any]:
        """The result and its derivative in the direction ``(dx, dw)``."""
