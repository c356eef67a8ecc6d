"""Adapters as roles beside the layers that they adapt: what is added to a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.adapters.adapter import Adapter
from arrayfab.adapters.updates import Added
from arrayfab.fabrications.blueprint import as_size
from arrayfab.io.configuration import short
from arrayfab.io.tensors import place_on
from arrayfab.roles import Reconciliation


def roles(
    adapter: Adapter,
    *,
    D: int | Mapping[str, int] | None = None,
    xp: ModuleType | None = None,
    dtype: Any = None,
    device: Any = None,
) -> dict[str, tuple[Reconciliation, Array]]:
    """What an adapter adds to the result of each module, as a role and its learned numbers.

    Parameters
    ----------
    adapter : Adapter
    D : int or mapping of str to int, optional
        Columns of the data of every module, or of each by its name. For VeRA only, whose files do not hold
        them, and there required.
    xp, dtype, device
        Where the numbers shall live: NumPy if left out, in the widest dtype of the adapter. Those that NumPy
        does not have itself, such as bfloat16, come as float32, which holds them exactly.

    Returns
    -------
    dict of str to tuple
        For each module a `arrayfab.Reconciliation` and its ``w``: ``role(x, w)`` is what the adapter adds to
        the module's result. That of a convolution acts on unfolded patches. VeRA's projections are handed in
        as frozen matrices.

    Raises
    ------
    ValueError
        If a module is changed by more than a product that is added to its result, or numbers are too large
        for the dtype.

    Examples
    --------
    >>> from arrayfab.adapters import read_adapter, roles
    >>> role, w = roles(read_adapter("my-lora"))["layers.0.self_attn.q_proj"]  # doctest: +SKIP
    >>> y = role(x, w)  # doctest: +SKIP
    """
    if adapter.biases or adapter.replaced:
        names = sorted([*adapter.biases, *adapter.replaced])
        raise ValueError(f"roles: the adapter has biases or tensors of its own, {short(repr(names))}")
    tensors = [_plain(array) for update in adapter.updates.values() for array in update.arrays()]
    place = partial(place_on, np.result_type(*tensors), _arrays.namespace(xp), dtype, device)
    made = {}
    for name, update in adapter.updates.items():
        owner = f"roles: module {short(repr(name))}"
        if not isinstance(update, Added):
            raise ValueError(f"{owner}: {update.family} changes the weights themselves; merge it")
        if name in adapter.embeddings:
            raise ValueError(f"{owner} is an embedding, which has no product with data")
        _check_attention(owner, name)
        n, columns = int(update.shape[0]), _columns(owner, name, update.shape[1], D)  # type: ignore[arg-type]
        held = {key: place(owner, _plain(array)) for key, array in update.tensors.items()}
        if columns > min((held[key].shape[1] for key in ("A",) if key in held), default=columns):
            raise ValueError(f"{owner}: A has {held['A'].shape[1]} columns, fewer than D={columns}")
        fabrication, blocks = replace(update, tensors=held).part(slice(0, n), columns)
        backend = _arrays.backend_of(owner, "its numbers", blocks[0])
        w = backend.xp.concat([backend.reshape(block, (-1,)) for block in blocks])
        made[name] = Reconciliation(fabrication=update.scale * fabrication, n=n, D=columns), w
    return made


def _plain(array: np.ndarray) -> np.ndarray:
    """Numbers in a dtype that NumPy has itself."""
    return array if array.dtype.kind == "f" and array.dtype.isbuiltin else array.astype(np.float32)


def _check_attention(owner: str, name: str) -> None:
    """ValueError where a module's result is not that of a product with the matrix that is adapted."""
    if f".{name}".endswith(".base_layer.out_proj"):
        raise ValueError(
            f"{owner} is the output projection of a torch.nn.MultiheadAttention: what is adapted with it is "
            "the projection of the attention's inputs, whose result is not the module's"
        )


def _columns(owner: str, name: str, columns: int | None, D: Any) -> int:
    if columns is not None:
        if D is not None:
            raise ValueError(f"{owner}: D must be left out, its numbers tell it; got {D!r}")
        return columns
    if D is None:
        raise ValueError(f"{owner}: D is needed, a VeRA file does not hold the columns of the data")
    if isinstance(D, Mapping):
        if name not in D:
            raise ValueError(f"{owner}: D has no entry for it, got {sorted(D)}")
        D = D[name]
    return as_size(owner, "D", D)
