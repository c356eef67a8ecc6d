"""The adapters of tinybig's expansions and compressions, over arrayfab's expansions."""

from __future__ import annotations

from functools import reduce
from typing import Any, ClassVar

from arrayfab import _arrays, expansions
from arrayfab._arrays import Array
from arrayfab.tinybig._configuration import many_of_config
from arrayfab.tinybig._function import HOOKS, Hooked, ParameterError, check_own, checked, class_of, listed


class transformation(Hooked):
    """The adapter of all expansions and compressions: rows of ``m`` numbers in, of ``D`` numbers out."""

    _order: ClassVar = {"name": "base_transformation", **HOOKS, "device": "cpu"}
    _overridable = (*Hooked._overridable, "calculate_D", "forward")

    def _settle(self):
        super()._settle()
        if self._made_of is not None:
            self._core()

    def _core(self) -> expansions.Expansion:
        """The expansion of arrayfab that says the same, pre- and postprocess functions apart."""
        return self._made_of(**{key: getattr(self, key) for key in self._hyper})

    def whole(self, m: int) -> expansions.Expansion:
        """The expansion of arrayfab that says the same of ``m`` attributes, rows normalised if they are."""
        check_own(self, *self._overridable)
        if self.preprocess_functions:
            raise NotImplementedError(f"{self.name}: functions before an expansion are no part of arrayfab's")
        expansion = self._core()
        for function in listed(self.postprocess_functions):
            if not hasattr(function, "over"):
                raise NotImplementedError(
                    f"{self.name}: {function!r} behind an expansion is no part of arrayfab's"
                )
            function.check(expansion.num_features(m))
            expansion = function.over(expansion)
        return expansion

    @checked
    def calculate_D(self, m: int) -> int:
        """The length of a row of ``κ(x)``."""
        return self._core().num_features(m)

    @checked
    def forward(self, x: Array, device="cpu", *args, **kwargs) -> Array:
        """``κ(x)``, of shape ``(b, D)``."""
        self._check(x)
        x = self.pre_process(x=x, device=device)
        return self.post_process(x=self._expanded(x, device, **kwargs), device=device)

    @checked
    def vjp(self, x: Array):
        """``κ(x)`` and its pullback, ``pullback(grad_y) → grad_x``."""
        self._check_plain()
        self._check(x)
        return self._pulled(x)

    def _check(self, x):
        if len(self._need("x", x).shape) != 2:
            raise ParameterError(f"{self.name}: x must have shape (b, m), got {tuple(x.shape)}")

    def _expanded(self, x, device, **more):
        return self._core()(x)

    def _pulled(self, x):
        y, pull = self._core().vjp(x)

        def transformation_pullback(grad_y):
            return pull(grad_y)[0]

        return y, transformation_pullback


class Linear(transformation):
    """A multiple of the data, or their product with a matrix from the left or from the right."""

    def _core(self):
        if self.c is None and not (self.pre_C is self.post_C is None):
            raise NotImplementedError(f"{self.name}: a product with a matrix is no expansion of arrayfab's")
        return expansions.Linear(c=1.0 if self.c is None else self.c)

    def _settle(self):
        super(transformation, self)._settle()

    def calculate_D(self, m):
        return m

    def _expanded(self, x, device, c=None, pre_C=None, post_C=None, **more):
        c, pre, post = (
            own if given is None else given
            for given, own in ((c, self.c), (pre_C, self.pre_C), (post_C, self.post_C))
        )
        y = _times(x, c, pre, post)
        if y.shape != x.shape:
            raise ParameterError(
                f"{self.name}: κ(x) must have the shape {tuple(x.shape)} of x, got {tuple(y.shape)}"
            )
        return y

    def _pulled(self, x):
        mT = _arrays.backend_of(self.name, "x", x).mT
        pre, post = (None if matrix is None else mT(matrix) for matrix in (self.pre_C, self.post_C))

        def linear_pullback(grad_y):
            return _times(grad_y, self.c, pre, post)

        return self._expanded(x, None), linear_pullback


def _times(x, c, pre, post):
    """The product with the first of them that there is."""
    if c is not None:
        return c * x
    if pre is not None:
        return pre @ x
    return x if post is None else x @ post


class RadialBasis(transformation):
    """Bells at the points ``base``, or at equal distances where it is None."""

    def _core(self):
        points = None if self.base is None else tuple(float(point) for point in self.base)
        names = ("base_range", "num_interval", "epsilon")
        return self._made_of(points=points, **{name: getattr(self, name) for name in names})


class Choices(transformation):
    """What is made of several different attributes."""

    def _core(self):
        self._check_choice(self.with_replacement)
        return self._made_of(d=self.d)

    def _check_choice(self, with_replacement):
        if with_replacement:
            raise ParameterError(
                f"{self.name}: with_replacement must be False, as in calculate_D and in the formula"
            )

    def _expanded(self, x, device, with_replacement=False, **more):
        self._check_choice(with_replacement)
        return super()._expanded(x, device)


class Composed(transformation):
    """Several transformations, in a chain or side by side."""

    def _settle(self):
        configs = self.composition_function_configs or ()
        self.composition_functions = list(
            self.composition_functions
            or many_of_config(configs, "composition_function_configs", transformation)
        )
        super(transformation, self)._settle()

    def _core(self):
        cores = tuple(function._core() for function in self.composition_functions)
        return self._made_of(expansions=cores) if cores else expansions.Identity()

    def _together(self, xp, parts):
        if not parts:
            raise ParameterError(f"{self.name}: composition_functions are missing")
        return xp.concat(parts, axis=1)


class Nested(Composed):
    """One transformation after another."""

    def calculate_D(self, m):
        return reduce(lambda size, function: function.calculate_D(m=size), self.composition_functions, m)

    def _expanded(self, x, device, **more):
        return reduce(lambda y, function: function(x=y, device=device), self.composition_functions, x)

    def _pulled(self, x):
        pulls = []
        for function in self.composition_functions:
            x, pull = function.vjp(x)
            pulls.append(pull)

        def nested_pullback(grad_y):
            return reduce(lambda grad, pull: pull(grad), reversed(pulls), grad_y)

        return x, nested_pullback


class Extended(Composed):
    """Transformations of the same data side by side."""

    def calculate_D(self, m):
        return sum(function.calculate_D(m=m) for function in self.composition_functions)

    def _expanded(self, x, device, **more):
        parts = [function(x=x, device=device) for function in self.composition_functions]
        return self._together(_arrays.backend_of(self.name, "x", x).xp, parts)

    def _pulled(self, x):
        xp = _arrays.backend_of(self.name, "x", x).xp
        parts, pulls = zip(*(function.vjp(x) for function in self.composition_functions), strict=True)

        def extended_pullback(grad_y):
            start, grad_x = 0, None
            for part, pull in zip(parts, pulls, strict=True):
                end = start + part.shape[1]
                grad = pull(grad_y[:, start:end])
                start, grad_x = end, grad if grad_x is None else grad_x + grad
            return grad_x

        return self._together(xp, list(parts)), extended_pullback


class Measured(transformation):
    """One number of every row, by ``metric``: a function of the data that gives as many numbers as rows."""

    def metric(self, x: Array) -> Array:
        """The numbers, of shape ``(b,)``."""
        return self._core()(x)[:, 0]

    def calculate_D(self, m):
        return 1

    def _expanded(self, x, device, **more):
        y = self._need("metric", self.metric)(x)
        if tuple(y.shape) != (x.shape[0],):
            raise ParameterError(f"{self.name}: metric must give shape {(x.shape[0],)}, got {tuple(y.shape)}")
        return y[:, None]

    def _pulled(self, x):
        if self._made_of is None:
            raise NotImplementedError(f"{self.name}: vjp has no rule for a metric that is handed in")
        return super()._pulled(x)


def row(key: str, made_of: Any, base: type = transformation, /, *, first=None, doc=None, fixed=(), **hyper):
    """A transformation: tinybig's name for it, arrayfab's expansion, hyper-parameters with defaults.

    ``first`` are parameters that stand before the name.
    """
    order = {**(first or {}), "name": key, **hyper, **HOOKS, "device": "cpu"}
    names = [name for name in hyper if name != "name"]
    return class_of(key, base, made_of, doc or made_of.__doc__, order, names, **dict(fixed))
