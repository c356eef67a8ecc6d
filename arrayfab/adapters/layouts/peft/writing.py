"""PEFT's folders, written."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from arrayfab.adapters.adapter import Adapter
from arrayfab.adapters.layouts.parts import (
    folded,
    inexpressible,
    loha_tensors,
    lokr_tensors,
    rank_of,
    write_files,
)
from arrayfab.adapters.layouts.peft.lokr import lokr_settings
from arrayfab.adapters.updates import BOFT, IA3, OFT, Difference, DoRA, LoHa, LoKr, LoRA, Update, VeRA
from arrayfab.io.configuration import short
from arrayfab.io.reading import spelled

_PREFIX = "base_model.model."

# What says nothing of the numbers, and stays as it was read.
_KEPT = ("auto_mapping", "base_model_name_or_path", "revision", "task_type")

#: The tensors of a module by their names, and a configuration's entries.
Written = tuple[dict[str, np.ndarray], dict[str, Any]]


class _Writer:
    """An adapter on its way to a folder."""

    def __init__(self, adapter: Adapter, path: Path):
        self.adapter, self.path = adapter, path
        # As the functions below take them that are for their family.
        self.updates: Mapping[str, Any] = adapter.updates
        self.biases: Mapping[str, Any] = adapter.biases

    def refusal(self, name: str, why: str) -> ValueError:
        held = self.adapter.updates.get(name) or self.adapter.biases[name]
        return inexpressible(self.path, name, held.family, why)

    def same(self, settings: dict[str, Any], what: str) -> Any:
        """The one value that all modules have; ValueError where they differ."""
        first, value = next(iter(settings.items()))
        for name, other in settings.items():
            if other != value:
                raise self.refusal(
                    name, f"PEFT has one {what} for all modules, here {other}, of {short(first)} {value}"
                )
        return value

    def written(self) -> Written:
        """All tensors by their keys, and the configuration."""
        kind = self._kind()
        tensors, config = _KINDS[kind](self)
        biases, modules, replaced = self._replaced()
        config = {
            **{name: value for name, value in self.adapter.config.items() if name in _KEPT},
            "peft_type": kind,
            "inference_mode": True,
            "target_modules": sorted(self.adapter.updates),
            "modules_to_save": modules or None,
            "bias": biases,
            "fan_in_fan_out": self.adapter.may_be_transposed,
            **config,
        }
        return tensors | replaced, config

    def _kind(self):
        if not self.adapter.updates:
            raise ValueError(
                f"{spelled(self.path)}: PEFT has no adapter without a module, got {self.adapter!r}"
            )
        kinds = {name: _kind_of(update) for name, update in self.adapter.updates.items()}
        for name, kind in kinds.items():
            if kind is None:
                raise self.refusal(name, "PEFT has no such family")
        kind = self.same(kinds, "family")
        for name, bias in self.adapter.biases.items():
            update = self.adapter.updates.get(name)
            fits = isinstance(bias, Difference) if kind == "LORA" else bias is update and kind == "IA3"
            if update is None or not fits:
                raise self.refusal(name, "PEFT does no such thing to a bias")
        return kind

    def _replaced(self):
        modules = {name.removesuffix(".weight") for name in self.adapter.replaced if name.endswith(".weight")}
        has_biases, tensors = False, {}
        for name, tensor in self.adapter.replaced.items():
            module, _, last = name.rpartition(".")
            if last not in ("weight", "bias"):
                raise ValueError(
                    f"{spelled(self.path)}: PEFT cannot replace {short(name)}, but weights and biases alone"
                )
            has_biases |= module not in modules
            place = f"{module}.base_layer" if module in self.adapter.updates else module
            tensors[f"{_PREFIX}{place}.{last}"] = tensor
        return "all" if has_biases else "none", sorted(modules), tensors


def write(adapter: Adapter, path: Path, dtype: np.dtype | None = None) -> None:
    """Write an adapter as a folder; ValueError where PEFT cannot express it."""
    tensors, config = _Writer(adapter, path).written()
    path.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config, indent=2, sort_keys=True).encode()
    write_files(
        path / "adapter_model.safetensors",
        tensors,
        dtype,
        {"format": "pt"},
        {path / "adapter_config.json": text},
    )


def _kind_of(update: Update) -> str | None:
    if isinstance(update, DoRA):
        return "LORA" if isinstance(update.inner, LoRA) else None
    kinds = {LoRA: "LORA", LoHa: "LOHA", LoKr: "LOKR", VeRA: "VERA", IA3: "IA3", OFT: "OFT", BOFT: "BOFT"}
    return kinds.get(type(update))


def pattern(values: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The value that most modules have, and those of the others by patterns that match no other module."""
    usual = Counter(values.values()).most_common(1)[0][0]
    return usual, {f"^{re.escape(name)}": value for name, value in values.items() if value != usual}


def ranks_and_scales(ranks: dict[str, int], scales: dict[str, float], alpha: str) -> dict[str, Any]:
    """The settings that give these ranks, and ``alpha / r`` for scales."""
    r, rank_pattern = pattern(ranks)
    usual, alpha_pattern = pattern({name: ranks[name] * scale for name, scale in scales.items()})
    return {"r": r, "rank_pattern": rank_pattern, alpha: usual, "alpha_pattern": alpha_pattern}


def lora_tensors(
    update: LoRA | DoRA, bias: Update | None, kernel: tuple[int, ...], is_embedding: bool
) -> dict[str, np.ndarray]:
    """The tensors of a LoRA with PEFT's names."""
    inner = update.inner if isinstance(update, DoRA) else update
    B, A = inner["B"], inner["A"]
    if is_embedding:
        tensors = {"lora_embedding_A": B.T, "lora_embedding_B": A.T}
    else:
        B = folded(B, (1,) * len(kernel)) if kernel else B
        tensors = {"lora_B.weight": B, "lora_A.weight": folded(A, kernel) if kernel else A}
    if isinstance(update, DoRA):
        m = update["m"]
        tensors["lora_magnitude_vector"] = m.reshape(1, -1, *(1 for _ in kernel)) if kernel else m
    if bias is not None:
        tensors["lora_B.bias"] = bias["delta"].reshape(-1)
    return tensors


def _lora(writer: _Writer) -> Written:
    adapter, tensors = writer.adapter, {}
    has_lengths = {name: isinstance(update, DoRA) for name, update in writer.updates.items()}
    inner = {name: update.inner if has_lengths[name] else update for name, update in writer.updates.items()}
    for name, update in writer.updates.items():
        bias, is_embedding = writer.biases.get(name), name in adapter.embeddings
        if has_lengths[name] and update.per != ("column" if is_embedding else "row"):
            raise writer.refusal(name, f"PEFT has no lengths of each {update.per} there")
        if bias is not None and bias.scale != inner[name].scale:
            raise writer.refusal(name, "PEFT has one scale for a weight and its bias")
        tensors[name] = lora_tensors(update, bias, adapter.kernels.get(name, ()), is_embedding)
    ranks = {name: rank_of(each.tensors) for name, each in inner.items()}
    settings = ranks_and_scales(ranks, {name: each.scale for name, each in inner.items()}, "lora_alpha")
    settings["use_dora"] = writer.same(has_lengths, "use_dora")
    settings["lora_bias"] = writer.same({name: name in adapter.biases for name in inner}, "lora_bias")
    return _keyed(tensors), settings


def _loha(writer: _Writer) -> Written:
    updates = writer.updates
    tensors = {name: loha_tensors(update) for name, update in updates.items()}
    ranks = {name: rank_of(update.tensors) for name, update in updates.items()}
    return _keyed(tensors), ranks_and_scales(ranks, _scales(updates), "alpha")


def _lokr(writer: _Writer) -> Written:
    adapter = writer.adapter
    ranks, settings = lokr_settings(adapter, writer.refusal)
    tensors = {
        name: lokr_tensors(update, adapter.kernels.get(name, ())) for name, update in writer.updates.items()
    }
    return _keyed(tensors), settings | ranks_and_scales(ranks, _scales(writer.updates), "alpha")


def _vera(writer: _Writer) -> Written:
    updates = writer.updates
    A = max((update["A"] for update in updates.values()), key=lambda each: each.shape[1])
    B = max((update["B"] for update in updates.values()), key=lambda each: each.shape[0])
    for name, update in updates.items():
        if update.scale != 1.0:
            raise writer.refusal(name, f"PEFT has no scale of it, here {update.scale}")
        own = update["A"], update["B"]
        if own[0].shape[0] != A.shape[0] or not (
            np.array_equal(own[0], A[:, : own[0].shape[1]]) and np.array_equal(own[1], B[: own[1].shape[0]])
        ):
            raise writer.refusal(name, "its A or B is another than that of other modules")
    tensors = {
        name: {"vera_lambda_b": update["b"], "vera_lambda_d": update["d"]} for name, update in updates.items()
    }
    settings = {"r": A.shape[0], "save_projection": True, "projection_prng_key": 0}
    return _keyed(tensors) | {"base_model.vera_A": A, "base_model.vera_B": B}, settings


def _ia3(writer: _Writer) -> Written:
    tensors, of_inputs = {}, []
    for name, update in writer.updates.items():
        v, kernel = update["v"], writer.adapter.kernels.get(name, ())
        if update.of_results and writer.adapter.biases.get(name) is not update:
            raise writer.refusal(name, "PEFT scales the bias with the weight, and this leaves it alone")
        if not update.of_results:
            of_inputs.append(name)
        shape = (1, -1, *(1 for _ in kernel)) if kernel else (-1, 1) if update.of_results else (1, -1)
        tensors[name] = {"ia3_l": v.reshape(shape)}
    return _keyed(tensors), {"feedforward_modules": of_inputs}


def _oft(writer: _Writer) -> Written:
    updates = writer.updates
    for name, update in updates.items():
        if update.of_results or "v" in update.tensors:
            raise writer.refusal(name, "PEFT turns what comes in, and scales no result")
    settings = {
        "r": 0,
        "oft_block_size": writer.same({name: update.side for name, update in updates.items()}, "block size"),
        "block_share": writer.same(
            {name: update.is_shared for name, update in updates.items()}, "block_share"
        ),
    }
    terms = writer.same({name: update.terms for name, update in updates.items()}, "number of terms")
    settings["use_cayley_neumann"] = terms is not None
    if terms is not None:
        settings["num_cayley_neumann_terms"] = terms if terms == 3 else terms + 1
    return _keyed({name: {"oft_R.weight": update["skew"]} for name, update in updates.items()}), settings


def _boft(writer: _Writer) -> Written:
    updates, tensors = writer.updates, {}
    for name, update in updates.items():
        if update.of_results or "v" not in update.tensors:
            raise writer.refusal(name, "PEFT turns what comes in, and scales results")
        is_convolution = name in writer.adapter.kernels
        tensors[name] = {
            "boft_R": update["R"],
            "boft_s": update["v"].reshape((1, -1) if is_convolution else (-1, 1)),
        }
    shapes = {name: update["R"].shape for name, update in updates.items()}
    settings = {
        "boft_block_size": writer.same({name: shape[2] for name, shape in shapes.items()}, "block size"),
        "boft_block_num": 0,
        "boft_n_butterfly_factor": writer.same({n: shape[0] for n, shape in shapes.items()}, "depth"),
    }
    return _keyed(tensors), settings


def _scales(updates):
    return {name: update.scale for name, update in updates.items()}


def _keyed(tensors: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {
        f"{_PREFIX}{module}.{name}": array for module, held in tensors.items() for name, array in held.items()
    }


_KINDS: dict[str, Callable[[_Writer], Written]] = {
    "LORA": _lora,
    "LOHA": _loha,
    "LOKR": _lokr,
    "VERA": _vera,
    "IA3": _ia3,
    "OFT": _oft,
    "BOFT": _boft,
}
