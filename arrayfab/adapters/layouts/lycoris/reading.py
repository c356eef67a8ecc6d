"""LyCORIS's and kohya's files, read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from arrayfab.adapters.adapter import Adapter
from arrayfab.adapters.layouts.parts import (
    Parts,
    by_module,
    loha_factors,
    lokr_factors,
    mixed,
    narrowed,
    read_alone,
    wide,
)
from arrayfab.adapters.updates import BOFT, IA3, OFT, Difference, DoRA, LoHa, LoKr, LoRA, Update
from arrayfab.io.configuration import short
from arrayfab.io.files import TensorFile
from arrayfab.io.reading import spelled

NAME = "lycoris"

# The parts of a pipeline by the prefixes of keys; LyCORIS has one of its own for any model.
_PARTS = {
    "lora_unet_": "unet.",
    "lora_transformer_": "transformer.",
    "lora_te_": "text_encoder.",
    "lora_te1_": "text_encoder.",
    "lora_te2_": "text_encoder_2.",
    "lora_te3_": "text_encoder_3.",
    "lycoris_": "",
}

_PARTICULAR = (
    *("lora_up.weight", "lora_down.weight", "lora_mid.weight", "dora_scale"),
    *(f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")),
    *(f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")),
    *("on_input", "diff", "diff_b", "oft_blocks", "rescale", "w_norm", "b_norm"),
)
_NAMES = (*_PARTICULAR, "alpha", "weight")
_KERNELS = (
    "lora_mid.weight",
    "lora_down.weight",
    "hada_t1",
    "lokr_t2",
    "lokr_w2",
    "diff",
    "weight",
    "dora_scale",
    "rescale",
)


def is_here(path: Path) -> bool:
    """Whether a path is an adapter in this layout."""
    return path.suffix == ".safetensors" and any(
        key.endswith(tuple(f".{name}" for name in _PARTICULAR)) for key in TensorFile(path)
    )


def read(path: Path, name: str | None = None) -> Adapter:
    """The adapter in a file, or what of it is for one part of a pipeline, such as ``"unet"``."""
    owner = spelled(path)
    tensors, metadata = read_alone(path)
    is_flattened = not any("." in place for place, _ in filter(None, map(_split, tensors)))
    modules, others = by_module(owner, tensors, lambda key: _named(key, is_flattened))
    if others:
        raise ValueError(
            f"{owner}: tensor {short(min(others))} cannot be read, a module may have {list(_NAMES)}"
        )
    if name is not None:
        modules = _of_part(owner, modules, name)
    updates, biases, kernels = {}, {}, {}
    for module, parts in modules.items():
        if kernel := parts.kernel(*_KERNELS):
            kernels[module] = kernel
        if bias := _bias(parts):
            biases[module] = bias
        if update := _update(parts, has_bias=bias is not None):
            updates[module] = update
        parts.check_empty()
    return Adapter(
        layout=NAME,
        updates=updates,
        biases=biases,
        kernels=kernels,
        is_flattened=is_flattened,
        config=metadata,
    )


def _split(key: str) -> tuple[str, str] | None:
    for name in _NAMES:
        if key.endswith(f".{name}"):
            return key.removesuffix(f".{name}"), name
    return None


def _named(key, is_flattened):
    place = _split(key)
    if place is None or not is_flattened:
        return place
    module, name = place
    prefix = next((prefix for prefix in _PARTS if module.startswith(prefix)), "")
    return _PARTS.get(prefix, "") + module.removeprefix(prefix), name


def _of_part(owner, modules, part):
    found = {module: parts for module, parts in modules.items() if module.startswith(f"{part}.")}
    if not found:
        have = sorted({module.partition(".")[0] for module in modules if "." in module})
        raise ValueError(f"{owner}: the file holds nothing for {part!r}, only {have or 'one model'}")
    return found


def _update(parts: Parts, has_bias: bool) -> Update | None:
    for name, build in _BUILDERS.items():
        if name in parts:
            update = build(parts)
            if "dora_scale" in parts and isinstance(update, LoRA | LoHa | LoKr):
                return _with_lengths(parts, update)
            return update
    if has_bias:
        return None
    raise ValueError(f"{parts.owner}: expected a tensor of {sorted(_BUILDERS)}")


def _scale(parts: Parts, r: int) -> float:
    """``alpha / r``: one where there is no ``alpha``, or none is meant."""
    return (parts.take_number("alpha") or r) / r


def _lora(parts: Parts) -> Update:
    r = parts.rows("lora_down.weight")
    B, down = parts.take_matrix("lora_up.weight", None, r), parts.take_matrix("lora_down.weight", r)
    if "lora_mid.weight" in parts:
        down = mixed(
            parts.refusal, parts.take("lora_mid.weight", r, r, *parts.kernel("lora_mid.weight")), down
        )
    return LoRA(tensors={"B": B, "A": down}, scale=_scale(parts, r))


def _loha(parts: Parts) -> Update:
    r = parts.rows("hada_w1_b")
    return LoHa(tensors=loha_factors(parts, r), scale=_scale(parts, r))


def _lokr(parts: Parts) -> Update:
    if "lokr_w1" in parts and "lokr_w2" in parts:  # both of them full: alpha has no say
        parts.take_number("alpha")
        return LoKr(tensors=lokr_factors(parts, 1))
    r = parts.rows("lokr_w2_b" if "lokr_w1" in parts else "lokr_w1_b")
    return LoKr(tensors=lokr_factors(parts, r), scale=_scale(parts, r))


def _with_lengths(parts, update):
    shape = parts.shape("dora_scale")
    is_by_row = shape[:1] == update.shape[:1] and max(shape[1:], default=1) == 1
    expected = update.shape[0 if is_by_row else 1]
    if not is_by_row and len(shape) > 2 and shape[1] != expected:
        raise ValueError(
            f"{parts.owner}: dora_scale of shape {shape} cannot be read, only lengths of rows or of columns: "
            "these are of channels, each of which has several columns of a kernel"
        )
    m = parts.take_vector("dora_scale", expected)
    return DoRA(tensors={"m": m}, inner=update, per="row" if is_by_row else "column")


def _ia3(parts: Parts) -> Update:
    of_results, shape = not parts.take_number("on_input"), parts.shape("weight")
    weight = parts.take_vector("weight")
    v = narrowed(parts.refusal, 1.0 + wide(weight), weight)
    return IA3(tensors={"v": v}, of_results=of_results, is_by_channel=len(shape) > 2 and not of_results)


def _full(parts: Parts) -> Update:
    name = "diff" if "diff" in parts else "w_norm"
    if len(parts.shape(name)) == 1:
        return Difference(tensors={"delta": parts.take(name, None)[:, None]})
    return Difference(tensors={"delta": parts.take_matrix(name)})


def _bias(parts: Parts) -> Update | None:
    name = next((name for name in ("diff_b", "b_norm") if name in parts), None)
    return Difference(tensors={"delta": parts.take(name, None)[:, None]}) if name else None


def _oft(parts: Parts) -> Update:
    shape = parts.shape("oft_blocks")
    if len(shape) not in (3, 4):
        raise ValueError(f"{parts.owner}: tensor oft_blocks must have three or four axes, got shape {shape}")
    if len(shape) == 4:
        blocks = parts.take_butterfly("oft_blocks")
    else:
        blocks = parts.take("oft_blocks", None, None, shape[-2])
    skew = wide(blocks) - np.swapaxes(wide(blocks), -1, -2)
    size = shape[-3] * shape[-2]
    longest, length = (parts.take_number("alpha") or 0.0) * size, np.linalg.norm(skew) + 1e-8
    shrunk = longest / length if 0.0 < longest < length else 1.0
    tensors = {"v": parts.take_vector("rescale", size)} if "rescale" in parts else {}
    if len(shape) == 4:  # of R, the fabrication takes (R - Rᵀ) / 2
        R = doubled(blocks) if shrunk == 1.0 else narrowed(parts.refusal, shrunk * skew, blocks)
        return BOFT(tensors={"R": R, **tensors}, of_results=True, is_riffled=True)
    # Its transpose multiplies, which is that of the negative.
    skew = narrowed(parts.refusal, -shrunk * skew[:, *np.triu_indices(shape[-1], 1)], blocks)
    return OFT(tensors={"skew": skew, **tensors}, of_results=True)


def doubled(array: np.ndarray, times: float = 2.0) -> np.ndarray:
    """Numbers times a power of two, which rounds none of them."""
    return (times * wide(array)).astype(array.dtype)


_BUILDERS: dict[str, Callable[[Parts], Update]] = {
    "lora_up.weight": _lora,
    "hada_w1_a": _loha,
    "lokr_w1": _lokr,
    "lokr_w1_a": _lokr,
    "on_input": _ia3,
    "diff": _full,
    "w_norm": _full,
    "oft_blocks": _oft,
}
