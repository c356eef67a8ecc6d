"""Sizes that a program reads from its arguments: the number of rows, and what is made of it."""

from __future__ import annotations

from functools import reduce
from itertools import zip_longest

#: The name that the number of rows has in a program.
ROWS = "rows"

#: From 2¹⁶ rows on no decision depends on their number any more.
_MOST = 16


class Symbol(int):
    """A polynomial in the number of rows, which is not known.

    As an int, with which decisions are made, it is its value at a number of rows that stands for all of a
    regime. It equals another symbol of that regime where the polynomials are the same, and no known number.
    """

    coefficients: tuple[int, ...]
    _rows: int

    def __new__(cls, coefficients: tuple[int, ...], rows: int):
        self = super().__new__(cls, sum(c * rows**power for power, c in enumerate(coefficients)))
        self.coefficients, self._rows = coefficients, rows
        return self

    @property
    def _key(self):
        return self.coefficients, self._rows

    @property
    def text(self) -> str:
        """How it is spelled in a program."""
        factors = ["*".join([str(c), *[ROWS] * power]) for power, c in enumerate(self.coefficients) if c]
        return f"({' + '.join(factors)})" if self.coefficients != (0, 1) else ROWS

    def at(self, rows: int) -> int:
        """Its value at a number of rows, which may be a symbol again."""
        return reduce(lambda value, c: value * rows + c, reversed(self.coefficients), 0)

    def _same_rows(self, coefficients):
        known, *others = coefficients
        while others and not others[-1]:
            others.pop()
        return Symbol((known, *others), self._rows) if others else known

    def __mul__(self, other):
        if not isinstance(other, int):
            return NotImplemented
        ours, theirs = self.coefficients, _coefficients(other)
        product = [0] * (len(ours) + len(theirs) - 1)
        for i, a in enumerate(ours):
            for j, b in enumerate(theirs):
                product[i + j] += a * b
        return self._same_rows(product)

    def __add__(self, other):
        if not isinstance(other, int):
            return NotImplemented
        pairs = zip_longest(self.coefficients, _coefficients(other), fillvalue=0)
        return self._same_rows(a + b for a, b in pairs)

    def __sub__(self, other):
        return self + -1 * other

    def __rsub__(self, other):
        return -1 * self + other

    __rmul__, __radd__ = __mul__, __add__

    def __eq__(self, other):
        return isinstance(other, Symbol) and self._key == other._key

    def __ne__(self, other):
        return not self == other

    def __hash__(self):
        return hash(self._key)

    def _refuse(self, *_):
        raise TypeError(f"{self.text} is not known, and has no such result")

    __floordiv__ = __rfloordiv__ = __truediv__ = __rtruediv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = (
        _refuse
    )

    def __reduce__(self):
        return Symbol, self._key


def _coefficients(number: int) -> tuple[int, ...]:
    return number.coefficients if isinstance(number, Symbol) else (number,)


def regime_number(rows: int) -> int:
    """Minus the power of two nearest to a number of rows; 1 for one row, which broadcasts."""
    # On the scale of logarithms, n is nearest to 2ᵏ where n² < 2²ᵏ⁺¹.
    return 1 if rows == 1 else -max(1, min((rows * rows).bit_length() // 2, _MOST))


def regime(rows: int) -> int:
    """A number of rows as that which stands for its regime: a symbol near a power of two, or one.

    Symbols stay as they are, and so does a number that someone else traces.
    """
    if type(rows) is not int:
        return rows if isinstance(rows, Symbol) else _REGIMES[_MOST // 2]
    return 1 if rows == 1 else _REGIMES[-regime_number(rows)]


_REGIMES = [Symbol((0, 1), 1 << power) for power in range(_MOST + 1)]


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape to which shapes broadcast, symbols among them; ValueError where they do not."""
    sizes: list[int] = []
    for column in zip_longest(*(shape[::-1] for shape in shapes), fillvalue=1):
        stretched = {size for size in column if size != 1}
        if len(stretched) > 1:
            raise ValueError(f"shapes {', '.join(map(str, shapes))} do not broadcast")
        sizes.append(stretched.pop() if stretched else 1)
    return tuple(sizes[::-1])
