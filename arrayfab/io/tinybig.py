"""Vectors that tinybig trained, from its state dicts.

A state dict holds the vectors ``w``. Neither the formula nor the frozen matrices are in it, a hypernet's
network apart: both come from the function object that ``w`` belongs to.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab import tinybig as door
from arrayfab._arrays import Array
from arrayfab.io.configuration import short
from arrayfab.io.files import TensorFile, as_numpy_has_it
from arrayfab.io.tensors import check_finite, place_on
from arrayfab.roles import Reconciliation, Role
from arrayfab.tinybig._fabrication import frozen_names
from arrayfab.tinybig._roles import InRole

# The functions of which arrayfab computes what tinybig does, by its arrangement where there are two.
_BY_KRONECKER = ("hm", "lphm", "dual_lphm")
_RECONCILIATIONS = (
    "identity", "lorr", *_BY_KRONECKER, "random_matrix_adaption", "random_matrix_hypernet", "hypernet",
)  # fmt: skip
_ROLES = ("parameterized_interdependence", "parameterized_bilinear_interdependence")
_READ = (
    *(f"{key}_reconciliation" for key in _RECONCILIATIONS),
    *(
        kind + role
        for role in (*_ROLES, "parameterized_concatenation_fusion")
        for kind in ("", "lowrank_", *(f"{key}_" for key in _BY_KRONECKER), "random_matrix_adaption_")
    ),
)

# Where a hypernet's network has the frozen matrices.
_NETWORK = {"U": "0.weight", "a": "0.bias", "V": "2.weight", "c": "2.bias"}


def read_tinybig(
    state: Mapping[str, Array] | str | bytes | os.PathLike,
    functions: Mapping[str, Any],
    *,
    xp: ModuleType | None = None,
    dtype: Any = None,
    device: Any = None,
) -> dict[str, tuple[Role, Array]]:
    """The roles of a tinybig model by the keys of its state dict.

    Parameters
    ----------
    state : mapping of str to array, str, bytes or path
        The state dict: arrays of any namespace, PyTorch's tensors among them, or a safetensors file.
    functions : mapping of str to object or tuple
        For every key to read the function that its ``w`` belongs to: an interdependence or a fusion, or
        a reconciliation with the shape of its matrix, ``(function, n, D)``. It is tinybig's own object or
        one of the same name from `arrayfab.tinybig`; its attributes ``A``, ``B`` and so on are the frozen
        matrices with which ``w`` was trained, and have to be assigned where the object was made anew.
    xp, dtype, device
        Where the numbers shall live: NumPy in the widest dtype of the numbers if left out. NumPy has no
        bfloat16: such numbers come as float32, which holds them exactly.

    Returns
    -------
    dict of str to tuple
        For each key a role and its ``w``, of shape ``(l,)``, or ``(channels, l)`` where a head has several
        channels. A head's bias, ``b`` beside ``w``, is taken along.

    Raises
    ------
    ValueError
        If a function computes another matrix in tinybig than its page and arrayfab do, or is not known;
        if a key or a frozen matrix is missing, does not fit, or holds numbers that are infinite, NaN or too
        large for the dtype.
    OSError
        If the file cannot be read.
    TypeError
        If an array does not hold real floating numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab.io import read_tinybig
    >>> from arrayfab.tinybig import random_matrix_adaption_reconciliation
    >>> psi = random_matrix_adaption_reconciliation(r=2)
    >>> psi.A, psi.B = np.ones((3, 2)), np.ones((4, 2))
    >>> state = {"heads.0.w": np.ones((1, 5))}
    >>> role, w = read_tinybig(state, {"heads.0.w": (psi, 3, 4)})["heads.0.w"]
    >>> role(np.ones((1, 4)), w)
    array([[8., 8., 8.]])
    """
    if not isinstance(state, Mapping):
        state = {name: as_numpy_has_it(tensor.read()) for name, tensor in TensorFile(state).items()}
    where = _arrays.namespace(xp), dtype, device
    return {key: _entry(key, function, state, where) for key, function in functions.items()}


def _entry(key: str, function: Any, state: Mapping[str, Array], where: tuple) -> tuple[Role, Array]:
    function, *shape = function if isinstance(function, tuple) else (function,)
    ours = _counterpart(key, function)
    is_role = isinstance(ours, InRole)
    if len(shape) != (0 if is_role else 2):
        wanted = "the function alone" if is_role else "(function, n, D)"
        raise ValueError(f"{key}: functions must hold {wanted} for {type(function).__name__}")
    psi = ours._fabrication() if is_role else ours
    source = psi if "net" in psi._order else getattr(function, "parameter_fabrication", function)
    frozen = {name: _frozen(key, name, source, state) for name in frozen_names(psi._made_of)}
    w, bias = _vector(key, state, *shape[:1])
    xp, dtype, device = where
    place = partial(place_on, np.result_type(w, *frozen.values()), xp, dtype, device)
    psi._assign(**{name: place(f"{key}: {name}", matrix) for name, matrix in frozen.items()})
    w = place(key, w)
    _arrays.check_real_floating("read_tinybig", key, w)
    try:
        role = ours._role(getattr(ours, "dims", None), w) if is_role else _reconciliation(psi, shape, w, bias)
        length = role.num_parameters()
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error
    if w.shape[-1] != length:
        raise ValueError(f"{key} must hold {length} numbers for {role}, got {w.shape[-1]}")
    return role, w


def _counterpart(key: str, function: Any) -> Any:
    """`arrayfab.tinybig`'s object with the same hyper-parameters; of frozen matrices only a network's."""
    name = type(function).__name__
    if name not in _READ:
        raise ValueError(
            f"{key}: {name} cannot be read, only {list(_READ)}; duplicated_padding computes another matrix "
            "in tinybig than here"
        )
    cls = getattr(door, name)
    wanted = cls._order.keys() - {"static"}  # a network that learned is as frozen here
    given = {name: getattr(function, name) for name in wanted if hasattr(function, name)}
    if "arrangement" in wanted:  # what tinybig trained has only one
        given["arrangement"] = "reshaped"
    ours = cls(**given)
    if isinstance(ours, InRole) and not ours._is_plain():
        raise ValueError(f"{key}: pre- and postprocess functions are no part of a role, apply them outside")
    return ours


def _reconciliation(psi: Any, shape: list[int], w: Array, has_bias: bool) -> Reconciliation:
    n, D = shape
    return Reconciliation(fabrication=psi._at(n, D, w), n=n, D=D, bias=has_bias)


def _frozen(key: str, name: str, source: Any, state: Mapping[str, Array]) -> np.ndarray:
    """A frozen matrix on the host, from the state dict if it is there, else from the function."""
    found, label = None, f"{key}: {name}"
    if name in _NETWORK:
        label = _beside(key, f"parameter_fabrication.net.{_NETWORK[name]}")
        found = state.get(label)
    if found is None:
        # Once called, our own objects show the draws of their seeds there, which no w of tinybig met.
        is_ours = isinstance(source, door.fabrication)
        found = source._assigned.get(name) if is_ours else getattr(source, name, None)
    if found is None:
        raise ValueError(
            f"{key}: the frozen {name} of {type(source).__name__} is missing; no state dict holds it, "
            "assign the one with which w was trained"
        )
    matrix = _host(label, found)
    return matrix[None, :] if matrix.ndim == 1 else matrix


def _vector(key: str, state: Mapping[str, Array], n: int | None = None) -> tuple[np.ndarray, bool]:
    """``w``, with the bias of a reconciliation to ``n`` columns at its end where there is one."""
    if key not in state:
        raise ValueError(f"{key} is not in the state dict, which has {short(repr(sorted(state)))}")
    w = _host(key, state[key])
    if w.ndim != 2 or not w.shape[0]:
        raise ValueError(f"{key} must have shape (channels, l), got {w.shape}")
    place, has_bias = _beside(key, "b"), False
    if n is not None and key.rpartition(".")[2] == "w" and place in state:
        has_bias = True
        bias = _host(place, state[place])
        if bias.shape != (n,):
            raise ValueError(f"{place} must have shape ({n},), got {bias.shape}")
        w = np.concatenate([w, np.broadcast_to(bias, (w.shape[0], n))], axis=1)
    return (w[0] if w.shape[0] == 1 else w), has_bias


def _beside(key: str, name: str) -> str:
    """The key of another entry of the same head."""
    owner, dot, _ = key.rpartition(".")
    return owner + dot + name


def _host(owner: str, array: Array) -> np.ndarray:
    xp = _arrays.check_real_floating("read_tinybig", owner, array).xp
    if not hasattr(np, _arrays.dtype_name(array.dtype)):  # bfloat16 and narrower, which float32 holds exactly
        array = xp.astype(array, xp.float32)
    host = _arrays.to_host(array)
    check_finite(owner, host)
    return host
