"""The layout of diffusers: a safetensors file whose keys begin with the part of a pipeline they are for.

They are LoRAs, ``unet.….lora_A.weight``, or as older versions spelled it, ``….lora.down.weight`` and
``….processor.to_q_lora.down.weight``. The settings are PEFT's, as JSON in the file's metadata; where there
are none, ``….alpha`` is a tensor, or the scale is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from arrayfab.adapters.adapter import Adapter
from arrayfab.adapters.layouts.parts import by_module, inexpressible, rank_of, read_alone, write_files
from arrayfab.adapters.layouts.peft.reading import check_settings, read_lora, read_lora_bias
from arrayfab.adapters.layouts.peft.settings import Module
from arrayfab.adapters.layouts.peft.writing import lora_tensors, ranks_and_scales
from arrayfab.adapters.updates import Difference, DoRA, LoRA
from arrayfab.io.configuration import parse, short
from arrayfab.io.files import TensorFile
from arrayfab.io.reading import spelled

NAME = "diffusers"

_METADATA = "lora_adapter_metadata"

_SPELLED = {
    **{name: name for name in ("lora_A.weight", "lora_B.weight", "lora_B.bias", "lora_magnitude_vector")},
    "lora_magnitude_vector.weight": "lora_magnitude_vector",
    **{f"{stem}.down.weight": "lora_A.weight" for stem in ("lora", "lora_linear_layer")},
    **{f"{stem}.up.weight": "lora_B.weight" for stem in ("lora", "lora_linear_layer")},
    "alpha": "alpha",
}
_OLD = re.compile(r"^(.+\.)to_(q|k|v|out)_lora\.(down|up)\.weight$")


def is_here(path: Path) -> bool:
    """Whether a path is an adapter in this layout."""
    return path.suffix == ".safetensors" and any(
        _OLD.match(key) or key.endswith(tuple(f".{name}" for name in _SPELLED if name != "alpha"))
        for key in TensorFile(path)
    )


def read(path: Path, name: str | None = None) -> Adapter:
    """The adapter in a file, or what of it is for one part of a pipeline, such as ``"unet"``."""
    owner = spelled(path)
    tensors, metadata = read_alone(path)
    settings = _settings(owner, metadata)
    modules, others = by_module(owner, tensors, _split)
    if others:
        raise ValueError(
            f"{owner}: tensor {short(min(others))} cannot be read, a module may have {list(_SPELLED)}"
        )
    if name is not None:
        modules = {module: parts for module, parts in modules.items() if module.startswith(f"{name}.")}
        if not modules:
            raise ValueError(f"{owner}: the file holds nothing for {name!r}")
    updates, biases, kernels = {}, {}, {}
    for place, parts in modules.items():
        if kernel := parts.kernel("lora_A.weight"):
            kernels[place] = kernel
        module = _configured(owner, parts, settings)
        if (bias := read_lora_bias(module)) is not None:
            biases[place] = bias
        updates[place] = read_lora(module, {})
        module.check_empty()
    return Adapter(
        layout=NAME,
        updates=updates,
        biases=biases,
        kernels=kernels,
        config={_METADATA: settings} if settings else {},
    )


def _split(key: str) -> tuple[str, str] | None:
    key = key.replace(".processor.", ".")
    if match := _OLD.match(key):
        place, letter, end = match.groups()
        if key.startswith("text_encoder"):
            module = f"{place}{letter}_proj"
        else:
            module = f"{place}to_{letter}" + (".0" if letter == "out" else "")
        return module, "lora_A.weight" if end == "down" else "lora_B.weight"
    for name, spelling in _SPELLED.items():
        if key.endswith(f".{name}"):
            return key.removesuffix(f".{name}"), spelling
    return None


def _settings(owner, metadata):
    """The settings of each part of a pipeline."""
    if _METADATA not in metadata:
        return {}
    try:
        entries = parse(metadata[_METADATA])
        if not isinstance(entries, dict):
            raise ValueError("it is no object")
    except ValueError as error:
        raise ValueError(f"{owner}: {_METADATA} cannot be read: {short(error)}") from error
    settings: dict[str, dict] = {}
    for key, value in entries.items():
        part, _, setting = key.rpartition(".")
        settings.setdefault(part, {})[setting] = value
    for part, each in settings.items():
        check_settings(f"{owner}: {_METADATA} of {short(part)}", each, "LORA")
    return settings


def _configured(owner, parts, settings):
    """A module with its settings: those of the file, or else what its tensors tell."""
    part = max((part for part in settings if parts.name.startswith(f"{part}.")), key=len, default=None)
    alpha = parts.take_number("alpha")
    if part is not None:
        if alpha is not None:
            raise ValueError(f"{parts.owner}: tensor alpha is one too many, as the file's metadata has it")
        return Module(parts, settings[part], parts.name.removeprefix(f"{part}."))
    r = parts.rows("lora_A.weight")
    return Module(parts, {"r": r, "lora_alpha": r if alpha is None else alpha})


def write(adapter: Adapter, path: Path, dtype: np.dtype | None = None) -> None:
    """Write an adapter as a file; ValueError where diffusers cannot express it."""
    if adapter.replaced:
        raise ValueError(
            f"{spelled(path)}: {short(min(adapter.replaced))} cannot be written: diffusers replaces no tensor"
        )
    tensors: dict[str, np.ndarray] = {}
    ranks: dict[str, dict[str, int]] = {}
    scales: dict[str, dict[str, float]] = {}
    for name, bias in adapter.biases.items():
        if name not in adapter.updates:
            raise inexpressible(path, name, bias.family, "diffusers changes no bias alone")
    updates: Mapping[str, Any] = adapter.updates
    for name, update in updates.items():
        inner, own_bias = update.inner if isinstance(update, DoRA) else update, adapter.biases.get(name)
        why = _why_not(adapter, name, update, inner, own_bias)
        if why:
            raise inexpressible(path, name, update.family, why)
        for key, array in lora_tensors(update, own_bias, adapter.kernels.get(name, ()), False).items():
            tensors[f"{name}.{key}"] = array
        part, _, module = name.partition(".")
        ranks.setdefault(part, {})[module] = rank_of(inner.tensors)
        scales.setdefault(part, {})[module] = inner.scale
    entries: dict[str, Any] = {}
    for part, own in ranks.items():
        held = [name for name in adapter.updates if name.startswith(f"{part}.")]
        settings = ranks_and_scales(own, scales[part], "lora_alpha") | {
            "use_dora": isinstance(updates[held[0]], DoRA),
            "lora_bias": held[0] in adapter.biases,
            "target_modules": sorted(own),
        }
        entries |= {f"{part}.{setting}": value for setting, value in settings.items()}
    write_files(
        path, tensors, dtype, {"format": "pt", _METADATA: json.dumps(entries, indent=2, sort_keys=True)}
    )


def _why_not(adapter, name, update, inner, bias):
    """Why diffusers cannot express what is done to a module, None where it can."""
    if not isinstance(inner, LoRA):
        return "diffusers has LoRA alone"
    if isinstance(update, DoRA) and update.per != "row":
        return "diffusers has lengths of rows"
    if bias is not None and not (isinstance(bias, Difference) and bias.scale == inner.scale):
        return "diffusers adds to a bias with the weight's scale, and does no more to it"
    if name in adapter.embeddings or adapter.may_be_transposed:
        return "diffusers adapts no embeddings, and no weights that lie the other way round"
    part, _, module = name.partition(".")
    if not module:
        return "diffusers has a pipeline's part in front of every module's name"
    first = next(each for each in adapter.updates if each.startswith(f"{part}."))
    if isinstance(update, DoRA) != isinstance(adapter.updates[first], DoRA):
        return f"diffusers has lengths of all modules of {part} or of none"
    if (bias is None) != (first not in adapter.biases):
        return f"diffusers adds to all biases of {part} or to none"
    return None
