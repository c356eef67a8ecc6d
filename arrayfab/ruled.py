"""Layers that are given by rules on bare arrays: how they are called, and how their rules become programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array, Backend, device_of
from arrayfab._cached import cached_property, remembered
from arrayfab._shown import Shown
from arrayfab.fabrications.blueprint import Plans
from arrayfab.layer import Layer, Pullback
from arrayfab.passage import Passage, Shapes, checked, like_result
from arrayfab.programs import Interpreted, Program, broadcast, programmed, regime, regime_number, traced
from arrayfab.trees import Tree, leaves, put_together, taken

#: So many programs of one layer are kept.
MOST_PROGRAMS = 256

#: Which gradients may be wanted: of the data, of the learned numbers, or both.
WRT = ("xw", "x", "w")


class Entered(NamedTuple):
    """A call that has come in: its program, and its arguments: ``w``, the data, frozen matrices, a target."""

    program: Program | Interpreted
    arrays: tuple[Array, ...]
    passage: Passage | None  # None where arrays go in and come out as they are


class Ruled(Shown):
    """A layer that is given by rules on bare arrays, which run as programs.

    A subclass is a frozen dataclass. Its *rule* gives the result and a pullback from its cotangent to the
    gradients of ``x`` and ``w``; its *push* gives the result and its directional derivative. Both take arrays
    or stand-ins, and check no more than shapes. ``frozen`` gives the frozen matrices one after another;
    ``wrt`` holds the letters of what gradients are wanted of, or none.

    What everyone may call is made of them here. Arrays are checked once, at the door, and the leading axes of
    ``x`` are made one, whose length a program reads from its argument: it serves any number of rows.
    """

    @property
    def core(self) -> int:
        """How many axes of ``x``, the last ones, belong together: in front of them any will do."""
        return 1

    @property
    def given(self) -> int:
        """How many axes of the result stand in place of them."""
        return self.core

    #: What x and the result consist of.
    inputs: Tree = None
    outputs: Tree = None

    #: Whether the result has the leading axes of ``w``, which plain layers do not look at.
    follows_w: bool = True

    #: Whether arrays were handed in to it: its programs are then freed with it.
    holds_arrays: bool = False

    #: Whether the rule is all there is to it, and no layer of someone else's is called on the way.
    is_whole: bool = True

    #: Whether it has frozen matrices, and whether some of them are drawn on the way.
    has_frozen: bool = False
    streams: bool = False

    def num_parameters(self) -> int:
        """The length of ``w``."""
        raise NotImplementedError(f"{type(self).__name__}.num_parameters")

    def _rule(self, backend, x, w, frozen, wrt: str) -> tuple[Any, Callable]:
        raise NotImplementedError(f"{type(self).__name__}._rule")

    def _push(self, backend, x, w, dx, dw, frozen) -> tuple[Any, Any]:
        raise NotImplementedError(f"{type(self).__name__}._push")

    def _frozen(self, w: Array, backend: Backend) -> list[Array]:
        """The frozen matrices, in the order in which the rule takes them."""
        return []

    def _check_inputs(self, shapes: Shapes) -> None:
        """ValueError unless the layer takes arrays of these shapes."""

    def __call__(self, x: Any, w: Array | None = None) -> Any:
        """The result for data ``x`` and learned numbers ``w``."""
        if not self.is_whole:
            return self._rule(None, x, w, None, "")[0]
        program, arrays, passage = self._enter("value", x, w)
        return self._left(program.value(*arrays), passage)

    def vjp(self, x: Any, w: Array | None = None, *, wrt: str = "xw") -> tuple[Any, Pullback]:
        """The result ``y`` and its pullback, ``pullback(grad_y) → (grad_x, grad_w)``.

        A pullback may be called more than once; each gradient has the shape of its own input. ``wrt`` says
        which are wanted, ``"xw"``, ``"x"`` or ``"w"``: another is not computed, and None stands in its place.
        None also stands in place of the gradient of a ``w`` that is None.
        """
        if wrt not in WRT:
            raise ValueError(f"{self.label}: wrt must be one of {WRT}, got {wrt!r}")
        if not self.is_whole:
            return self._rule(None, x, w, None, wrt)
        program, arrays, passage = self._enter(wrt, x, w)
        nothing = None if w is None or not self.follows_w else arrays[0]
        ys, kept = program.linearize(*arrays)
        y, like = self._left(ys, passage), like_result(ys[0], arrays[0])
        shapes = [part.shape for part in leaves(self.outputs, y)]
        del arrays, ys  # what the pullback needs is kept

        def pullback(grad_y):
            gs = checked(self.label, "grad_y", self.outputs, grad_y, shapes, "y", like)
            if passage is not None:
                gs = map(passage.inward, gs)
            grads = program.pullback(*kept, *gs)
            grad_w = None
            if "w" in wrt:
                grad_w, *grads = grads if self._length else (nothing, *grads)
            if "x" not in wrt:
                return None, grad_w
            if passage is not None:
                grads = list(map(passage.backend.reshape, grads, passage.shapes))
            return (grads[0] if self.inputs is None else put_together(self.inputs, iter(grads))), grad_w

        return y, pullback

    def loss_and_gradient(self, rule: Callable, x, w: Array, target: Array) -> tuple[Array, Array]:
        """The value of a loss of the result, and its gradient in ``w``.

        ``rule(backend, y, target, dtype)`` gives the loss and its gradient in ``y``, and checks no more than
        shapes.
        """
        program, arrays, _ = self._enter(rule, x, w, target)
        loss, grad_w = program.value(*arrays)
        return loss, grad_w

    def jvp(self, x: Any, w: Array | None, dx: Any, dw: Array | None = None) -> tuple[Any, Any]:
        """The result ``y``, and its derivative in the direction ``(dx, dw)``."""
        if not self.is_whole:
            return self._push(None, x, w, dx, dw, None)
        program, arrays, passage = self._enter("jvp", x, w)
        like, count = arrays[0], len(leaves(self.inputs, None))
        shapes = [array.shape for array in arrays[1 : 1 + count]] if passage is None else passage.shapes
        dxs = checked(self.label, "dx", self.inputs, dx, shapes, "x", like)
        dw = like if w is None and dw is None else dw
        (dw,) = checked(self.label, "dw", None, dw, [like.shape], "w", like)
        ys = program.value(*arrays, dw, *(dxs if passage is None else map(passage.inward, dxs)))
        half = len(ys) // 2
        return self._left(ys[:half], passage), self._left(ys[half:], passage)

    @cached_property
    def label(self) -> str:
        """What messages call it, on one line."""
        return repr(self)

    def __getstate__(self):
        # Programs are not carried along.
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    @cached_property
    def _length(self) -> int:
        return self.num_parameters()

    @cached_property
    def _programs(self) -> dict:
        # A program may know its layer: one with arrays handed in would never be freed.
        return {} if self.holds_arrays else programs_of(self)

    def _left(self, ys: Sequence[Array], passage: Passage | None) -> Any:
        """Results as the caller expects them, put together."""
        if passage is not None:
            ys = [*map(passage.outward, ys)]
        return ys[0] if self.outputs is None else put_together(self.outputs, iter(ys))

    def _enter(self, kind: Any, x, w: Array | None, *targets: Array) -> Entered:
        """A call for arrays of these shapes: what program it takes, and its arguments."""
        known = None
        if type(x) is type(w) is np.ndarray and x.dtype is w.dtype:
            # What is exactly like what has come in already needs no check.
            alike = [(t.dtype, t.shape[1:]) for t in targets if t.shape[:1] == x.shape[:1]]
            known = (kind, w.dtype, w.shape, x.ndim and regime_number(x.shape[0]), x.shape[1:], *alike)
            program = self._programs.get(known) if len(alike) == len(targets) else None
            if program is not None:
                frozen = self._frozen(w, _arrays.backend_of("", "w", w)) if self.has_frozen else ()
                return Entered(program, (w, x, *frozen, *targets), None)
        program, arrays, passage = self._checked_in(kind, x, w, targets)
        is_as_given = passage is None and x is arrays[1] and x.ndim == self.core + 1 and arrays[0].ndim == 1
        if known and is_as_given and isinstance(program, Program) and len(alike) == len(targets):
            remembered(self._programs, known, lambda: program, MOST_PROGRAMS)
        return Entered(program, arrays, passage)

    def _checked_in(self, kind, x, w, targets):
        name, native = type(self).__name__, _arrays.native
        xs = [native(x)] if self.inputs is None else [*map(native, taken(self.label, "x", self.inputs, x))]
        like, like_name = native(w), "w"
        if w is None and not self._length:
            like, like_name = xs[0], "x[0]"
        backend = _arrays.check_real_floating(name, like_name, like)
        for i, part in enumerate(xs):
            _arrays.check_alike(name, like_name, like, "x" if self.inputs is None else f"x[{i}]", part)
        w = like if like_name == "w" else backend.xp.zeros((0,), dtype=like.dtype, device=device_of(like))
        shapes = [tuple(part.shape) for part in xs]
        axes, axis = len(shapes[0]), None
        lead: tuple[int, ...] | None = None
        row = -1
        if w.ndim == 1 and axes > self.core:
            axis = 0
            if axes > self.core + 1:  # rows of rows are rows of one array
                lead = shapes[0][: -self.core]
        elif w.ndim > 1 and self.follows_w and self.core == axes == 1:
            # The leading axes of w come to stand in front of the row's own.
            row, axis = w.ndim - 1, 0
        elif self.core == 1 < axes:
            axis = axes - 2
        passage = None
        if lead is not None or row >= 0:
            self._check_call(shapes, w)
            passage = Passage(backend, shapes, lead, row)
            xs, targets = [*map(passage.inward, xs)], (*map(passage.inward, targets),)
        frozen = self._frozen(w, backend) if self.has_frozen else ()
        arrays = (w, *xs, *frozen, *targets)
        if backend.is_eager and not self.streams:
            program = self._program(kind, backend, arrays, shapes, axis)
        else:
            self._check_call(shapes, w)
            program = Interpreted(self._flat_rule(kind), backend)
        return Entered(program, arrays, passage)

    def _program(self, kind, backend, arrays, shapes, axis):
        """The program for arrays of these shapes, of which any number may lie along an axis of the data."""
        w, given = arrays[0], [array.shape for array in arrays]
        known, moving = given[1:], [1 + i for i in range(len(shapes))]
        if kind not in (*WRT, "value", "jvp"):
            moving.append(len(given) - 1)
        if axis is not None:
            rows = given[1][axis]
            # What has other rows stands for itself, and is refused.
            moving = [i for i in moving if given[i][axis : axis + 1] == (rows,)]
            known = _along(given, moving, axis, regime_number(rows))[1:]
        device = None if backend.in_loops else str(device_of(w))  # CuPy's devices have no hash
        key = (kind, w.shape, w.dtype, arrays[-1].dtype, backend, device, *known)
        found = self._programs.get(key)
        if isinstance(found, Program):
            return found
        if found is None:
            self._check_call(shapes, w)
        rule = self._flat_rule(kind)

        def write():
            stands = given if axis is None else _along(given, moving, axis, regime(rows))
            directions = slice(0, 1 + len(shapes)) if kind == "jvp" else slice(0)
            likes, sizes = [*arrays, *arrays[directions]], [*stands, *stands[directions]]
            return traced(rule, backend, likes, sizes, kind in WRT)

        is_exact = axis is None or rows == int(regime(rows))
        return programmed(self._programs, key, rule, backend, write, is_exact, MOST_PROGRAMS)

    def _flat_rule(self, kind: Any) -> Callable:
        """What is asked, as a function of ``w``, data, frozen matrices and what else, one after another.

        It is ``"value"``, the gradients named by ``wrt``, the directional derivative ``"jvp"``, or a loss's
        rule, which asks for the loss and its gradient.
        """
        count = len(leaves(self.inputs, None))
        gives_w = self._length > 0 and "w" in str(kind)

        def value(backend, w, *arrays):
            x, frozen = put_together(self.inputs, iter(arrays)), iter(arrays[count:])
            return leaves(self.outputs, self._rule(backend, x, w, frozen, "")[0])

        def gradients(backend, w, *arrays):
            x, frozen = put_together(self.inputs, iter(arrays)), iter(arrays[count:])
            y, pull = self._rule(backend, x, w, frozen, kind)

            def flat_pullback(*gs):
                grad_x, grad_w = pull(put_together(self.outputs, iter(gs)))
                return [grad_w] * gives_w + (leaves(self.inputs, grad_x) if "x" in kind else [])

            return leaves(self.outputs, y), flat_pullback

        def push(backend, w, *arrays):
            x, frozen = put_together(self.inputs, iter(arrays)), iter(arrays[count:])
            dw, dx = arrays[-1 - count], put_together(self.inputs, iter(arrays[-count:]))
            y, dy = self._push(backend, x, w, dx, dw, frozen)
            return [*leaves(self.outputs, y), *leaves(self.outputs, dy)]

        def objective(backend, w, *arrays):
            x, frozen = put_together(self.inputs, iter(arrays)), iter(arrays[count:])
            y, pull = self._rule(backend, x, w, frozen, "w")
            loss, grad_y = kind(backend, y, arrays[-1], w.dtype)
            return [loss, pull(grad_y)[1]]

        rules = {"value": value, "jvp": push, **dict.fromkeys(WRT, gradients)}
        return rules.get(kind, objective)

    def _check_call(self, shapes: Shapes, w: Array) -> None:
        """ValueError unless data of these shapes and ``w`` fit the layer and each other."""
        if any(size != size for shape in shapes for size in shape):  # NaN is how Dask spells unknown
            raise ValueError(
                f"{self.label}: the sizes of x must be known, got {shapes}; call x.compute_chunk_sizes() on "
                "arrays of Dask"
            )
        self._check_length(w)
        self._check_inputs(shapes)
        if w.ndim > 1:
            try:
                broadcast(shapes[0][: -max(self.core, 2)], tuple(w.shape[:-1]))
            except ValueError:
                raise ValueError(
                    f"{self.label}: the leading axes of x and w must broadcast, got x of shape {shapes[0]} "
                    f"and w of shape {tuple(w.shape)}"
                ) from None

    def _check_length(self, w: Array) -> None:
        if tuple(w.shape[-1:]) != (self._length,):
            raise ValueError(
                f"{self.label}: w must hold {self._length} numbers along its last axis, "
                f"got shape {tuple(w.shape)}"
            )


@Plans
def programs_of(layer: Ruled) -> dict:
    """The programs of a layer, which equal layers share."""
    return {}


def is_ruled(layer: Any) -> TypeGuard[Ruled]:
    """Whether a layer is nothing but its rules: someone's subclass may have changed what it does."""
    ours = ("__call__", "vjp", "jvp")
    return isinstance(layer, Ruled) and all(getattr(type(layer), n) is getattr(Ruled, n) for n in ours)


def vjp_of(layer: Layer, x, w: Array, wrt: str) -> tuple[Any, Callable]:
    """The layer's ``vjp``, told which gradients are wanted where it can be."""
    return layer.vjp(x, w, wrt=wrt) if is_ruled(layer) else layer.vjp(x, w)


def _along(shapes, which, axis, size):
    """The shapes, some of them with another size along an axis."""
    return [
        (*shape[:axis], size, *shape[axis + 1 :]) if i in which else tuple(shape)
        for i, shape in enumerate(shapes)
    ]
