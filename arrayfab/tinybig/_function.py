"""What all of tinybig's functions share: the constructor, the name, and calls."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.tinybig._configuration import CLASSES, ParameterError, settle_functions


def checked(method):
    """A method that raises `ParameterError` where arrayfab raises ValueError."""

    @functools.wraps(method)
    def checked_method(*args, **kwargs):
        try:
            return method(*args, **kwargs)
        except ValueError as error:
            if type(error) is not ValueError:
                raise
            raise ParameterError(*error.args) from error

    return checked_method


#: Where all classes are.
HERE = "arrayfab.tinybig"

#: Keywords for functions before and after, where tinybig has them.
HOOKS: dict[str, Any] = dict.fromkeys(
    f"{when}process_function{what}" for what in ("s", "_configs") for when in ("pre", "post")
)


class Function:
    """What every one of tinybig's functions has: parameters from a table, a name, and a call."""

    # The constructor's parameters in tinybig's order with their defaults, `...` where there is none.
    _order: ClassVar[dict[str, Any]] = {}
    _hyper: ClassVar[tuple[str, ...]] = ()
    _made_of: ClassVar[Any] = None
    _kind: ClassVar[str] = "function"

    if TYPE_CHECKING:  # attributes are set by the table of their class

        def __getattr__(self, name: str) -> Any: ...

    @checked
    def __init__(self, *args, **kwargs):
        given = dict(zip(self._order, args, strict=False))
        if twice := given.keys() & kwargs:
            raise TypeError(f"{type(self).__name__}: given twice: {sorted(twice)}")
        values = self._order | kwargs | given
        for key in self._order:
            if values[key] is ...:
                raise TypeError(f"{type(self).__name__}: {key} is missing")
            setattr(self, key, values[key])
        self._settle()

    def _settle(self):
        """What follows from the arguments."""

    def get_name(self) -> str:
        return self.name

    def to_config(self) -> dict[str, Any]:
        """The class by its name, and the constructor's arguments; those that have one as configurations."""
        parameters = {}
        for key in self._order:
            value, configs = getattr(self, key), f"{key.removesuffix('s')}_configs"
            parts = value if isinstance(value, list | tuple) else [value]
            if configs in self._order and parts and all(hasattr(part, "to_config") for part in parts):
                made = [part.to_config() for part in parts]
                parameters[configs] = made if parts is value else made[0]
            elif value is not None or not (key.endswith("_configs") or key in HOOKS):
                parameters.setdefault(key, value)
        module = type(self).__module__
        name = f"{HERE if module.startswith(HERE) else module}.{type(self).__qualname__}"
        return {f"{self._kind}_class": name, f"{self._kind}_parameters": parameters}

    def __call__(self, *args, **kwargs) -> Array:
        return self.forward(*args, **kwargs)

    def _need(self, name, value):
        if value is None:
            raise ParameterError(f"{self.name}: {name} is missing")
        return value

    def _vector(self, w):
        """``w`` without its leading axis."""
        _arrays.check_real_floating(self.name, "w", self._need("w", w))
        if len(w.shape) != 2 or w.shape[0] != 1:
            raise ParameterError(f"{self.name}: w must have shape (1, l), got {tuple(w.shape)}")
        return w[0, :]


def check_own(part: Any, *methods: str) -> None:
    """NotImplementedError where a subclass gives methods anew: what is known of the formula holds no more."""
    for name in methods:
        if not getattr(type(part), name).__module__.startswith(HERE):
            raise NotImplementedError(f"{part.name}: {name} is given anew, so that no formula is known")


class Hooked(Function):
    """What has functions before and after."""

    # Methods that a subclass may give anew. Where it does, what is known of the formula holds no more.
    _overridable: ClassVar[tuple[str, ...]] = ("pre_process", "post_process")

    def _settle(self):
        for when in ("pre", "post"):
            settle_functions(self, f"{when}process_function")

    def pre_process(self, x: Array, device="cpu", *args, **kwargs) -> Array:
        return through(x, self.preprocess_functions)

    def post_process(self, x: Array, device="cpu", *args, **kwargs) -> Array:
        return through(x, self.postprocess_functions)

    def _is_plain(self) -> bool:
        """Whether nothing but arrayfab's part takes part."""
        own = all(getattr(self, name).__module__.startswith(HERE) for name in self._overridable)
        return own and not (self.preprocess_functions or self.postprocess_functions)

    def _check_plain(self):
        if not self._is_plain():
            raise NotImplementedError(
                f"{self.name}: vjp has no rule for pre- and postprocess functions or overridden methods; "
                "apply the functions outside"
            )


def through(x, functions):
    """What functions make of ``x``, one after another."""
    for function in listed(functions):
        x = function(x)
    return x


def listed(functions: Any) -> list[Any]:
    """One function, several or none, as a list."""
    return [functions] if callable(functions) else list(functions or ())


def layers_of(owner: str, functions: Any) -> list[Any]:
    """The layers of arrayfab that functions are; NotImplementedError where one is none."""
    for function in listed(functions):
        if not hasattr(function, "layer"):
            raise NotImplementedError(f"{owner}: {function!r} is no layer of arrayfab's")
    return [function.layer() for function in listed(functions)]


def class_of(
    name: str, base: type, made_of: Any, doc: str | None, order: dict, hyper=(), **attributes
) -> Any:
    """A class, from its row in a table."""
    attributes |= {"_made_of": made_of, "_order": order, "_hyper": tuple(hyper), "__module__": HERE}
    arguments = ", ".join(key if default is ... else f"{key}={default!r}" for key, default in order.items())
    CLASSES[name] = type(
        name, (base,), {"__doc__": f"{doc}\n\n    Arguments: ``{arguments}``.\n    ", **attributes}
    )
    return CLASSES[name]
