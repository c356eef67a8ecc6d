"""Pairs of matrices whose product has a form of its own, such as that of expanded data and ``A ⊗ B``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from arrayfab.structures.base import Structure

#: Gives what two matrices make together, or None where it does not apply to them.
Rule = Callable[[Any, Any], Structure | None]


class Rules:
    """Rules by the types of two matrices."""

    def __init__(self):
        self._rules: dict[tuple[type, type], list[Rule]] = {}

    def of_types(self, left: type, right: type) -> Callable[[Rule], Rule]:
        """Mark a rule for two types."""

        def entered(rule):
            self._rules.setdefault((left, right), []).append(rule)
            return rule

        return entered

    def of(self, left: Structure, right: Structure) -> Structure | None:
        """What the first rule that applies to two matrices gives, None where none does."""
        rules = self._rules.get((type(left), type(right)), ())
        return next((made for rule in rules if (made := rule(left, right)) is not None), None)


#: For ``A B`` and for ``A ∘ B``.
PRODUCTS, HADAMARDS = Rules(), Rules()
