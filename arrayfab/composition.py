"""Layers one after another and side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab._cached import cached_property
from arrayfab.layer import Layer
from arrayfab.outline import Outline, outline, table
from arrayfab.programs import broadcast
from arrayfab.ruled import Ruled, is_ruled, vjp_of
from arrayfab.structures import Cost, Numbers
from arrayfab.structures.numbers import total
from arrayfab.trees import described, put_together, taken


class Composed(Ruled):
    """Layers that share one ``w``, which holds theirs one after the other.

    Where all of them are ruled, so is the whole, and it runs as one program. Else they are called one by one.
    Printed, it is a table of its layers.
    """

    layers: Sequence[Layer]

    def __post_init__(self):
        name = type(self).__name__
        if not isinstance(self.layers, list | tuple) or not self.layers:
            raise ValueError(f"{name}: layers must hold at least one layer, got {self.layers!r}")
        object.__setattr__(self, "layers", tuple(self.layers))
        for i, layer in enumerate(self.layers):
            if not isinstance(layer, Layer) or isinstance(layer, type):
                raise TypeError(f"{name}: layers[{i}] must be a role or layers composed, got {layer!r}")

        self._check_trees()

    def _check_trees(self) -> None:
        """ValueError unless every layer takes what comes to it: an array, or a list of so many."""

    def _check_tree(self, i, given, giver):
        # What someone else's layers take and give is not known.
        takes = getattr(self.layers[i], "inputs", ...)
        if ... not in (takes, given) and takes != given:
            raise ValueError(
                f"{self.label}: layers[{i}] takes {described(takes)}, but {giver} {described(given)}; it is "
                f"{self.layers[i]!r}"
            )

    @cached_property
    def label(self):
        return type(self).__name__

    @cached_property
    def is_whole(self) -> bool:  # type: ignore[override]
        """Whether all layers are ruled, those of layers too."""
        return all(is_ruled(layer) and getattr(layer, "is_whole", True) for layer in self.layers)

    @cached_property
    def holds_arrays(self):  # type: ignore[override]
        return any(layer.holds_arrays for layer in self.layers)

    @cached_property
    def has_frozen(self):  # type: ignore[override]
        return any(layer.has_frozen for layer in self.layers)

    @cached_property
    def streams(self):  # type: ignore[override]
        return any(layer.streams for layer in self.layers)

    def _frozen(self, w, backend):
        return [held for layer in self.layers if layer.has_frozen for held in layer._frozen(w, backend)]

    def __str__(self):
        return table(self)

    def outline(self, given, at="") -> Outline:
        """What it consists of, for data of a shape."""
        raise NotImplementedError(f"{type(self).__name__}.outline")

    def cost(self, *shapes: tuple[int, ...]) -> Cost:
        """What a call takes for data of these shapes, one shape for every input."""
        return self.outline(put_together(self.inputs, iter(shapes))).cost

    def num_parameters(self) -> int:
        """The length of ``w``: those of the layers, added up."""
        return sum(layer.num_parameters() for layer in self.layers)

    def init(self, *, rng: int | np.random.Generator | None = None, **options: Any) -> Array:
        """Random learned numbers for all layers; the options are those of `Fabrication.init`."""
        rng = np.random.default_rng(rng)
        parts = [layer.init(rng=rng, **options) for layer in self.layers]
        return joined(None, parts)

    @cached_property
    def _runs(self) -> list[slice]:
        """Where in ``w`` the layers have their numbers."""
        edges = accumulate((layer.num_parameters() for layer in self.layers), initial=0)
        return [slice(start, stop) for start, stop in pairwise(edges)]

    def _parts(self, w):
        """The layers with their numbers."""
        if w is None and self._length == 0:
            return [(layer, None) for layer in self.layers]
        if not self.is_whole:
            _arrays.backend_of(self.label, "w", w)
            self._check_length(w)
        return [(layer, w[..., run]) for layer, run in zip(self.layers, self._runs, strict=True)]

    def _vjp(self, layer, backend, x, w, frozen, wrt):
        """A layer's result and pullback, by its rule where the whole is ruled."""
        if self.is_whole:
            return layer._rule(backend, x, w, frozen, wrt)
        return vjp_of(layer, x, w, wrt) if wrt else (layer(x, w), None)

    def _jvp(self, layer, backend, x, w, dx, dw, frozen):
        return layer._push(backend, x, w, dx, dw, frozen) if self.is_whole else layer.jvp(x, w, dx, dw)


@dataclass(frozen=True)
class Sequential(Composed):
    """Layers one after another: ``x → f₁ → f₂ → …``.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import LowRank, Pointwise, Reconciliation, Sequential
    >>> model = Sequential([
    ...     Reconciliation(fabrication=LowRank(r=2), n=8, D=16),
    ...     Pointwise("tanh"),
    ...     Reconciliation(fabrication=LowRank(r=2), n=3, D=8, bias=True),
    ... ])
    >>> model(np.ones((5, 16)), model.init(rng=0)).shape
    (5, 3)
    """

    layers: Sequence[Layer]

    def _check_trees(self):
        for i, layer in enumerate(self.layers[:-1]):
            self._check_tree(i + 1, getattr(layer, "outputs", ...), f"layers[{i}] gives")

    @cached_property
    def core(self):  # type: ignore[override]
        # A layer that gives fewer axes than it takes needs the more of them in front.
        needed, given = 1, 0
        for layer in self.layers:
            needed = max(needed, layer.core - given)
            given += layer.given - layer.core
        return needed

    @property
    def given(self):
        return self.core + sum(layer.given - layer.core for layer in self.layers)

    @property
    def follows_w(self):
        return any(getattr(layer, "follows_w", True) for layer in self.layers)

    @property
    def inputs(self):
        return self.layers[0].inputs

    @property
    def outputs(self):
        return self.layers[-1].outputs

    def _check_inputs(self, shapes):
        self.layers[0]._check_inputs(shapes)

    def outline(self, given, at=""):
        lines, shape = [], given
        for i, layer in enumerate(self.layers):
            more, shape = outline(layer, shape, f"{at}.{i}".lstrip("."))
            lines += more
        return Outline(lines, shape)

    def _rule(self, backend, x, w, frozen, wrt):
        pulls, moves = [], "x" in wrt  # whether what comes in depends on what a gradient is wanted of
        for layer, part in self._parts(w):
            learns = "w" in wrt and layer.num_parameters() > 0
            wanted = "x" * moves + "w" * learns
            x, pull = self._vjp(layer, backend, x, part, frozen, wanted)
            pulls.append(pull if wanted else None)
            moves = moves or learns

        def sequential_pullback(grad):
            grads = []
            for pull in reversed(pulls):
                grad, grad_w = (None, None) if pull is None else pull(grad)
                grads.append(grad_w)
            return grad if "x" in wrt else None, joined(backend, grads[::-1]) if "w" in wrt else None

        return x, sequential_pullback

    def _push(self, backend, x, w, dx, dw, frozen):
        for (layer, part), (_, dpart) in zip(self._parts(w), self._parts(dw), strict=True):
            x, dx = self._jvp(layer, backend, x, part, dx, dpart, frozen)
        return x, dx


@dataclass(frozen=True)
class Parallel(Composed):
    """Layers side by side: ``x → [f₁(x), f₂(x), …]``, the list that a fusion takes.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import ConcatenationFusion, Full, LowRank, Parallel, ParameterizedInterdependence
    >>> branch = ParameterizedInterdependence(fabrication=LowRank(r=1), m=4)
    >>> branches = Parallel([branch, branch])
    >>> [y.shape for y in branches(np.ones((5, 4)), branches.init(rng=0))]
    [(5, 4), (5, 4)]
    """

    layers: Sequence[Layer]

    def _check_trees(self):
        known = [getattr(layer, "inputs", ...) for layer in self.layers]
        first = next((i for i, takes in enumerate(known) if takes is not ...), 0)
        for i in range(len(known)):
            self._check_tree(i, known[first], f"layers[{first}] takes")

    @cached_property
    def core(self):  # type: ignore[override]
        return max(getattr(layer, "core", 1) for layer in self.layers)

    @property
    def given(self):
        return self.core + max(layer.given - layer.core for layer in self.layers)

    @property
    def inputs(self):
        # That of any layer of ours; what someone else's take is not known.
        known = [layer.inputs for layer in self.layers if hasattr(layer, "inputs")]
        return known[0] if known else self.layers[0].inputs

    @property
    def outputs(self):
        return [layer.outputs for layer in self.layers]

    def _check_inputs(self, shapes):
        for layer in self.layers:
            layer._check_inputs(shapes)

    def outline(self, given, at=""):
        parts = [outline(layer, given, f"{at}.{i}".lstrip(".")) for i, layer in enumerate(self.layers)]
        results = [part.result for part in parts]
        return Outline([line for part in parts for line in part.lines], None if None in results else results)

    def _rule(self, backend, x, w, frozen, wrt):
        pairs = [self._vjp(layer, backend, x, part, frozen, wrt) for layer, part in self._parts(w)]
        ys = [y for y, _ in pairs]
        backend = backend or _arrays.backend_of(self.label, "x", _first(x))
        repeated = self._repeated(backend, x, ys, w)

        def parallel_pullback(grads):
            grads = taken(self.label, "grad_y", [None] * len(ys), grads)
            grads = [
                grad if wide is y else Numbers(backend, {}, w).unbroadcast(grad, tuple(y.shape))
                for grad, y, wide in zip(grads, ys, repeated, strict=True)
            ]
            pulled = [pull(grad) for (_, pull), grad in zip(pairs, grads, strict=True)]
            grad_x = _added([grad_x for grad_x, _ in pulled]) if "x" in wrt else None
            return grad_x, joined(backend, [grad_w for _, grad_w in pulled]) if "w" in wrt else None

        return repeated, parallel_pullback

    def _push(self, backend, x, w, dx, dw, frozen):
        parts = zip(self._parts(w), self._parts(dw), strict=True)
        pairs = [self._jvp(layer, backend, x, part, dx, dpart, frozen) for (layer, part), (_, dpart) in parts]
        backend = backend or _arrays.backend_of(self.label, "x", _first(x))
        return tuple(self._repeated(backend, x, list(each), w) for each in zip(*pairs, strict=True))

    def _repeated(self, backend, x, ys, w):
        """The results, all with the leading axes of ``w``, which plain layers do not look at."""
        if w is None or w.ndim == 1:
            return ys
        ours = tuple(_first(x).shape[: -max(self.core, 2)])
        lead = broadcast(ours, tuple(w.shape[:-1]))
        return [
            y
            if getattr(layer, "follows_w", True) or ours == lead
            else backend.xp.broadcast_to(y, (*lead, *y.shape[len(ours) :]))
            for layer, y in zip(self.layers, ys, strict=True)
        ]


def _first(x):
    """One of the arrays that data consist of."""
    return _first(x[0]) if isinstance(x, list | tuple) else x


def joined(backend, parts):
    """The numbers of several layers as one vector; those without any have None."""
    parts = [part for part in parts if part is not None]
    if not parts:
        return None
    backend = backend or _arrays.backend_of("layers", "w", parts[0])
    return backend.xp.concat(parts, axis=-1)


def _added(grads):
    """The gradients that several layers send to one input, which may be a list of arrays."""
    if isinstance(grads[0], list):
        return [_added(parts) for parts in zip(*grads, strict=True)]
    return total(grads)
