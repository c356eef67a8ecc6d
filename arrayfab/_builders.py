"""What operators build, entered by the modules that stand on those of the operators."""

from __future__ import annotations

from collections.abc import Callable


class Builders(dict[str, Callable]):
    """Functions by the operation that calls them."""

    def enter(self, operation: str) -> Callable:
        """Mark the function that an operation calls."""

        def entered(builder):
            self[operation] = builder
            return builder

        return entered
