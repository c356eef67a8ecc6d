"""Formulas as straight-line programs.

A formula decides by shapes, never by numbers. So what its products and pullbacks do to arrays can be found
out once with stand-ins that have nothing but a shape, written down, and done again without asking it: a
call then costs hardly more than its operations on arrays.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from arrayfab._arrays import Array, Backend, device_of
from arrayfab._cached import cached_property

#: The functions of the standard whose result has the shape to which their arguments broadcast.
ELEMENTWISE = frozenset(
    {"abs", "cos", "exp", "log", "log1p", "maximum", "minimum", "sign", "sin", "sqrt", "tanh", "where"}
)

#: From a backend and arrays to a result, and a pullback from its cotangent to a tuple of gradients.
Vjp = Callable[..., tuple[Any, Callable]]


class Interpreted:
    """A formula that is asked anew in every call."""

    def __init__(self, vjp: Vjp, backend: Backend):
        self._vjp, self._backend = vjp, backend

    def value(self, *arrays: Array) -> Array:
        return self._vjp(self._backend, *arrays)[0]

    def linearize(self, *arrays: Array) -> tuple[Array, tuple[Any, ...]]:
        y, pull = self._vjp(self._backend, *arrays)
        return y, (pull,)

    def pullback(self, *pull_and_g: Any) -> tuple[Array, ...]:
        pull, g = pull_and_g
        return pull(g)


def traced(vjp: Vjp, backend: Backend, like: Array, shapes: Sequence[tuple]) -> Program | None:
    """The program of ``vjp(backend, *arrays)`` for arrays of these shapes, like ``like`` in all else.

    None for a formula that cannot be written down, or is seen to do something else when it is asked again.
    """
    tape = Tape(backend)
    given = [tape.argument(f"x{i}", shape, like) for i, shape in enumerate(shapes)]
    try:
        y, _ = vjp(tape, *given)
        forward = tape.lines[:]
        again, pull = vjp(tape, *given)
        g = tape.argument("g", y.shape, like)
        grads, repeated = ([gradient.name for gradient in pull(g)] for _ in range(2))
        is_repeatable = (again.name, repeated) == (y.name, grads)
    except Exception:  # What is wrong with the formula is told when it meets arrays.
        return None
    if not is_repeatable:
        return None
    return Program(tape.scope, [array.name for array in given], forward, tape.lines, y.name, grads)


class Program:
    """A formula written down for certain shapes, as three functions without a branch or a loop.

    ``value(*arrays)`` is the result; ``linearize(*arrays)`` the result and a tuple of what
    ``pullback(*kept, g)`` needs beside the result's cotangent to return the gradients.
    """

    def __init__(self, scope: dict, inputs: list[str], forward: list[Line], lines: list[Line], y: str, grads):
        self._scope, self._inputs, self._y, self._grads = scope, inputs, y, grads
        self._forward, self._backward = forward, lines[len(forward) :]

    @cached_property
    def value(self) -> Callable:
        return self._function(self._inputs, self._forward, [self._y], self._y)

    @cached_property
    def linearize(self) -> Callable:
        outputs, result = [self._y, *self._kept], f"{self._y}, {_tuple(self._kept)}"
        return self._function(self._inputs, self._forward, outputs, result)

    @cached_property
    def pullback(self) -> Callable:
        # What is summed up into the first gradient is let go of before the others are made: that of w is
        # small, those of the data are large.
        first = {line.name for line, _ in _needed(self._backward, self._grads[:1])[0]}
        lines = sorted(self._backward, key=lambda line: line.name not in first)
        return self._function([*self._kept, "g"], lines, self._grads, _tuple(self._grads))

    @cached_property
    def _kept(self):
        _, needed = _needed(self._backward, self._grads)
        return [name for name in needed if name != "g"]

    def _function(self, inputs, lines, outputs, result):
        body = []
        for line, last in _needed(lines, outputs)[0]:
            body.append(f"{line.name} = {line.text}")
            # An array is let go of as soon as nothing reads it any more.
            body += [f"del {', '.join(last)}"] * bool(last)
        source = "\n    ".join([f"def program({', '.join(inputs)}):", *body, f"return {result}"])
        scope = {"__name__": __name__, **self._scope}
        exec(compile(source, "<a formula, written down>", "exec"), scope)
        return scope["program"]


def _needed(lines: Sequence[Line], outputs: Iterable[str]) -> tuple[list[tuple[Line, list[str]]], list[str]]:
    """The lines that outputs need, each with the names that it is the last to read; and what they need."""
    names, kept = dict.fromkeys(outputs), []
    for line in reversed(lines):
        if line.name in names:
            del names[line.name]
            last = [name for name in dict.fromkeys(line.operands) if name not in names]
            kept.append((line, last))
            names.update(dict.fromkeys(last))
    return kept[::-1], list(names)


def _tuple(names: Iterable[str]) -> str:
    return "(" + "".join(f"{name}, " for name in names) + ")"


class Line(NamedTuple):
    """One operation: the name of its result, how it is spelled, and the names of what it reads."""

    name: str
    text: str
    operands: list[str]


class Tape(Backend):
    """The backend of stand-ins, and their namespace: it writes down what is done to them."""

    def __init__(self, backend: Backend):
        self.xp: Any = self
        self.in_loops, self.in_runs = backend.in_loops, backend.in_runs
        self.mT, self.reshape = operator.attrgetter("mT"), Traced.reshape
        self.lines: list[Line] = []
        #: The functions and constants that the lines name.
        self.scope: dict[str, Any] = {"reshape": backend.reshape, "mT": backend.mT}
        self._backend = backend
        self._written: dict[str, Traced] = {}
        self._constants: dict[str, str] = {}

    def argument(self, name: str, shape: tuple[int, ...], like: Array) -> Traced:
        """A stand-in for an argument, of the dtype and device of ``like``."""
        array = Traced(self, name, shape)
        array.dtype, array.device = like.dtype, device_of(like)
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
        self.scope[name] = getattr(self._backend.xp, name)
        places = ["{}"] * len(arguments) + [f"{option}={{}}" for option in options]
        return self.write(shape, f"{name}({', '.join(places)})", *arguments, *options.values())

    def _spelled(self, value, names):
        if isinstance(value, Traced) and value.tape is self:
            names.append(value.name)
            return value.name
        if isinstance(value, list):
            return _tuple(self._spelled(entry, names) for entry in value)
        if type(value) is int or (type(value) is float and math.isfinite(value)):
            return repr(value)
        if hasattr(value, "shape") and not isinstance(value, np.dtype):
            raise TypeError("an array that is no argument is not written down")
        name = self._constants.setdefault(repr(value), f"c{len(self._constants)}")
        self.scope[name] = value
        return name

    # The namespace: the functions of the standard that structures use.
    def full(self, shape, value, **options):
        return self.call(shape, "full", shape, value, **options)

    def zeros_like(self, x):
        return self.call(x.shape, "zeros_like", x)

    def ones_like(self, x):
        return self.call(x.shape, "ones_like", x)

    def arange(self, size, **options):
        return self.call((size,), "arange", size, **options)

    def astype(self, x, dtype):
        return self.call(x.shape, "astype", x, dtype)

    def broadcast_to(self, x, shape):
        return self.call(shape, "broadcast_to", x, shape)

    def permute_dims(self, x, axes):
        return self.call(tuple(x.shape[axis] for axis in axes), "permute_dims", x, axes)

    def sum(self, x, *, axis, keepdims=False, **options):
        axes = {a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))}
        kept = [1 if i in axes else size for i, size in enumerate(x.shape) if keepdims or i not in axes]
        return self.call(tuple(kept), "sum", x, axis=axis, keepdims=keepdims, **options)

    def concat(self, arrays, *, axis):
        shape = list(arrays[0].shape)
        shape[axis] = sum(array.shape[axis] for array in arrays)
        return self.call(tuple(shape), "concat", list(arrays), axis=axis)

    def __getattr__(self, name):
        if name not in ELEMENTWISE:
            raise AttributeError(f"what {name} does to shapes is not known")
        return lambda *operands: self.call(_broadcast(*operands), name, *operands)


def _operator(template):
    def elementwise(self, *other):
        return self.tape.write(_broadcast(self, *other), template, self, *other)

    return elementwise


def _broadcast(*operands):
    if not all(isinstance(operand, Traced | int | float) for operand in operands):
        raise TypeError("only stand-ins and plain numbers are known to broadcast")
    return np.broadcast_shapes(*(getattr(operand, "shape", ()) for operand in operands))


class Traced:
    """A stand-in for an array: its shape, and the name it has on a tape. Arguments know their dtype too."""

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
        result = self.tape.write(shape, "reshape({}, {})", source, shape)
        if self._flat is not None:
            result._flat = self._flat
        return result

    def __getitem__(self, key):
        for part in key if isinstance(key, tuple) else (key,):
            if not (part is None or part is ... or isinstance(part, int | slice)):
                raise TypeError(f"an index by {type(part).__name__} is not written down")
        shape = np.broadcast_to(np.empty(()), self.shape)[key].shape
        return self.tape.write(shape, "{}[{}]", self, key)

    def __matmul__(self, other):
        if self.ndim < 2 or other.ndim < 2 or self.shape[-1] != other.shape[-2]:
            raise ValueError(f"matrices of shapes {self.shape} and {other.shape} do not fit")
        lead = np.broadcast_shapes(self.shape[:-2], other.shape[:-2])
        result = self.tape.write((*lead, self.shape[-2], other.shape[-1]), "{} @ {}", self, other)
        if len(lead) < 2:
            result._flat = result
        return result

    __add__, __radd__ = _operator("{} + {}"), _operator("{1} + {0}")
    __sub__, __rsub__ = _operator("{} - {}"), _operator("{1} - {0}")
    __mul__, __rmul__ = _operator("{} * {}"), _operator("{1} * {0}")
    __truediv__, __rtruediv__ = _operator("{} / {}"), _operator("{1} / {0}")
    __pow__, __neg__ = _operator("{} ** {}"), _operator("-{}")
    __eq__ = _operator("{} == {}")
    __lt__, __gt__ = _operator("{} < {}"), _operator("{} > {}")
    __hash__ = None  # type: ignore[assignment]
