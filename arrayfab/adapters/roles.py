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
from arrayfab.adapters.update import Added, Update
from arrayfab.adapters.updates import Difference
from arrayfab.fabrications.blueprint import as_size
from arrayfab.io.configuration import short
from arrayfab.io.files import as_numpy_has_it
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
    TypeError
        If the dtype is not one of real floating numbers.

    Examples
    --------
    >>> from arrayfab.adapters import read_adapter, roles
    >>> role, w = roles(read_adapter("my-lora"))["layers.0.self_attn.q_proj"]  # doctest: +SKIP
    >>> y = role(x, w)  # doctest: +SKIP
    """
    if adapter.biases or adapter.replaced:
        names = sorted([*adapter.biases, *adapter.replaced])
        raise ValueError(
            f"roles: the adapter changes biases, or replaces tensors, which no product does; merge it: "
            f"{short(repr(names))}"
        )
    tensors = [as_numpy_has_it(array) for update in adapter.updates.values() for array in update.arrays()]
    widest = np.result_type(np.float16, *tensors)
    place = partial(place_on, widest, _arrays.namespace(xp), dtype, device)
    updates: Mapping[str, Any] = adapter.updates
    made = {}
    for name, update in updates.items():
        owner = f"roles: module {short(repr(name))}"
        _check(owner, name, update, adapter)
        n, columns = update.shape[0], _columns(owner, name, update, D)
        held = {
            key: place(f"{owner}: {key}", as_numpy_has_it(array)) for key, array in update.tensors.items()
        }
        fabrication, blocks = replace(update, tensors=held).part(slice(0, n), columns)
        backend = _arrays.check_real_floating(owner, "w", blocks[0])
        w = backend.xp.concat([backend.reshape(block, (-1,)) for block in blocks])
        made[name] = Reconciliation(fabrication=update.scale * fabrication, n=n, D=columns), w
    return made


def _check(owner: str, name: str, update: Update, adapter: Adapter) -> None:
    """ValueError unless what an update does is to add a product to the result of its module."""
    if not isinstance(update, Added):
        raise ValueError(f"{owner}: {update.family} changes the weights themselves; merge it")
    if name in adapter.embeddings:
        raise ValueError(f"{owner} is an embedding, which has no product with data")
    if isinstance(update, Difference) and update.shape[1] == 1:
        raise ValueError(
            f"{owner}: weights of one column, as a norm has, are no matrix of a product; merge it"
        )
    if f".{name}".endswith(".base_layer.out_proj"):
        raise ValueError(
            f"{owner} is the output projection of a torch.nn.MultiheadAttention: what is adapted with it is "
            "the projection of the attention's inputs, whose result is not the module's"
        )


def _columns(owner: str, name: str, update: Update, D: Any) -> int:
    columns = update.shape[1]
    if columns is not None:
        if D is not None:
            raise ValueError(f"{owner}: D must be left out, its numbers tell it; got {short(repr(D))}")
        return columns
    if D is None:
        raise ValueError(f"{owner}: D is needed, {update.family} does not hold the columns of the data")
    if isinstance(D, Mapping):
        if name not in D:
            raise ValueError(f"{owner}: D has no entry for it, got {short(repr(sorted(D)))}")
        D = D[name]
    columns, most = as_size(owner, "D", D), update["A"].shape[1]
    if columns > most:
        raise ValueError(f"{owner}: A has {most} columns, fewer than D={columns}")
    return columns
