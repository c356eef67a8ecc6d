"""Writing down what is done to arrays, by stand-ins that have a shape and a name."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from arrayfab._arrays import Array, Backend, device_of
from arrayfab.programs.symbol import ROWS, Symbol, broadcast

#: The functions of the standard whose result has the shape to which their arguments broadcast.
ELEMENTWISE = {"abs", "clip", "exp", "floor", "log", "log1p", "maximum", "minimum", "round", "sign", "where"}
ELEMENTWISE |= {"acos", "asin", "asinh", "atan", "cos", "cosh", "sin", "sinh", "sqrt", "tan", "tanh"}


class Line(NamedTuple):
    """One operation: the name of its result, how it is spelled, and the names of what it reads."""

    name: str
    text: str
    operands: list[str]


class Tape(Backend):
    """The backend of stand-ins, and their namespace: it writes down what is done to them."""

    def __init__(self, backend: Backend):
        self.xp: Any = self
        self.in_loops, self.in_runs, self.is_eager = backend.in_loops, backend.in_runs, False
        self.has_fft = backend.has_fft
        self.mT, self.reshape = operator.attrgetter("mT"), Traced.reshape
        self.lines: list[Line] = []
        #: The functions and constants that the lines name.
        self.scope: dict[str, Any] = {"reshape": backend.reshape, "mT": backend.mT}
        self._backend = backend
        self._written: dict[str, Traced] = {}
        self._constants: dict[Any, str] = {}
        self._joined: dict[tuple[str, int], list[Traced]] = {}
        self._indices: list[np.ndarray] = []
        self._device: Any = None

    def argument(self, name: str, shape: tuple[int, ...], like: Array) -> Traced:
        """A stand-in for an argument, of the dtype and device of ``like``.

        The first one that has as many rows as there are is where a program reads their number.
        """
        array = Traced(self, name, shape)
        array.dtype, array.device = like.dtype, device_of(like)
        self._device = array.device
        if all(line.name != ROWS for line in self.lines):
            for axis, size in enumerate(shape):
                if isinstance(size, Symbol) and size.text == ROWS:
                    self.lines.append(Line(ROWS, f"{name}.shape[{axis}]", [name]))
                    break
        return array

    def write(self, shape: tuple[int, ...], template: str, *operands: Any) -> Traced:
        """One more operation. What is written already is not computed twice."""
        names: list[str] = []
        text = template.format(*(self._spelled(operand, names) for operand in operands))
        if text not in self._written:
            self._written[text] = Traced(self, f"t{len(self.lines)}", shape)
            self.lines.append(Line(self._written[text].name, text, names))
        return self._written[text]

    def call(self, shape: tuple[int, ...], name: str, *arguments: Any, **options: Any) -> Traced:
        """A call of a function of the namespace."""
        self.scope[name] = self._backend.shortcuts.get(name) or getattr(self._backend.xp, name)
        places = ["{}"] * len(arguments) + [f"{option}={{}}" for option in options]
        return self.write(shape, f"{name}({', '.join(places)})", *arguments, *options.values())

    def apply(self, function, shape, *arrays):
        self.scope[function.__name__] = function
        result = self.write(shape, f"{function.__name__}({', '.join(['{}'] * len(arrays))})", *arrays)
        return result.in_order()

    def take(self, x, index, axis):
        # It is held on to, so that no other has its id.
        self._indices.append(index)
        name = self._constants.setdefault((np.ndarray, id(index)), f"c{len(self._constants)}")
        self.scope |= {name: self._backend.index(index, self._device), "take": self._backend.xp.take}
        shape = list(x.shape)
        shape[axis] = len(index)
        return self.write(tuple(shape), f"take({{}}, {name}, axis={axis})", x)

    def quotient(self, a, b):
        return self.write((), "{} / {}", a, b)

    def _spelled(self, value, names):
        if isinstance(value, Traced) and value.tape is self:
            names.append(value.name)
            return value.name
        if isinstance(value, Symbol):
            names.append(ROWS)
            return value.text
        if isinstance(value, list | tuple):
            return spelled_tuple(self._spelled(entry, names) for entry in value)
        if value is None or value is ... or type(value) in (bool, int):
            return repr(value)
        if type(value) is float and math.isfinite(value):
            return repr(value)
        if isinstance(value, slice):
            parts = [self._spelled(part, names) for part in (value.start, value.stop, value.step)]
            return f"slice({', '.join(parts)})"
        if hasattr(value, "shape") and not isinstance(value, np.dtype | type):
            raise TypeError("an array that is no argument is not written down")
        return self._constant(value)

    def _constant(self, value):
        # Constants are one where their types and values are: 0.0 and -0.0 are not, nor what prints alike.
        exact = value.hex() if isinstance(value, float) else value
        try:
            key = (type(value), exact)
            name = self._constants.setdefault(key, f"c{len(self._constants)}")
        except TypeError:  # it has no hash
            name = self._constants.setdefault((type(value), id(value)), f"c{len(self._constants)}")
        self.scope[name] = value
        return name

    def at(self, array: Traced, key: Any) -> Traced:
        """An entry, a run or a new axis of an array."""
        shape = _shape_at(array.shape, key)
        names: list[str] = []
        text = self._spelled(key, names)
        if names:
            raise TypeError("an index that depends on the number of rows is not written down")
        # A slice is made once.
        name = self._constants.setdefault((slice, text), f"c{len(self._constants)}")
        self.scope[name] = key
        return self.write(shape, f"{{}}[{name}]", array).alike(array)

    # The namespace: the functions of the standard that structures use.
    def full(self, shape, value, **options):
        return self.call(shape, "full", shape, value, **options)

    def zeros_like(self, x):
        return self.call(x.shape, "zeros_like", x)

    def ones_like(self, x):
        return self.call(x.shape, "ones_like", x)

    def full_like(self, x, value):
        return self.call(x.shape, "full_like", x, value)

    def arange(self, size, *, device=None):
        numbers = self.call((size,), "arange", size, device=device)
        numbers.dtype, numbers.device = self._backend.xp.arange(1).dtype, device
        return numbers

    def astype(self, x, dtype, **options):
        return self.call(x.shape, "astype", x, dtype, **options)

    def broadcast_to(self, x, shape):
        return self.call(shape, "broadcast_to", x, shape)

    def permute_dims(self, x, axes):
        return self.call(tuple(x.shape[axis] for axis in axes), "permute_dims", x, axes)

    def _reduced(self, name, x, axis=None, keepdims=False, **options):
        axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        gone = {a % x.ndim for a in axes}
        kept = [1 if i in gone else size for i, size in enumerate(x.shape) if keepdims or i not in gone]
        return self.call(tuple(kept), name, x, axis=axis, keepdims=keepdims, **options)

    def sum(self, x, **options):
        return self._reduced("sum", x, **options)

    def max(self, x, **options):
        return self._reduced("max", x, **options)

    def min(self, x, **options):
        return self._reduced("min", x, **options)

    def prod(self, x, **options):
        return self._reduced("prod", x, **options)

    def argmax(self, x, **options):
        return self._reduced("argmax", x, **options)

    def sort(self, x, **options):
        return self.call(x.shape, "sort", x, **options)

    @property
    def float32(self):
        return self._backend.xp.float32

    def concat(self, arrays, *, axis):
        # What was put together along the same axis is put together with the rest.
        arrays = [part for array in arrays for part in self._joined.get((array.name, axis), [array])]
        shape = list(arrays[0].shape)
        shape[axis] = sum(array.shape[axis] for array in arrays)
        whole = self.call(tuple(shape), "concat", arrays, axis=axis)
        self._joined[whole.name, axis] = arrays
        return whole

    def __getattr__(self, name):
        if name not in ELEMENTWISE:
            raise AttributeError(f"what {name} does to shapes is not known")
        return lambda *operands: self.call(_broadcast(*operands), name, *operands)


def spelled_tuple(names: Iterable[str]) -> str:
    """A tuple of what is spelled already."""
    return "(" + "".join(f"{name}, " for name in names) + ")"


def _shape_at(shape, key):
    parts = key if isinstance(key, tuple) else (key,)
    used = sum(part is not None and part is not ... for part in parts)
    if used > len(shape):
        raise IndexError(f"too many indices for shape {shape}")
    if ... not in parts:
        parts = (*parts, ...)
    rest, result = list(shape), []
    for part in parts:
        if part is ...:
            count = len(shape) - used
            result += rest[:count]
            del rest[:count]
        elif part is None:
            result.append(1)
        elif isinstance(part, slice):
            result.append(_run_of(part, rest.pop(0)))
        elif type(part) is int and not isinstance(rest[0], Symbol) and -rest[0] <= part < rest[0]:
            rest.pop(0)
        else:
            raise TypeError(f"an index by {type(part).__name__} is not written down")
    return tuple(result)


def _run_of(part, size):
    if part == slice(None):
        return size
    if isinstance(size, Symbol):
        raise TypeError("how many there are of a run of rows is not known")
    return len(range(*part.indices(size)))


def _operator(template):
    def elementwise(self, *other):
        return self.tape.write(_broadcast(self, *other), template, self, *other)

    return elementwise


def _broadcast(*operands):
    if not all(isinstance(operand, Traced | int | float) for operand in operands):
        raise TypeError("only stand-ins and plain numbers are known to broadcast")
    return broadcast(*(getattr(operand, "shape", ()) for operand in operands))


class Traced:
    """A stand-in for an array: its shape, and its name on a tape.

    Those of arguments, and of what is cut out of them or reshaped, know their dtype and device too.
    """

    __slots__ = ("_flat", "_transpose", "device", "dtype", "name", "shape", "tape")

    dtype: Any
    device: Any

    def __init__(self, tape: Tape, name: str, shape: tuple[int, ...]):
        self.tape, self.name, self.shape = tape, name, shape
        self._transpose: Traced | None = None
        # The array that this one is a view of, where both lie in memory in the order of their axes.
        self._flat: Traced | None = self if len(shape) == 1 else None

    def _refuse(self, *_, **__):
        raise TypeError("a stand-in has no numbers to look at or to change")

    __array__ = __array_function__ = __array_ufunc__ = __bool__ = _refuse
    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = _refuse

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def mT(self):
        if self._transpose is None:
            shape = (*self.shape[:-2], self.shape[-1], self.shape[-2])
            self._transpose = self.tape.write(shape, "mT({})", self)
            self._transpose._transpose = self
        return self._transpose

    def reshape(self, shape):
        if math.prod(shape) != math.prod(self.shape):
            raise ValueError(f"{self.shape} does not hold as many numbers as {shape}")
        source = self if self._flat is None else self._flat
        if shape == source.shape:
            return source
        result = self.tape.write(shape, "reshape({}, {})", source, shape).alike(self)
        if self._flat is not None:
            result._flat = self._flat
        return result

    def __getitem__(self, key):
        return self.tape.at(self, key)

    def __matmul__(self, other):
        if self.ndim < 2 or other.ndim < 2 or self.shape[-1] != other.shape[-2]:
            raise ValueError(f"matrices of shapes {self.shape} and {other.shape} do not fit")
        lead = broadcast(self.shape[:-2], other.shape[:-2])
        result = self.tape.write((*lead, self.shape[-2], other.shape[-1]), "{} @ {}", self, other)
        return result.in_order() if len(lead) < 2 else result

    def alike(self, array: Traced) -> Traced:
        """The same, of the dtype and device of another one, where these are known."""
        if hasattr(array, "dtype"):
            self.dtype, self.device = array.dtype, array.device
        return self

    def in_order(self) -> Traced:
        """The same, which is known to lie in memory in the order of its axes."""
        self._flat = self
        return self

    __add__, __radd__ = _operator("{} + {}"), _operator("{1} + {0}")
    __sub__, __rsub__ = _operator("{} - {}"), _operator("{1} - {0}")
    __mul__, __rmul__ = _operator("{} * {}"), _operator("{1} * {0}")
    __truediv__, __rtruediv__ = _operator("{} / {}"), _operator("{1} / {0}")
    __pow__, __neg__ = _operator("{} ** {}"), _operator("-{}")
    __eq__ = _operator("{} == {}")
    __lt__, __gt__ = _operator("{} < {}"), _operator("{} > {}")
    __le__, __ge__, __and__ = _operator("{} <= {}"), _operator("{} >= {}"), _operator("{} & {}")
    __hash__ = None  # type: ignore[assignment]
