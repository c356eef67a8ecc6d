"""Configurations as JSON: a dataclass is an object of its fields, with its registered name as ``"class"``.

``class`` is a keyword of Python, so that no field can be called so. Arrays that were handed in are not in
the text: the JSON names their blocks, and the arrays lie beside it, by `path`. A field that is an array is a
block by its own name.
"""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import lru_cache
from numbers import Real
from typing import Any, Union

from arrayfab._arrays import Array, is_integer
from arrayfab.io.registry import CheckpointError, Registry
from arrayfab.tables import printable

#: No whole number in a configuration is larger, but for seeds: no search among divisors takes long.
LARGEST = 1 << 32
LARGEST_SEED = (1 << 64) - 1
#: No configuration is nested more deeply.
DEEPEST = 32
#: No list in a configuration is longer.
LONGEST = 1024

_EXACT = 1 << 53  # whole numbers up to here are floats as well


def path(*steps: str | int) -> str:
    """Steps into a configuration, joined by dots; empty ones are left out."""
    return ".".join(str(step) for step in steps if step != "")


def encode(value: Any, registry: Registry, arrays: dict[str, Array], at: str = "", depth: int = 0) -> Any:
    """A configuration as what JSON holds; arrays found on the way are added to ``arrays`` by their path.

    Raises
    ------
    ValueError, TypeError
        If a class is not registered, or a field holds what JSON does not.
    """
    if depth > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} deep")
    if value is None or isinstance(value, bool | str):
        return value
    if is_integer(value):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, list | tuple):
        return [encode(item, registry, arrays, path(at, i), depth) for i, item in enumerate(value)]
    if not is_dataclass(value):
        raise ValueError(
            f"{at}: a file holds numbers, texts, booleans, None, tuples and registered dataclasses, "
            f"got {short(value)}"
        )
    cls: Any = type(value)
    made: dict[str, Any] = {"class": registry.name_of(cls)}
    for field, hint in _hints(cls).items():
        held = getattr(value, field)
        blocks = {field: held} if hint is Array else held if _origin(hint) is Mapping else None
        if blocks is None:
            made[field] = encode(held, registry, arrays, path(at, field), depth + 1)
        else:
            made[field] = _added(arrays, at, blocks)
    return made


def _added(arrays, at, blocks):
    """The names of blocks, whose arrays are added to the others."""
    for block, array in blocks.items():
        _add(arrays, path(at, block), array)
    return sorted(blocks)


def _add(arrays, name, array):
    if name in arrays:
        raise ValueError(f"two arrays would be called {name!r}")
    arrays[name] = array


#: Gives the array of a path; KeyError where there is none.
Take = Callable[[str], Array]


def decode(value: Any, registry: Registry, take: Take, at: str = "", depth: int = 0) -> Any:
    """The configuration that was encoded, with the arrays that it takes by their paths.

    Raises
    ------
    CheckpointError
        If a class, a field, a type or a size is not as it must be, or the class refuses what it is given.
    """
    here = at or "the configuration"
    if depth > DEEPEST:
        raise CheckpointError(f"{here}: it is nested more than {DEEPEST} deep")
    if not isinstance(value, dict) or type(value.get("class")) is not str:
        raise CheckpointError(f'{here}: expected an object with a "class", got {short(value)}')
    cls = registry.class_of(value["class"])
    hints, given = _hints(cls), value.keys() - {"class"}
    if given != hints.keys():
        raise CheckpointError(
            f"{here}: {value['class']} has the fields {sorted(hints)}, got {short(repr(sorted(given)))}"
        )

    def field(name):
        if hints[name] is Array:
            if value[name] != [name]:
                raise CheckpointError(f"{path(at, name)}: expected [{name!r}], got {short(value[name])}")
            return _blocks(value[name], take, at, path(at, name))[name]
        if _origin(hints[name]) is Mapping:
            return _blocks(value[name], take, at, path(at, name))
        return _value(value[name], hints[name], name, registry, take, path(at, name), depth)

    made = {name: field(name) for name in hints}
    try:
        return cls(**made)
    except Exception as error:  # whatever a class may raise, the file is at fault
        raise CheckpointError(f"{here}: {short(error)}") from error


def _blocks(value, take, at, here):
    if type(value) is not list or not all(type(name) is str for name in value):
        raise CheckpointError(f"{here}: expected the names of blocks, got {short(value)}")
    try:
        return {name: take(path(at, name)) for name in value}
    except KeyError as missing:
        raise CheckpointError(f"{here}: there is no array {short(missing.args[0])}") from None


def _value(value, hint, name, registry, take, at, depth):
    """A value that one of the alternatives of a field's annotation allows."""
    alternatives = typing.get_args(hint) if _origin(hint) in (Union, types.UnionType) else (hint,)
    if type(value) is dict:
        made = decode(value, registry, take, at, depth + 1)
        if any(isinstance(allowed, type) and isinstance(made, allowed) for allowed in alternatives):
            return made
    elif type(value) is list:
        for allowed in alternatives:
            if _origin(allowed) in (tuple, Sequence):
                return _items(value, allowed, name, registry, take, at, depth)
    else:
        for allowed in alternatives:
            if _is_scalar(value, allowed, name):
                return float(value) if allowed is float else value
    limits = (
        f" (whole numbers to {LARGEST}, seeds to {LARGEST_SEED})"
        if type(value) is int and int in alternatives
        else ""
    )
    raise CheckpointError(f"{at}: expected {_spelled(hint)}{limits}, got {short(value)}")


def _items(value, hint, name, registry, take, at, depth):
    allowed = typing.get_args(hint)
    if _origin(hint) is Sequence or allowed[1:] == (...,):
        allowed = allowed[:1] * len(value)
    if len(value) != len(allowed) or len(value) > LONGEST:
        raise CheckpointError(
            f"{at}: expected {_spelled(hint)} of at most {LONGEST} items, got {len(value)} items"
        )
    pairs = enumerate(zip(value, allowed, strict=True))
    return tuple(_value(item, each, name, registry, take, path(at, i), depth) for i, (item, each) in pairs)


def _is_scalar(value, allowed, name):
    """Whether a value is of the one type, no subclass of it, and no larger than it may be."""
    if allowed is float and type(value) is int:  # other languages write 1 for 1.0
        return abs(value) <= _EXACT
    if allowed in (None, type(None)) or type(value) is not allowed:
        return value is None and allowed in (None, type(None))
    if allowed is float:
        return math.isfinite(value)
    if allowed is int:
        return 0 <= value <= LARGEST_SEED if name == "seed" else abs(value) <= LARGEST
    return allowed in (bool, str)


def _origin(hint):
    return typing.get_origin(hint) or hint


@lru_cache(maxsize=256)
def _hints(cls: type) -> dict[str, Any]:
    """The annotations of the fields with which a class is made."""
    try:
        hints = typing.get_type_hints(cls)
    except Exception as error:
        raise CheckpointError(f"{cls.__name__}: its annotations cannot be read: {short(error)}") from error
    return {field.name: hints[field.name] for field in fields(cls) if field.init}


def _spelled(hint):
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def short(value: Any, limit: int = 300) -> str:
    """A value on the line of a message, however large it is."""
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    text = value if isinstance(value, str | Exception) else repr(value)
    text = printable(str(text)[: limit + 1])
    return text if len(text) <= limit else f"{text[:limit]}…"


def check_object(here: str, value: Any, **types: Any) -> None:
    """CheckpointError unless a value is an object with these names, each of its type."""
    if type(value) is not dict or value.keys() != types.keys():
        raise CheckpointError(f"{here}: expected an object with {sorted(types)}, got {short(value)}")
    for name, allowed in types.items():
        if not isinstance(value[name], allowed) or isinstance(value[name], bool):
            raise CheckpointError(f"{here}: {name!r} is {short(value[name])}, which it cannot be")


def parse(text: str) -> Any:
    """JSON without what it allows too much: names given twice, NaN, infinities, endless nesting or digits.

    Raises
    ------
    CheckpointError
        If the text is no such JSON.
    """

    def once(pairs):
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("a name is given twice")
        return made

    def refuse(constant):
        raise ValueError(f"{constant} is no number")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the description is no JSON: {short(error)}") from error
