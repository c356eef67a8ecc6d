"""Formulas as straight-line programs.

A formula decides by shapes, never by numbers. So what its products and pullbacks do to arrays can be found
out once with stand-ins that have nothing but a shape, written down, and done again without asking it: a
call then costs hardly more than its operations on arrays.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from arrayfab._arrays import Array, Backend, device_of

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


def traced(vjp: Vjp, backend: Backend, like: Array, shapes: Sequence[tuple]) -> Program | Interpreted:
    """The program of ``vjp(backend, *arrays)`` for arrays of these shapes and the dtype of ``like``.

    A formula that cannot be written down, or does something else when it is asked again, is interpreted.
    """
    tape = Tape(backend, like)
    given = [Traced(tape, f"x{i}", shape) for i, shape in enumerate(shapes)]
    try:
        y, _ = vjp(tape, *given)
        start = len(tape.lines)
        again, pull = vjp(tape, *given)
        g = Traced(tape, "g", y.shape)
        grads, repeated = ([gradient.name for gradient in pull(g)] for _ in range(2))
        is_repeatable = (again.name, repeated) == (y.name, grads)
    except Exception:  # What is wrong with the formula is told when it meets arrays.
        is_repeatable = False
    if not is_repeatable:
        return Interpreted(vjp, backend)
    return Program(tape, start, [array.name for array in given], y.name, grads)


class Program:
    """A formula written down for certain shapes, as three functions without a branch or a loop.

    ``value(*arrays)`` is the result; ``linearize(*arrays)`` the result and a tuple of what
    ``pullback(*kept, g)`` needs beside the result's cotangent to return the gradients.
    """

    def __init__(self, tape: Tape, start: int, inputs: list[str], y: str, grads: list[str]):
        self._tape, self._inputs, self._y, self._grads = tape, inputs, y, grads
        self._forward, self._backward = tape.lines[:start], tape.lines[start:]

    @cached_property
    def value(self) -> Callable:
        return self._tape.function(self._inputs, self._forward, [self._y], self._y)

    @cached_property
    def linearize(self) -> Callable:
        outputs, result = [self._y, *self._kept], f"{self._y}, {_tuple(self._kept)}"
        return self._tape.function(self._inputs, self._forward, outputs, result)

    @cached_property
    def pullback(self) -> Callable:
        return self._tape.function([*self._kept, "g"], self._backward, self._grads, _tuple(self._grads))

    @cached_property
    def _kept(self):
        known = {line.name for line in self._forward}.union(self._inputs)
        used = chain.from_iterable([*(line.operands for line in self._backward), self._grads])
        return [name for name in dict.fromkeys(used) if name in known]


def _tuple(names: Iterable[str]) -> str:
    return "(" + "".join(f"{name}, " for name in names) + ")"


class Line(NamedTuple):
    """One operation: the name of its result, how it is spelled, and the names of what it reads."""

    name: str
    text: str
    operands: list[str]


class Tape(Backend):
    """The backend of stand-ins, and their namespace: it writes down what is done to them."""

    def __init__(self, backend: Backend, like: Array):
        self.xp: Any = self
        self.is_numpy = backend.is_numpy
        self.mT, self.reshape = operator.attrgetter("mT"), Traced.reshape
        self.dtype, self.device = like.dtype, device_of(like)
        self.lines: list[Line] = []
        self._backend = backend
        self._written: dict[str, Traced] = {}
        self._constants: dict[str, tuple[str, Any]] = {}
        self._scope = {"reshape": backend.reshape, "mT": backend.mT}

    def write(self, shape: tuple[int, ...], template: str, *operands: Any) -> Traced:
        """One more operation. What is written already is not computed twice."""
        names: list[str] = []
        text = template.format(*(self._spelled(operand, names) for operand in operands))
        if text not in self._written:
            self._written[text] = Traced(self, f"t{len(self.lines)}", shape)
            self.lines.append(Line(self._written[text].name, text, names))
        return self._written[text]

    def call(self, shape, name: str, *arguments, **options) -> Traced:
        """A call of a function of the namespace."""
        self._scope[name] = getattr(self._backend.xp, name)
        places = ["{}"] * len(arguments) + [f"{option}={{}}" for option in options]
        return self.write(shape, f"{name}({', '.join(places)})", *arguments, *options.values())

    def _spelled(self, value, names):
        if isinstance(value, Traced):
            names.append(value.name)
            return value.name
        if isinstance(value, list):
            return _tuple(self._spelled(entry, names) for entry in value)
        if type(value) is int or (type(value) is float and math.isfinite(value)):
            return repr(value)
        if hasattr(value, "shape") and not isinstance(value, np.dtype):
            raise TypeError("an array that is no argument is not written down")
        name, _ = self._constants.setdefault(repr(value), (f"c{len(self._constants)}", value))
        return name

    def function(self, inputs: list[str], lines: list[Line], outputs: list[str], result: str) -> Callable:
        """The function of the inputs that carries out what the outputs need of the lines."""
        needed, body = set(outputs), [f"return {result}"]
        for line in reversed(lines):
            if line.name in needed:
                # An array is let go of as soon as nothing reads it any more.
                last = [name for name in dict.fromkeys(line.operands) if name not in needed]
                body += [f"del {', '.join(last)}"] * bool(last) + [f"{line.name} = {line.text}"]
                needed.update(last)
        source = f"def program({', '.join(inputs)}):\n    " + "\n    ".join(reversed(body))
        scope = {**self._scope, **dict(self._constants.values())}
        exec(compile(source, "<a formula, written down>", "exec"), scope)
        return scope["program"]

    # The namespace: the functions of the standard that structures use.
    def full(self, shape, value, **options):
        return self.call(shape, "full", shape, value, **options)

    def arange(self, size, **options):
        return self.call((size,), "arange", size, **options)

    def astype(self, x, dtype):
        return self.call(x.shape, "astype", x, dtype)

    def broadcast_to(self, x, shape):
        return self.call(shape, "broadcast_to", x, shape)

    def permute_dims(self, x, axes):
        return self.call(tuple(x.shape[axis] for axis in axes), "permute_dims", x, axes)

    def sum(self, x, *, axis, keepdims=False):
        axes = {a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))}
        kept = [1 if i in axes else size for i, size in enumerate(x.shape) if keepdims or i not in axes]
        return self.call(tuple(kept), "sum", x, axis=axis, keepdims=keepdims)

    def concat(self, arrays, *, axis):
        shape = list(arrays[0].shape)
        shape[axis] = sum(array.shape[axis] for array in arrays)
        return self.call(tuple(shape), "concat", list(arrays), axis=axis)

    def tanh(self, x):
        return self.call(x.shape, "tanh", x)


class Traced:
    """A stand-in for an array: its shape, and the name it has on a tape."""

    __slots__ = ("_flat", "_tape", "_transpose", "name", "shape")

    #: NumPy then leaves operators to this class, and refuses the rest.
    __array_ufunc__ = None

    def __init__(self, tape: Tape, name: str, shape: tuple[int, ...]):
        self._tape, self.name, self.shape = tape, name, shape
        self._transpose: Traced | None = None
        # The array that this one is a view of, where both lie in memory in the order of their axes.
        self._flat: Traced | None = self if len(shape) == 1 else None

    def _refuse(self, *_):
        raise TypeError("a stand-in has no numbers to look at or to change")

    __bool__ = __iadd__ = __isub__ = __imul__ = __imatmul__ = _refuse

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def dtype(self):
        return self._tape.dtype

    @property
    def device(self):
        return self._tape.device

    @property
    def mT(self):
        if self._transpose is None:
            shape = (*self.shape[:-2], self.shape[-1], self.shape[-2])
            self._transpose = self._tape.write(shape, "mT({})", self)
            self._transpose._transpose = self
        return self._transpose

    def reshape(self, shape):
        source = self if self._flat is None else self._flat
        if shape == source.shape:
            return source
        result = self._tape.write(shape, "reshape({}, {})", source, shape)
        result._flat = self._flat
        return result

    def __getitem__(self, key):
        shape = np.broadcast_to(np.empty(()), self.shape)[key].shape
        return self._tape.write(shape, "{}[{}]", self, key)

    def __matmul__(self, other):
        lead = np.broadcast_shapes(self.shape[:-2], other.shape[:-2])
        result = self._tape.write((*lead, self.shape[-2], other.shape[-1]), "{} @ {}", self, other)
        if len(lead) < 2:
            result._flat = result
        return result

    def _elementwise(self, template, left, right):
        shape = np.broadcast_shapes(*(getattr(operand, "shape", ()) for operand in (left, right)))
        return self._tape.write(shape, template, left, right)

    def __add__(self, other):
        return self._elementwise("{} + {}", self, other)

    def __radd__(self, other):
        return self._elementwise("{} + {}", other, self)

    def __sub__(self, other):
        return self._elementwise("{} - {}", self, other)

    def __rsub__(self, other):
        return self._elementwise("{} - {}", other, self)

    def __mul__(self, other):
        return self._elementwise("{} * {}", self, other)

    def __rmul__(self, other):
        return self._elementwise("{} * {}", other, self)

    def __eq__(self, other):
        return self._elementwise("{} == {}", self, other)

    __hash__ = None  # type: ignore[assignment]
