"""The adapter of tinybig's compressions that are fitted to every batch: scikit-learn's estimators."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from arrayfab import _arrays
from arrayfab.tinybig._configuration import at, of_config
from arrayfab.tinybig._function import ParameterError
from arrayfab.tinybig._transformation import row, transformation


class Fitted(transformation):
    """A function of a whole batch that gives ``D`` numbers of every row, such as an estimator fitted to it.

    It is a callable, or has scikit-learn's ``partial_fit`` and ``transform``, or its ``fit_transform``, which
    get the data on the host. It is fitted in every call, and nothing has a gradient.
    """

    _function: ClassVar[str] = ""  # the attribute that holds it
    _estimator: ClassVar[tuple[str, ...]] = ()  # the module and the class of scikit-learn's, where it is one
    _arguments: ClassVar[dict[str, str]] = {}  # its keywords, and the attributes for them

    def _settle(self):
        super(transformation, self)._settle()
        if self._estimator:
            module, name = self._estimator
            given = {key: getattr(self, attribute) for key, attribute in self._arguments.items()}
            setattr(self, self._function, getattr(import_module(f"sklearn.{module}"), name)(**given))
        elif getattr(self, self._function) is None:
            key = f"{self._function}_configs"
            config = self._need(self._function, getattr(self, key))
            with at(key):
                setattr(self, self._function, of_config(config))

    def calculate_D(self, m):
        if not 0 < self.D <= m:
            raise ParameterError(f"{self.name}: D must be from 1 to m={m}, got {self.D}")
        return self.D

    def _core(self):
        raise NotImplementedError(f"{self.name}: what is fitted to every batch is no expansion of arrayfab's")

    def _pulled(self, x):
        raise NotImplementedError(f"{self.name}: there is no vjp of what is fitted to every batch")

    def _expanded(self, x, device, **more):
        D, function = self.calculate_D(x.shape[1]), getattr(self, self._function)
        y = function(x) if callable(function) else self._of_estimator(function, x)
        if tuple(y.shape) != (x.shape[0], D):
            raise ParameterError(f"{self.name}: shape {(x.shape[0], D)} is wanted, got {tuple(y.shape)}")
        return y

    def _of_estimator(self, estimator, x):
        if getattr(x, "requires_grad", False):
            raise ParameterError(f"{self.name}: x must not require a gradient, there is none")
        xp, rows = _arrays.backend_of(self.name, "x", x).xp, _arrays.to_host(x)
        if hasattr(estimator, "partial_fit"):
            y = estimator.partial_fit(rows).transform(rows)
        else:
            y = estimator.fit_transform(rows)
        return _arrays.from_host(y, xp, x.dtype, _arrays.device_of(x))


def family(key: str, function: str, /, called: str = "", **before: Any) -> Any:
    """The class of all compressions by a function that is held in an attribute of that name."""
    own: dict[str, Any] = {"name": called or key, function: None, f"{function}_configs": None}
    first = {"D": ..., **before}
    return row(key, None, Fitted, first=first, doc=Fitted.__doc__, fixed={"_function": function}, **own)


def fitted(name: str, base: Any, estimator: str, arguments: str, /, **first: Any) -> Any:
    """A compression by one of scikit-learn's estimators.

    ``arguments`` are the estimator's keywords for ``D``, and for the parameters in ``first`` and ``seed`` if
    they have the same name.
    """
    module, _, made = estimator.rpartition(".")
    keywords = {"n_components": "D"} | {
        key: "seed" if key == "random_state" else key for key in arguments.split()
    }
    fixed = {"_estimator": (module, made), "_arguments": keywords}
    doc = f"What scikit-learn's ``{made}`` makes of every batch, fitted to it."
    return row(name, None, base, first={"D": ..., **first}, doc=doc, fixed=fixed, seed=0)
