"""LyCORIS's and kohya's files, written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from arrayfab.adapters.adapter import Adapter
from arrayfab.adapters.layouts.lycoris.reading import NAME, doubled
from arrayfab.adapters.layouts.parts import (
    as_number,
    folded,
    inexpressible,
    loha_tensors,
    lokr_tensors,
    narrowed,
    rank_of,
    scaled_by,
    wide,
    write_files,
)
from arrayfab.adapters.updates import BOFT, IA3, OFT, Added, Difference, DoRA, LoHa, LoKr, LoRA, Update
from arrayfab.io.configuration import short
from arrayfab.io.reading import spelled

Tensors = dict[str, np.ndarray]


def write(adapter: Adapter, path: Path, dtype: np.dtype | None = None) -> None:
    """Write an adapter as a file; ValueError where LyCORIS cannot express it."""
    if adapter.replaced:
        raise ValueError(
            f"{spelled(path)}: {short(min(adapter.replaced))} cannot be written: LyCORIS replaces no tensor"
        )
    tensors: Tensors = {}
    places = _places(adapter, path)
    for name, place in places.items():
        for key, array in _tensors_of(adapter, path, name).items():
            tensors[f"{place}.{key}"] = array
    metadata = adapter.config if adapter.layout == NAME else {}
    write_files(path, tensors, dtype, metadata)


def _places(adapter, path):
    """The modules as keys spell them."""
    names = list(dict.fromkeys((*adapter.updates, *adapter.biases)))
    has_two = any(name.startswith("text_encoder_2.") for name in names)
    parts = {
        "unet": "lora_unet",
        "transformer": "lora_transformer",
        "text_encoder": "lora_te1" if has_two else "lora_te",
        "text_encoder_2": "lora_te2",
        "text_encoder_3": "lora_te3",
    }

    def place(name):
        part, _, rest = name.partition(".")
        prefix, rest = (parts[part], rest) if part in parts and rest else ("lycoris", name)
        return f"{prefix}_{rest}".replace(".", "_")

    places: dict[str, str] = {}
    for name in names:
        if (other := {at: each for each, at in places.items()}.get(place(name))) is not None:
            raise _refusal(adapter, path, name, f"with underscores for dots it is the same as {short(other)}")
        places[name] = place(name)
    return places


def _refusal(adapter, path, name, why):
    held = adapter.updates.get(name) or adapter.biases[name]
    return inexpressible(path, name, held.family, why)


def _tensors_of(adapter: Adapter, path: Path, name: str) -> Tensors:
    update, bias, kernel = adapter.updates.get(name), adapter.biases.get(name), adapter.kernels.get(name, ())

    def refuse(why):
        return _refusal(adapter, path, name, why)

    if name in adapter.embeddings:
        raise refuse("LyCORIS adapts no embeddings")
    if adapter.may_be_transposed:
        raise refuse("in LyCORIS no weights lie the other way round, as with fan_in_fan_out")
    tensors: Tensors = {}
    if bias is not None:
        if not (isinstance(bias, Difference) and (update is None or isinstance(update, Difference))):
            raise refuse("LyCORIS adds to biases where it adds to the whole weight, and does no more to them")
        is_norm = update is not None and not kernel and update.shape[1] == 1
        tensors["b_norm" if is_norm else "diff_b"] = scaled_by(refuse, bias.scale, bias["delta"][:, 0])
    if update is None:
        return tensors
    if isinstance(update, DoRA):
        if not isinstance(update.inner, LoRA | LoHa | LoKr):
            raise refuse("LyCORIS has no lengths of it")
        tensors["dora_scale"] = _lengths(update, kernel, refuse)
        update = update.inner
    if type(update) not in _KINDS:
        raise refuse("LyCORIS has no such family")
    return tensors | _KINDS[type(update)](update, kernel, refuse)


def _lengths(update, kernel, refuse):
    m, ones = update["m"], (1,) * len(kernel)
    if update.per == "row":
        return m.reshape(-1, 1, *ones)
    if kernel != ones:
        raise refuse("LyCORIS has lengths of channels, and not of columns of a kernel")
    return m.reshape(1, -1, *ones)


def _lora(update: LoRA, kernel, refuse) -> Tensors:
    B, A = update["B"], update["A"]
    if kernel:
        B, A = folded(B, (1,) * len(kernel)), folded(A, kernel)
    return {"lora_up.weight": B, "lora_down.weight": A} | _alpha(update)


def _loha(update: LoHa, kernel, refuse) -> Tensors:
    return loha_tensors(update) | _alpha(update)


def _lokr(update: LoKr, kernel, refuse) -> Tensors:
    tensors = lokr_tensors(update, kernel)
    if "lokr_w1" in tensors and "lokr_w2" in tensors:  # where alpha has no say
        return tensors | {
            "lokr_w1": scaled_by(refuse, update.scale, tensors["lokr_w1"]),
            "alpha": as_number(1.0),
        }
    if len({update[name].shape[0] for name in ("B1", "B2") if name in update.tensors}) > 1:
        raise refuse("LyCORIS has one rank for both factors")
    return tensors | _alpha(update)


def _alpha(update: Added) -> Tensors:
    return {"alpha": as_number(update.scale * rank_of(update.tensors))}


def _ia3(update: IA3, kernel, refuse) -> Tensors:
    weight = narrowed(refuse, wide(update["v"]) - 1.0, update["v"])
    if kernel:
        weight = weight.reshape(1, -1, *(1 for _ in kernel))
    return {"weight": weight, "on_input": np.asarray(int(not update.of_results))}


def _full(update: Difference, kernel, refuse) -> Tensors:
    delta = scaled_by(refuse, update.scale, update["delta"])
    if kernel:
        return {"diff": folded(delta, kernel)}
    return {"w_norm": delta[:, 0]} if delta.shape[1] == 1 else {"diff": delta}


def _oft(update: OFT, kernel, refuse) -> Tensors:
    if not update.of_results:
        raise refuse("LyCORIS turns results, and this what comes in")
    if update.terms is not None or update.is_shared:
        raise refuse("LyCORIS has no Neumann series, and no block for all places")
    side = update.side
    blocks = np.zeros((update["skew"].shape[0], side, side), update["skew"].dtype)
    blocks[:, *np.triu_indices(side, 1)] = -update["skew"]
    return {"oft_blocks": blocks} | _turned(update, kernel)


def _boft(update: BOFT, kernel, refuse) -> Tensors:
    if not (update.of_results and update.is_riffled):
        raise refuse("LyCORIS turns results between permutations of its own")
    return {"oft_blocks": doubled(update["R"], 0.5)} | _turned(update, kernel)


def _turned(update, kernel):
    rescale = {"rescale": update["v"].reshape(-1, 1, *(1 for _ in kernel))} if "v" in update.tensors else {}
    return {"alpha": as_number(0.0)} | rescale


_KINDS: dict[type[Update], Callable[..., Tensors]] = {
    LoRA: _lora,
    LoHa: _loha,
    LoKr: _lokr,
    IA3: _ia3,
    Difference: _full,
    OFT: _oft,
    BOFT: _boft,
}
