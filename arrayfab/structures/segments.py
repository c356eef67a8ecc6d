"""Sums and largest numbers of groups, without writing into given places, which the standard has not."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import numpy as np

from arrayfab._arrays import Array

if TYPE_CHECKING:
    from arrayfab.structures.numbers import Numbers

#: So many members of a group are taken at a time at most.
_MOST = 16


def ranked(groups: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Members by their groups, how many stand before each in its own, and the sizes of the groups."""
    order = np.argsort(groups, kind="stable")
    counts = np.bincount(groups, minlength=n)
    return order, np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts), counts


def tables(groups: np.ndarray, n: int) -> list[np.ndarray]:
    """Levels of tables ``(most, pieces)`` that bring members together, of ``n`` groups.

    ``groups`` says of what group each member is. Of the members at a level, as many as its table has rows
    become one of the next; the last level has one for every group. The number of members stands for none.
    """
    most = min(max(2, -(-len(groups) // max(n, 1))), _MOST)
    levels = []
    while True:
        order, among, counts = ranked(groups, n)
        groups = groups[order]
        pieces = np.maximum(1, -(-counts // most))
        first = np.cumsum(pieces) - pieces
        table = np.full((most, int(pieces.sum())), len(order))
        table[among % most, first[groups] + among // most] = order
        levels.append(table)
        if pieces.max(initial=1) == 1:
            return levels
        groups = np.repeat(np.arange(n), pieces)


class Segments:
    """Which of ``n`` groups each member belongs to. It equals itself alone."""

    def __init__(self, groups: np.ndarray, n: int):
        self.groups, self.n = groups, n
        self._levels = tables(groups, n)

    def sums(self, x: Array, numbers: Numbers) -> Array:
        """The sum of each group's members, which are the rows of ``x``; zero of none."""
        return self._joined(x, numbers, operator.add, 0.0)

    def largest(self, x: Array, numbers: Numbers) -> Array:
        """The largest of each group's members; minus infinity of none."""
        return self._joined(x, numbers, numbers.xp.maximum, -float("inf"))

    def spread(self, y: Array, numbers: Numbers) -> Array:
        """For every member what its group has."""
        return numbers.take(y, self.groups, -2)

    def _joined(self, x, numbers, join, nothing):
        xp = numbers.xp
        for table in self._levels:
            x = xp.concat([x, xp.full_like(x[..., :1, :], nothing)], axis=-2)
            y = None
            for places in table:
                part = numbers.take(x, places, -2)
                y = part if y is None else join(y, part)
            x = y
        return x
