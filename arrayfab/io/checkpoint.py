"""Checkpoints: learned numbers and configurations in one safetensors file, as docs/checkpoints.md tells."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from types import ModuleType, NoneType
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.fabrications import Fabrication
from arrayfab.frozen import SCHEME
from arrayfab.io.configuration import LARGEST, check_object, decode, parse, short
from arrayfab.io.entry import DTYPES, Entry, sha256, tile_digests
from arrayfab.io.reading import open_regular, spelled
from arrayfab.io.registry import CheckpointError, Registry
from arrayfab.io.replacing import replacing
from arrayfab.io.tensors import import_safetensors

VERSION = 1
#: The key in the file's metadata: the SHA-256 of the description, a line feed, and the description.
KEY = "arrayfab"
#: No description is longer.
LONGEST = 1 << 24


def save(
    path: str | bytes | os.PathLike[str],
    entries: Mapping[str, tuple[Any, ...]],
    *,
    known: Iterable[type] = (),
) -> None:
    """Write learned numbers and what they belong to into one safetensors file.

    The file is replaced as a whole: a kill at any moment leaves the old one or the new one. Equal entries
    give equal bytes.

    Parameters
    ----------
    path : str, bytes or path
        Where to write.
    entries : mapping from str to tuple
        Under each name ``(role, w)``, where any layer will do, ``(fabrication, w)`` or
        ``(fabrication, w, n, D)``. Only with ``n`` and ``D`` can a fabrication's frozen blocks be checked
        when it is loaded. ``w``, of shape ``(..., l)``, may be of any namespace; float16, float32 or float64.
    known : iterable of type
        Classes that are neither built in nor registered by an installed package, under their own names.

    Raises
    ------
    ValueError
        If ``w`` has another length than is needed, two arrays would have one name, or a configuration could
        not be loaded again.
    TypeError
        If an entry is no such tuple, or an array has another dtype.
    OSError
        If the file cannot be written; PermissionError where it is there and read-only.
    ImportError
        If safetensors is not installed.

    Examples
    --------
    >>> import arrayfab, tempfile
    >>> role = arrayfab.Reconciliation(fabrication=arrayfab.RandomMatrixAdaption(r=2, seed=7), n=4, D=6)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     arrayfab.save(f"{directory}/model", {"head": (role, role.init(rng=0))})
    ...     loaded, w = arrayfab.load(f"{directory}/model")["head"]
    >>> loaded == role, w.shape
    (True, (6,))
    """
    written = content(entries, known)
    with replacing(path) as file:
        file.write(written)


def content(entries: Mapping[str, tuple[Any, ...]], known: Iterable[type] = ()) -> bytes:
    """The bytes of the file that `save` writes."""
    from_numpy = import_safetensors("safetensors.numpy")
    registry, described = Registry(known), []
    tensors: dict[str, np.ndarray] = {}
    for name, given in entries.items():
        entry = Entry.of(name, given)
        configuration, arrays = entry.configuration(registry)
        if twice := tensors.keys() & arrays.keys():
            raise ValueError(f"{entry}: two arrays would be called {min(twice)!r}; give it another name")
        tensors |= arrays
        digests = tile_digests(entry.frozen(), _arrays.namespace(None), None)
        described.append(
            {"name": name, "configuration": configuration, "shape": entry.shape, "frozen": digests}
        )
    table = {name: _row(array) for name, array in tensors.items()}
    text = json.dumps({"version": VERSION, "scheme": SCHEME, "entries": described, "tensors": table})
    if len(text) > LONGEST:
        raise ValueError(f"the description would be {len(text)} bytes long, more than {LONGEST}")
    metadata = {KEY: f"{sha256(text.encode())}\n{text}"}
    return from_numpy.save(tensors, metadata=metadata)


def _row(array: np.ndarray) -> dict[str, Any]:
    return {"dtype": array.dtype.name, "shape": array.shape, "sha256": sha256(array)}


def load(
    path: str | bytes | os.PathLike[str],
    *,
    xp: ModuleType | None = None,
    device: Any = None,
    verify: bool = True,
    known: Iterable[type] = (),
) -> dict[str, tuple[Any, ...]]:
    """What `save` wrote: a dictionary of the same tuples, in the same order.

    Nothing in the file is executed, and no class is imported that an installed package has not registered.

    Parameters
    ----------
    path : str, bytes or path
        The file.
    xp, device
        Where the arrays shall live: NumPy and its device if left out. They keep their dtypes.
    verify : bool
        Whether the checksums of the arrays, and of the frozen blocks as they come out here, must be right.
    known : iterable of type
        As for `save`.

    Raises
    ------
    CheckpointError
        If the content of the file is not in order, or a checksum is wrong: the message names the block.
    OSError
        If the file cannot be read.
    TypeError
        If the namespace has no such dtype.
    ImportError
        If safetensors is not installed.
    """
    entries = {}
    for entry in read(path, xp=xp, device=device, known=known):
        if verify and (faults := entry.faults(_arrays.namespace(xp), device)):
            raise CheckpointError(
                f"{spelled(path)}: {entry}: {faults[0]} is not what was saved, by its checksum; "
                "verify=False loads it nevertheless"
            )
        entries[entry.name] = entry.given
    return entries


def read(
    path: str | bytes | os.PathLike[str],
    *,
    xp: ModuleType | None = None,
    device: Any = None,
    known: Iterable[type] = (),
) -> list[Entry]:
    """The entries of a file, whose checksums may be wrong; parameters and errors are those of `load`."""
    safetensors = import_safetensors("safetensors")
    try:
        # Opened here too: safetensors says of every file that it cannot open that there is none.
        with open_regular(path), safetensors.safe_open(os.fsdecode(path), framework="np") as file:
            return _entries(file, xp, device, Registry(known))
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{spelled(path)}: it is no whole safetensors file: {short(error)}") from error
    except CheckpointError as error:
        raise CheckpointError(f"{spelled(path)}: {error}") from error


def _entries(file, xp: ModuleType | None, device: Any, registry: Registry) -> list[Entry]:
    description = _description(file.metadata())
    arrays, damaged = _arrays_of(file, description["tensors"])
    moved = {name: _moved(name, array, xp, device) for name, array in arrays.items()}
    entries = [_entry(each, moved, damaged, registry) for each in description["entries"]]
    if moved:
        raise CheckpointError(f"array {short(repr(min(moved)))} belongs to no entry")
    return entries


def _description(metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """The description in a file's metadata, whose checksum, version and scheme are right."""
    if not metadata or KEY not in metadata:
        raise CheckpointError(f"it is no checkpoint of arrayfab: no {KEY!r} in its metadata")
    digest, _, text = metadata[KEY].partition("\n")
    if len(text) > LONGEST:
        raise CheckpointError(f"the description is longer than {LONGEST}")
    if digest != sha256(text.encode()):
        raise CheckpointError("the description is damaged: its checksum is another one")
    made = parse(text)
    version = made.get("version") if type(made) is dict else None
    if type(version) is not int or version != VERSION:
        raise CheckpointError(f"expected version {VERSION} of the format, got {short(repr(version))}")
    check_object("the description", made, version=int, scheme=str, entries=list, tensors=dict)
    if made["scheme"] != SCHEME:
        raise CheckpointError(
            f"frozen blocks were drawn by the scheme {short(repr(made['scheme']))}, this is {SCHEME!r}"
        )
    return made


def _arrays_of(file, table: dict[str, Any]) -> tuple[dict[str, np.ndarray], set[str]]:
    """All arrays of a file, which must be those of the table, and the names of those that are damaged."""
    if differing := file.keys() ^ table.keys():
        raise CheckpointError(f"array {short(repr(min(differing)))} is not both described and there")
    arrays = {}
    for name, row in table.items():
        here = f"array {short(repr(name))}"
        check_object(here, row, dtype=str, shape=list, sha256=str)
        held = file.get_slice(name)
        described = DTYPES.get(row["dtype"]), row["shape"]
        if described != (held.get_dtype(), held.get_shape()) or {*map(type, row["shape"])} - {int}:
            raise CheckpointError(f"{here}: the file holds another dtype or shape than it describes")
        try:
            arrays[name] = file.get_tensor(name)
        except ValueError as error:  # a shape that NumPy cannot have
            raise CheckpointError(f"{here}: {short(error)}") from error
        if row["dtype"] == "bool" and arrays[name].view(np.uint8).max(initial=0) > 1:
            raise CheckpointError(f"{here}: a boolean is neither 0 nor 1")
    return arrays, {name for name, array in arrays.items() if table[name]["sha256"] != sha256(array)}


def _moved(name: str, array: np.ndarray, xp: ModuleType | None, device: Any) -> Array:
    """An array where it shall live; TypeError where its dtype is not to be had."""
    xp = _arrays.namespace(xp)
    moved = _arrays.from_host(array, xp, None, device)
    if _arrays.dtype_name(moved.dtype) != array.dtype.name:
        raise TypeError(
            f"array {short(repr(name))} has dtype {array.dtype}, which {xp.__name__} does not keep here; "
            "JAX does with jax.config.update('jax_enable_x64', True)"
        )
    return moved


def _entry(each: Any, arrays: dict[str, Array], damaged: set[str], registry: Registry) -> Entry:
    """An entry of the description; its arrays are taken out of ``arrays``."""
    check_object("an entry", each, name=str, configuration=dict, shape=(list, NoneType), frozen=dict)
    name, shape, used = each["name"], each["shape"], []

    def take(array):
        used.append(array)
        return arrays.pop(array)

    here = f"entry {short(repr(name))}"
    if name not in arrays or _arrays.dtype_name(arrays[name].dtype) == "bool":
        raise CheckpointError(f"{here}: there is no w of its own, of real floating numbers")
    w = take(name)
    value = decode(each["configuration"], registry, take, name)
    if shape is not None and not (isinstance(value, Fabrication) and len(shape) == 2 and _are_sizes(shape)):
        raise CheckpointError(f"{here}: its shape must be two sizes to {LARGEST}, and it a fabrication")
    try:
        entry = Entry(
            name, value, shape and tuple(shape), w, tuple(damaged.intersection(used)), each["frozen"]
        )
        entry.frozen()  # whatever the classes may raise, the file is at fault
    except Exception as error:
        raise CheckpointError(f"{here}: {short(error)}") from error
    return entry


def _are_sizes(shape: list) -> bool:
    return all(type(size) is int and 0 < size <= LARGEST for size in shape)
