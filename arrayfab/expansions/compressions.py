"""Compressions: one number of every group of attributes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

from arrayfab.expansions.base import Expansion
from arrayfab.fabrications.sizes import split_evenly
from arrayfab.structures import Groupwise, sums_of_groups


@dataclass(frozen=True, kw_only=True)
class Grouped(Expansion):
    """One number of each of ``groups`` runs of as many attributes, of a whole row where it is left out.

    A variant gives `reduced` and `partials`; ``D = groups``.
    """

    groups: int = 1

    def num_features(self, m):
        self._size(m)
        return self.groups

    def _size(self, m):
        return split_evenly(self, "groups", m, "m", self.groups)

    def expand(self, X):
        return Groupwise(self, X, self.groups)

    def reduced(self, xp, z):
        """The number of every group, along the last axis."""
        raise NotImplementedError(f"{type(self).__name__}.reduced")

    def partials(self, xp, z):
        """Its derivatives by the numbers of its group."""
        raise NotImplementedError(f"{type(self).__name__}.partials")

    def degree_of(self, count: int) -> int | None:
        """Its degree in so many numbers, None where it is no polynomial."""
        return None


@dataclass(frozen=True, kw_only=True)
class GroupSum(Grouped):
    """The sum of every group of attributes; ``D = groups``."""

    def expand(self, X):
        return X @ sums_of_groups(self.groups, self._size(X.shape[1]))


@dataclass(frozen=True, kw_only=True)
class GroupMean(Grouped):
    """The mean of every group of attributes; ``D = groups``."""

    def expand(self, X):
        size = self._size(X.shape[1])
        return (1.0 / size) * (X @ sums_of_groups(self.groups, size))


#: So many numbers of a group are taken one after another, which is faster than to reduce a short axis.
_FEW = 8


def _reduced(whole: Callable, pairwise: Callable, z):
    """A reduction along the last axis, by what does it for two arrays where that axis is short."""
    size = z.shape[-1]
    return whole(z, axis=-1) if size > _FEW else reduce(pairwise, (z[..., i] for i in range(size)))


def _shares(xp, z, chosen):
    """One, shared out among the numbers that are equal to the chosen one."""
    one = xp.ones_like(z)
    is_chosen = xp.where(z == chosen[..., None], one, xp.zeros_like(z))
    count = _reduced(xp.sum, operator.add, is_chosen)
    return is_chosen / xp.maximum(count, xp.ones_like(count))[..., None]


@dataclass(frozen=True, kw_only=True)
class GroupMax(Grouped):
    """The largest of every group of attributes; ``D = groups``. Equal ones share the slope."""

    def reduced(self, xp, z):
        return _reduced(xp.max, xp.maximum, z)

    def partials(self, xp, z):
        return _shares(xp, z, self.reduced(xp, z))


@dataclass(frozen=True, kw_only=True)
class GroupMin(Grouped):
    """The smallest of every group of attributes; ``D = groups``. Equal ones share the slope."""

    def reduced(self, xp, z):
        return _reduced(xp.min, xp.minimum, z)

    def partials(self, xp, z):
        return _shares(xp, z, self.reduced(xp, z))


@dataclass(frozen=True, kw_only=True)
class GroupMedian(Grouped):
    """The lower median of every group of attributes; ``D = groups``. Equal ones share the slope.

    Of an even number of attributes it is the smaller one of the two in the middle, as in tinybig.
    """

    def reduced(self, xp, z):
        median = xp.sort(z, axis=-1)[..., (z.shape[-1] - 1) // 2]
        largest = xp.max(z, axis=-1)
        return xp.where(largest == largest, median, largest)  # where one is no number, so is this

    def partials(self, xp, z):
        return _shares(xp, z, self.reduced(xp, z))


@dataclass(frozen=True, kw_only=True)
class GroupProduct(Grouped):
    """The product of every group of attributes; ``D = groups``."""

    def degree_of(self, count):
        return count

    def reduced(self, xp, z):
        return xp.prod(z, axis=-1)

    # That of all others: of those in front times those behind, each in as many steps as the size has binary
    # digits (W. D. Hillis and G. L. Steele, 1986). Nothing is divided, so that zeros do no harm.
    def partials(self, xp, z):
        ahead, behind = z, z
        one, size = xp.ones_like(z[..., :1]), z.shape[-1]
        if size == 1:
            return one
        ahead, behind = xp.concat([one, z[..., :-1]], axis=-1), xp.concat([z[..., 1:], one], axis=-1)
        reach = 1
        while reach < size:
            ones = xp.ones_like(z[..., :reach])
            ahead = ahead * xp.concat([ones, ahead[..., :-reach]], axis=-1)
            behind = behind * xp.concat([behind[..., reach:], ones], axis=-1)
            reach *= 2
        return ahead * behind
