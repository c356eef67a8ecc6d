"""PEFT's LoRA, VeRA and LoKr adapters, from the folder in which PEFT saves them.

The formulas are those of PEFT 0.21; what it computes for ``x`` beside the base layer is the role here.
Files are not trusted: nothing is unpickled, every tensor's shape and dtype is checked, and what has a
bearing on the product but no place in a role is an error.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.fabrications import LPHM, DualLPHM, Fabrication, Hypercomplex, LowRank, RandomMatrixAdaption
from arrayfab.fabrications.blueprint import as_size
from arrayfab.io.configuration import short
from arrayfab.io.reading import open_regular, spelled
from arrayfab.io.tensors import check_finite, place_on, read_tensors
from arrayfab.roles import Reconciliation

# Settings that only say how the adapter was made or trained. A setting that is neither among these nor
# read below must be off.
_HARMLESS = {
    *("auto_mapping", "base_model_name_or_path", "exclude_modules", "fan_in_fan_out", "inference_mode"),
    *("init_weights", "layers_pattern", "layers_to_transform", "peft_type", "peft_version", "revision"),
    *("runtime_config", "target_modules", "task_type"),
    *("eva_config", "lora_dropout", "megatron_core", "qalora_group_size"),
    *("d_initial", "projection_prng_key", "save_projection", "vera_dropout"),
    *("decompose_both", "decompose_factor", "module_dropout", "rank_dropout", "rank_dropout_scale"),
    "use_effective_conv2d",
}
_OFF: tuple = (None, False, "none", "", [], {})
_HARMLESS_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")  # others change the base weights
#: No configuration is longer.
_LONGEST = 1 << 24


def read_peft(
    folder: str | bytes | os.PathLike,
    *,
    D: int | Mapping[str, int] | None = None,
    xp: ModuleType | None = None,
    dtype: Any = None,
    device: Any = None,
) -> dict[str, tuple[Reconciliation, Array]]:
    """The roles of a saved PEFT adapter by the names of the modules that it adapts.

    Parameters
    ----------
    folder : str, bytes or path
        Holds ``adapter_config.json`` and ``adapter_model.safetensors``.
    D : int or mapping of str to int, optional
        Columns of the data of every module, or of each by its name. For VeRA only, which does not save
        them, and there required.
    xp, dtype, device
        Where the numbers shall live: NumPy if left out, in the widest dtype of the file. NumPy has no
        bfloat16: such numbers come as float32, which holds them exactly. What has to be multiplied out is
        so in float64.

    Returns
    -------
    dict of str to tuple
        For each module a `arrayfab.Reconciliation` and its ``w``: ``role(x, w)`` is what the adapter adds
        to the module's result. VeRA's projections are handed in as frozen matrices.

    Raises
    ------
    ValueError
        If the adapter is of another kind, if something in it cannot be expressed, or if a tensor is
        missing, left over, does not have the shape and dtype that it must have, or holds numbers that are
        infinite, NaN or too large for the dtype.
    OSError
        If there is no such adapter, or it cannot be read.
    ImportError
        If safetensors is missing.

    Examples
    --------
    >>> from arrayfab.io import read_peft
    >>> adapter = read_peft("my-lora")  # doctest: +SKIP
    >>> role, w = adapter["model.layers.0.self_attn.q_proj"]  # doctest: +SKIP
    >>> y = role(x, w)  # doctest: +SKIP
    """
    owner, place_of = spelled(folder), Path(os.fsdecode(folder))
    config = _read_config(place_of / "adapter_config.json")
    kind = config.get("peft_type")
    if not (isinstance(kind, str) and kind in _KINDS):
        raise ValueError(f"{owner}: peft_type must be one of {sorted(_KINDS)}, got {short(repr(kind))}")
    if D is not None and kind != "VERA":
        raise ValueError(f"{owner}: D must be left out for {kind}, whose tensors tell it; got {D!r}")
    names, build, read = _KINDS[kind]
    _check_settings(owner, config, read)
    shared, modules = _by_module(owner, read_tensors(_weights_of(place_of)), names)
    tensors = [*shared.values(), *(tensor for module in modules.values() for tensor in module.values())]
    place = partial(place_on, np.result_type(*tensors), _arrays.namespace(xp), dtype, device)
    shared = {name: place(f"{owner}: tensor {name}", tensor) for name, tensor in shared.items()}
    adapter = {}
    for name, found in modules.items():
        module = _Module(f"{owner}: module {short(repr(name))}", name, config, found)
        fabrication, blocks, n, columns = build(module, shared, D)
        module.check_empty()
        w = place(module.owner, np.concatenate([np.reshape(block, -1) for block in blocks]))
        _arrays.check_real_floating(module.owner, "w", w)
        adapter[name] = Reconciliation(fabrication=fabrication, n=n, D=columns), w
    return adapter


class _Module:
    """The tensors and settings of one adapted module; what is taken is checked."""

    def __init__(self, owner: str, name: str, config: dict, tensors: dict[str, np.ndarray]):
        self.owner, self._name, self._config, self._tensors = owner, name, config, tensors

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def take(self, name: str, *shape: int | None) -> np.ndarray:
        """A tensor of that shape, in which None stands for any length."""
        if name not in self._tensors:
            raise ValueError(f"{self.owner}: tensor {name} is missing, got {sorted(self._tensors)}")
        tensor = self._tensors.pop(name)
        _check_tensor(f"{self.owner}: tensor {name}", tensor, *shape)
        return tensor

    def check_empty(self):
        if self._tensors:
            raise ValueError(f"{self.owner}: tensors {sorted(self._tensors)} are one too many")

    def rank(self) -> int:
        r = self._setting("rank_pattern", "r")
        if not (_arrays.is_integer(r) and 0 < r <= sys.maxsize):
            raise ValueError(f"{self.owner}: r must be a positive integer, got {short(repr(r))}")
        return r

    def scale(self, name: str, root: bool = False) -> float:
        """``alpha / r``, or ``alpha / √r``."""
        alpha = self._setting("alpha_pattern", name)
        is_number = isinstance(alpha, int | float) and not isinstance(alpha, bool)
        if not (is_number and abs(alpha) <= sys.float_info.max):
            raise ValueError(f"{self.owner}: {name} must be a finite number, got {short(repr(alpha))}")
        return alpha / (math.sqrt(self.rank()) if root else self.rank())

    def is_on(self, name: str) -> bool:
        value = self._config.get(name, False)
        if not isinstance(value, bool):
            raise ValueError(f"{self.owner}: {name} must be true or false, got {short(repr(value))}")
        return value

    def _setting(self, patterns_name: str, name: str) -> Any:
        """The setting of this module: that of the first pattern to match, or the one for all.

        The first in the file, as for PEFT when it loads it; when PEFT saved it, it sorted them.
        """
        patterns = self._config.get(patterns_name) or {}
        if not isinstance(patterns, dict):
            raise ValueError(f"{self.owner}: {patterns_name} must be a mapping, got {short(repr(patterns))}")
        for pattern, value in patterns.items():
            try:
                if re.match(rf"(.*\.)?({pattern})$", self._name):
                    return value
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(
                    f"{self.owner}: {patterns_name} has {short(repr(pattern))}: {short(error)}"
                ) from error
        return patterns.get(self._name, self._config.get(name))


Built = tuple[Fabrication, list[np.ndarray], int, int]  # fabrication, learned blocks, n, D


def _lora(module: _Module, shared: dict[str, Array], D: None) -> Built:
    """``scale · B A``."""
    r = module.rank()
    B, A = module.take("lora_B.weight", None, r), module.take("lora_A.weight", r, None)
    scale = module.scale("lora_alpha", root=module.is_on("use_rslora"))
    return scale * LowRank(r=r), [B, A], B.shape[0], A.shape[1]


def _vera(module: _Module, shared: dict[str, Array], D: Any) -> Built:
    """``diag(b) B diag(d) A``, with ``B`` and ``A`` cut from those that all modules share."""
    if shared.keys() != {"vera_A", "vera_B"}:
        raise ValueError(
            f"{module.owner}: the projections vera_A and vera_B must be in the file, got {sorted(shared)}; "
            "save the adapter with save_projection=True"
        )
    r, columns, A, B = module.rank(), _columns(module, D), shared["vera_A"], shared["vera_B"]
    b, d = module.take("vera_lambda_b", None), module.take("vera_lambda_d", r)
    n = b.shape[0]
    if A.shape[0] != r or A.shape[1] < columns:
        raise ValueError(f"{module.owner}: vera_A must have shape ({r}, {columns} or more), got {A.shape}")
    if B.shape[0] < n or B.shape[1] != r:
        raise ValueError(f"{module.owner}: vera_B must have shape ({n} or more, {r}), got {B.shape}")
    transposed = _arrays.backend_of(module.owner, "vera_A", A).mT
    fabrication = RandomMatrixAdaption(r=r).with_frozen(A=B[:n, :], B=transposed(A[:, :columns]))
    return fabrication, [b, d], n, columns


def _lokr(module: _Module, shared: dict[str, Array], D: None) -> Built:
    """``scale · w1 ⊗ w2``, each of them full or a product of two."""
    r = module.rank()
    first, second = _factor(module, "lokr_w1", r), _factor(module, "lokr_w2", r)
    if len(second) == 1 < len(first):
        # No fabrication has but its first factor decomposed. The file's own dtype may be a narrow one.
        first = [first[0].astype(np.float64) @ first[1]]
    (p, q), (s, t) = ((factors[0].shape[0], factors[-1].shape[1]) for factors in (first, second))
    kind: Fabrication
    if len(second) == 1:
        kind = Hypercomplex(p=p, q=q)
    else:
        kind = LPHM(p=p, q=q, r=r) if len(first) == 1 else DualLPHM(p=p, q=q, r=r)
    return module.scale("alpha") * kind, first + second, p * s, q * t


def _factor(module: _Module, name: str, r: int) -> list[np.ndarray]:
    if name in module:
        return [module.take(name, None, None)]
    return [module.take(f"{name}_a", None, r), module.take(f"{name}_b", r, None)]


# The tensors of a module, how they make a role, and the settings that have a say in it.
_KINDS: dict[str, tuple[tuple[str, ...], Callable[..., Built], tuple[str, ...]]] = {
    "LORA": (
        ("lora_A.weight", "lora_B.weight"),
        _lora,
        ("r", "rank_pattern", "lora_alpha", "alpha_pattern", "use_rslora"),
    ),
    "VERA": (("vera_lambda_b", "vera_lambda_d"), _vera, ("r",)),
    "LOKR": (
        tuple(f"lokr_w{i}{part}" for i in (1, 2) for part in ("", "_a", "_b")),
        _lokr,
        ("r", "rank_pattern", "alpha", "alpha_pattern"),
    ),
}


def _read_config(path: Path) -> dict:
    try:
        with open_regular(path) as file:
            text = file.read(_LONGEST + 1)
        if len(text) > _LONGEST:
            raise ValueError(f"it is longer than {_LONGEST} bytes")
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{spelled(path)} is no JSON file: {short(error)}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{spelled(path)} must hold an object, got {type(config).__name__}")
    return config


def _weights_of(folder: Path) -> Path:
    path = folder / "adapter_model.safetensors"
    if not path.exists() and (folder / "adapter_model.bin").exists():
        raise ValueError(
            f"{spelled(folder)}: adapter_model.bin is a pickle, which may run code when it is read; convert "
            "it where you trust it: load it with PEFT, then save_pretrained(…, safe_serialization=True)"
        )
    return path


def _check_settings(owner: str, config: dict, read: tuple[str, ...]) -> None:
    start = config.get("init_lora_weights")
    if start not in _HARMLESS_STARTS:
        raise ValueError(
            f"{owner}: init_lora_weights={short(repr(start))} cannot be read: the adapter belongs to base "
            "weights that this start changed; convert it to a plain LoRA with PEFT"
        )
    for name, value in config.items():
        known = name in _HARMLESS or name in read or name == "init_lora_weights"
        if not known and value not in _OFF:
            raise ValueError(
                f"{owner}: {short(name)}={short(repr(value))} cannot be read, only an adapter without it"
            )


def _by_module(owner: str, tensors: dict[str, np.ndarray], names: tuple[str, ...]):
    """The shared tensors by name, and those of each module by its name."""
    shared: dict[str, np.ndarray] = {}
    modules: dict[str, dict[str, np.ndarray]] = {}
    for key, tensor in tensors.items():
        parent, _, last = key.rpartition(".")
        name = next((name for name in names if key.endswith("." + name)), None)
        if name is not None:
            module = key.removesuffix("." + name).removeprefix("base_model.model.")
            _check_module(f"{owner}: module {short(repr(module))}", module)
            if modules.setdefault(module, {}).setdefault(name, tensor) is not tensor:
                raise ValueError(f"{owner}: tensor {short(key)} is there twice, with and without a prefix")
        elif last in ("vera_A", "vera_B") and "vera_lambda_b" in names and parent == "base_model":
            _check_tensor(f"{owner}: tensor {short(key)}", tensor, None, None)
            shared[last] = tensor
        else:
            raise ValueError(f"{owner}: tensor {short(key)} cannot be read, a module may have {list(names)}")
    if not modules:
        raise ValueError(f"{owner}: the file has no module with {list(names)}")
    return shared, modules


def _check_module(owner: str, name: str) -> None:
    """ValueError where a module's result is not that of a product with the matrix that is adapted."""
    if f".{name}".endswith(".base_layer.out_proj"):
        raise ValueError(
            f"{owner} is the output projection of a torch.nn.MultiheadAttention: what is adapted with it is "
            "the projection of the attention's inputs, whose result is not the module's"
        )


def _check_tensor(owner: str, tensor: np.ndarray, *shape: int | None) -> None:
    """ValueError unless a tensor is of that shape, of real floating numbers, and finite."""
    fits = len(shape) == tensor.ndim and all(
        have > 0 and want in (None, have) for want, have in zip(shape, tensor.shape, strict=True)
    )
    if not fits:
        spelled = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"{owner} must have shape ({spelled}), got {tensor.shape}")
    if tensor.dtype.kind != "f":
        raise ValueError(f"{owner} must hold real floating numbers, got {tensor.dtype}")
    check_finite(owner, tensor)


def _columns(module: _Module, D: Any) -> int:
    if D is None:
        raise ValueError(f"{module.owner}: D is needed, a VeRA file does not hold the columns of the data")
    if isinstance(D, Mapping):
        if module._name not in D:
            raise ValueError(f"{module.owner}: D has no entry for it, got {sorted(D)}")
        D = D[module._name]
    return as_size(module.owner, "D", D)
