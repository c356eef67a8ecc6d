"""What heads, layers and models share: learned numbers that are kept, and calls as a layer of arrayfab."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.layer import Layer
from arrayfab.tinybig._function import Function, ParameterError, checked


def _spread(init_type: str, fan_in: int, fan_out: int, n: int) -> float:
    """The standard deviation of the numbers of a matrix."""
    if init_type in ("xavier_uniform", "xavier_normal"):
        return math.sqrt(2.0 / (fan_in + fan_out))
    if init_type == "kaiming_uniform":
        return 1.0 / math.sqrt(3.0 * fan_in)
    if init_type == "fanout_std_uniform":
        return 1.0 / math.sqrt(3.0 * n)
    raise ParameterError(f"parameters_init_method must be one of {INIT_TYPES}, got {init_type!r}")


#: By what laws numbers start.
INIT_TYPES = ("xavier_uniform", "xavier_normal", "kaiming_uniform", "fanout_std_uniform")


class Learned(Function):
    """What has learned numbers: attributes with tinybig's names, None until they are drawn or assigned.

    All of them together are one vector as well, `numbers`, in the order in which arrayfab's layer has them.
    Where a call finds none, they are drawn, for the data's namespace, dtype and device.
    """

    _parts: ClassVar[tuple[str, ...]] = ()  # the attributes that hold learned numbers
    _owned: ClassVar[str] = ""  # the attribute that holds the parts that learn by themselves

    def __init__(self, *args, **kwargs):
        if unknown := kwargs.keys() - self._order.keys():
            raise TypeError(
                f"{type(self).__name__}: there is no keyword {sorted(unknown)[0]!r}, only {list(self._order)}"
            )
        for name in self._parts:
            setattr(self, name, None)
        super().__init__(*args, **kwargs)

    # What a subclass gives.
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of its own learned numbers."""
        return {}

    def _runs(self) -> list[tuple[str, int | None]]:
        """In which order its own numbers follow one another: a name, and one row or all of it."""
        return [(name, None) for name in self._shapes()]

    def composition(self) -> Layer:
        """The layer of arrayfab that says the same, whose ``w`` is `numbers`.

        NotImplementedError where a part, such as a function that is handed in, is none of arrayfab's.
        """
        raise NotImplementedError(f"{type(self).__name__}.composition")

    def _stepwise(self, x: Array, device: Any) -> Array:
        """The result by tinybig's steps, with the numbers that are kept."""
        raise NotImplementedError(f"{type(self).__name__}._stepwise")

    def _tree(self, prefix: str = "") -> Iterator[tuple[str, Learned]]:
        """All that learns, in the order of its numbers, each with what its names begin with."""
        for i, part in enumerate(getattr(self, self._owned, ()) or ()):
            yield from part._tree(f"{prefix}{self._owned}.{i}.")
        yield prefix, self

    def _all_shapes(self):
        return {
            prefix + name: shape for prefix, owner in self._tree() for name, shape in owner._shapes().items()
        }

    def num_parameters(self) -> int:
        """How many numbers are learned."""
        return sum(map(math.prod, self._all_shapes().values()))

    def named_parameters(self) -> Iterator[tuple[str, Array]]:
        """The arrays of learned numbers with their names; drawn, if there are none yet."""
        self._draw_missing()
        for prefix, owner in self._tree():
            for name in owner._shapes():
                yield prefix + name, getattr(owner, name)

    def parameters(self) -> Iterator[Array]:
        """The arrays of learned numbers."""
        return (array for _, array in self.named_parameters())

    def state_dict(self) -> dict[str, Array]:
        """The arrays of learned numbers, by the keys of tinybig's state dicts."""
        return dict(self.named_parameters())

    def load_state_dict(self, state: Mapping[str, Array], strict: bool = True) -> None:
        """Assign the arrays of a state dict, one of tinybig's among them.

        Raises
        ------
        ValueError
            If a shape is another one or, where it is strict, a key is missing or not known.
        """
        shapes = self._all_shapes()
        if strict and (wrong := shapes.keys() ^ state.keys()):
            missing = sorted(wrong & shapes.keys())
            raise ParameterError(
                f"{self.name}: a state dict of these keys is wanted: {sorted(shapes)}; "
                f"missing are {missing}, not known {sorted(wrong - shapes.keys())}"
            )
        for key in shapes.keys() & state.keys():
            if tuple(state[key].shape) != shapes[key]:
                raise ParameterError(
                    f"{self.name}: {key} must have shape {shapes[key]}, got {tuple(state[key].shape)}"
                )
        for prefix, owner in self._tree():
            for name in owner._shapes():
                if prefix + name in state:
                    setattr(owner, name, state[prefix + name])

    @property
    def numbers(self) -> Array:
        """All learned numbers as one vector, the ``w`` of `composition`; assigned, they are taken apart."""
        parts = []
        self._draw_missing()
        for prefix, owner in self._tree():
            shapes = owner._shapes()
            for name, row in owner._runs():
                array = getattr(owner, name)
                if tuple(array.shape) != shapes[name]:
                    raise ParameterError(
                        f"{self.name}: {prefix}{name} must have shape {shapes[name]}, "
                        f"got {tuple(array.shape)}"
                    )
                parts.append(array if row is None else array[row, :])
        if not parts:
            return np.zeros(0)
        xp = _arrays.backend_of(self.name, "w", parts[0]).xp
        return xp.concat([xp.reshape(part, (-1,)) for part in parts])

    @numbers.setter
    def numbers(self, w):
        xp, stop = self._checked(w), 0
        for _, owner in self._tree():
            shapes, pieces = owner._shapes(), {}
            for name, row in owner._runs():
                start, stop = stop, stop + math.prod(shapes[name] if row is None else shapes[name][1:])
                pieces.setdefault(name, []).append(w[start:stop])
            for name, parts in pieces.items():
                setattr(owner, name, xp.reshape(xp.concat(parts), shapes[name]))

    def _checked(self, w):
        xp = _arrays.check_real_floating(self.name, "w", w).xp
        if tuple(w.shape) != (self.num_parameters(),):
            raise ParameterError(
                f"{self.name}: w must have shape ({self.num_parameters()},), got {tuple(w.shape)}"
            )
        return xp

    def initialize_parameters(
        self, init_type="xavier_uniform", init_bias=True, *, rng=None, xp=None, dtype=None, device=None
    ) -> None:
        """Draw all numbers anew.

        Parameters
        ----------
        init_type : str
            The law for what has no ``parameters_init_method`` of its own.
        init_bias : bool
            Whether biases are drawn too; else they are kept, or zero.
        rng : int or numpy.random.Generator, optional
            Seed or generator. Numbers are drawn on the host and moved once.
        xp, dtype, device
            Where the numbers shall live: NumPy, its default dtype and device if left out.
        """
        rng = np.random.default_rng(rng)
        place = (_arrays.namespace(xp), dtype, device)
        for _, owner in self._tree():
            owner._draw(owner._shapes(), init_type, init_bias, rng, place)

    def _draw_missing(self, x=None):
        """Draw what there is none of, where the data are, or other learned numbers."""
        trees = [owner for _, owner in self._tree()]
        missing = [[name for name in owner._shapes() if getattr(owner, name) is None] for owner in trees]
        if not any(missing):
            return
        known = (getattr(owner, name) for owner in trees for name in owner._shapes())
        like = x if x is not None else next((array for array in known if array is not None), np.zeros(0))
        place = _arrays.backend_of(self.name, "x", like).xp, like.dtype, _arrays.device_of(like)
        rng = np.random.default_rng()
        for owner, names in zip(trees, missing, strict=True):
            owner._draw({name: owner._shapes()[name] for name in names}, "xavier_uniform", True, rng, place)

    def _draw(self, shapes, init_type, init_bias, rng, place):
        init_type = getattr(self, "parameters_init_method", None) or init_type
        n = getattr(self, "n", 1)
        for name, shape in shapes.items():
            is_bias = len(shape) == 1
            if is_bias and not init_bias:
                if getattr(self, name) is None:
                    setattr(self, name, _placed(np.zeros(shape), place))
                continue
            fan_in, fan_out = shape[-1], 1 if is_bias else shape[0]
            if is_bias and init_type == "kaiming_uniform":  # as for the matrix beside it
                fan_in = self._shapes()["w" + name[1:]][-1]
            spread = _spread(init_type, fan_in, fan_out, n)
            is_normal = init_type == "xavier_normal"
            edge = math.sqrt(3.0) * spread
            drawn = rng.normal(0.0, spread, shape) if is_normal else rng.uniform(-edge, edge, shape)
            setattr(self, name, _placed(drawn, place))

    def _copied(self):
        alike = copy.copy(self)
        if self._owned:
            setattr(alike, self._owned, [part._copied() for part in getattr(self, self._owned)])
        return alike

    def _with(self, w):
        """A copy that keeps other numbers."""
        alike = self._copied()
        alike.numbers = w
        return alike

    @checked
    def forward(self, x, device="cpu", *args, w=None, **kwargs) -> Array:
        """The result for data ``x``, with the numbers ``w`` in place of those that are kept."""
        self._draw_missing(self._need("x", x))
        try:
            whole = self.composition()
        except NotImplementedError:
            return (self if w is None else self._with(w))._stepwise(x, device)
        return whole(x, self._vector(w))

    @checked
    def vjp(self, x, w=None):
        """The result ``y`` and its pullback, ``pullback(grad_y) → (grad_x, grad_w)``, for all numbers."""
        self._draw_missing(self._need("x", x))
        return self.composition().vjp(x, self._vector(w))

    def _vector(self, w):
        if w is not None:
            self._checked(w)
            return w
        return self.numbers if self.num_parameters() else None


def _placed(numbers, place):
    xp, dtype, device = place
    dtype = xp.zeros((), device=device).dtype if dtype is None else dtype
    return _arrays.from_host(numbers, xp, dtype, device)
