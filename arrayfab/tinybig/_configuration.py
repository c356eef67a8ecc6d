"""Objects from configurations: classes by their names and keywords, in dictionaries within dictionaries.

Classes are looked up in a table. Nothing is imported that a configuration names.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class ParameterError(ValueError, AssertionError):
    """Parameters, data or sizes that are missing or do not fit; caught as either of its bases."""


class ConfigurationError(ParameterError):
    """A configuration names what is not known, or what does not fit; the message begins with the place."""

    def __init__(self, place: str, message: str):
        super().__init__(f"{place}: {message}")
        self.place, self.message = place, message


class at:
    """A place of a configuration: errors within tell it."""

    def __init__(self, key: str):
        self.key = key

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, ConfigurationError):
            joint = "" if error.place.startswith("[") else "."
            raise ConfigurationError(f"{self.key}{joint}{error.place}", error.message) from None
        if isinstance(error, ValueError | TypeError):
            raise ConfigurationError(self.key, str(error)) from error


#: All classes that were made from a row of a table, by their names; those of PyTorch's by their full names.
CLASSES: dict[str, Any] = {}

#: The packages of tinybig that have them.
_PACKAGES = (
    "module", "expansion", "compression", "fusion", "interdependence", "reconciliation", "remainder", "head",
    "layer", "model",
)  # fmt: skip


def class_called(name: Any, key: str) -> Any:
    """The class of a name, with or without the package in which tinybig or arrayfab has it."""
    package, _, last = str(name).rpartition(".")
    parts = package.split(".")
    is_ours = package in ("", "arrayfab.tinybig") or (parts[0] == "tinybig" and {*parts[1:2]} & {*_PACKAGES})
    found = CLASSES.get(last) if is_ours else CLASSES.get(str(name))
    if found is None:
        raise ConfigurationError(key, f"{name!r} is none of the classes and functions that are known here")
    return found


def of_config(config: Any, kind: type = object, **more: Any) -> Any:
    """The object that a configuration tells of: ``…_class`` is its class, ``…_parameters`` its keywords."""
    if not isinstance(config, Mapping):
        raise TypeError(f"a configuration must be a dictionary, got {config!r}")
    keys = [key for key in config if str(key).endswith("_class")]
    if len(keys) != 1:
        raise ParameterError(f"a configuration must have one key …_class, got {list(config)}")
    key = keys[0]
    called, within = class_called(config[key], key), f"{key.removesuffix('class')}parameters"
    if not issubclass(called, kind):
        raise ConfigurationError(key, f"a {kind.__name__} is wanted, got {config[key]!r}")
    if beside := config.keys() - {key, within, "device"}:
        warnings.warn(
            f"{config[key]}: beside {within}, {sorted(beside)} are not read, as in tinybig", stacklevel=2
        )
    with at(within):
        return called(**{**_keywords(called, config.get(within)), **more})


def _keywords(called, parameters):
    parameters = {} if parameters is None else parameters
    if not isinstance(parameters, Mapping):
        raise TypeError(f"keywords must be a dictionary, got {parameters!r}")
    for key in parameters:
        if key not in called._order:
            raise ConfigurationError(
                str(key), f"{called.__name__} has no such keyword, it has {list(called._order)}"
            )
    return parameters


def many_of_config(configs: Any, key: str, kind: type = object, **more: Any) -> list[Any]:
    """The objects of one configuration, or of a list of them."""
    if isinstance(configs, Mapping):
        with at(key):
            return [of_config(configs, kind, **more)]
    made = []
    for i, config in enumerate(configs):
        with at(f"{key}[{i}]"):
            made.append(of_config(config, kind, **more))
    return made


def repeated(owner: Any, number: str, allotted: str, key: str) -> list[Any]:
    """The configurations under a key, each as often as it is allotted."""
    configs, count, times = (getattr(owner, name) for name in (key, number, allotted))
    configs = list(configs) if isinstance(configs, list | tuple) else [configs]
    if times is None:
        times = [count] if len(configs) == 1 and count is not None else [1] * len(configs)
    times = list(times) if isinstance(times, list | tuple) else [times]
    if len(times) != len(configs) or count not in (None, sum(times)):
        raise ParameterError(
            f"{owner.name}: {len(configs)} {key} are allotted {times} times, and {number} is {count}"
        )
    return [config for config, often in zip(configs, times, strict=True) for _ in range(often)]


def settle_functions(owner: Any, key: str) -> None:
    """A function's attribute as callables: names are looked up, and configurations are made into objects."""
    given, configs = getattr(owner, f"{key}s"), getattr(owner, f"{key}_configs")
    if given is None and configs is not None:
        given = many_of_config(configs, f"{key}_configs")
    elif isinstance(given, str):
        given = class_called(given, f"{key}s")()
    elif isinstance(given, list | tuple):
        given = [class_called(each, f"{key}s")() if isinstance(each, str) else each for each in given]
    setattr(owner, f"{key}s", given)


def from_config(config: Any) -> Any:
    """The model, or any other part, that a configuration of tinybig's tells of.

    Parameters
    ----------
    config : dict, str or path
        A configuration, or a file in YAML that holds one. Of a whole experiment, under the key
        ``configurations``, its ``model_configs`` are read. A class is told by a key that ends in ``_class``,
        its keywords stand under the same key with ``_parameters``.

    Raises
    ------
    ValueError
        If a class or a keyword is not known, or a part does not fit; the message begins with its place in the
        configuration. Nothing is imported that a configuration names.
    ImportError
        If a file is given and PyYAML is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab.tinybig import from_config
    >>> model = from_config({
    ...     "model_class": "tinybig.model.kan",
    ...     "model_parameters": {"dims": [4, 3, 2], "t": 3, "d": 2},
    ... })
    >>> model(np.ones((5, 4))).shape, model.num_parameters()
    ((5, 2), 108)
    """
    if isinstance(config, str | os.PathLike):
        with at(os.fspath(config)):
            return from_config(_read(config))
    if not isinstance(config, Mapping):
        raise TypeError(f"a configuration must be a dictionary, got {config!r}")
    for key in ("configurations", "model_configs"):
        if key in config:
            with at(key):
                return from_config(config[key])
    return of_config(config)


def _read(path):
    try:
        import yaml
    except ImportError as error:
        raise ImportError(
            "from_config reads YAML by PyYAML, which is not installed: pip install 'arrayfab[yaml]'"
        ) from error
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ParameterError(f"this is no YAML: {error}") from error
