"""The layout of mlx-lm: a folder with ``adapter_config.json`` and ``adapters.safetensors``.

``lora_a`` is of ``D × r`` and ``lora_b`` of ``r × n``; ``m`` are the lengths of DoRA. All modules have one
rank and one scale, which is not divided by the rank.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from arrayfab.adapters.adapter import Adapter
from arrayfab.adapters.layouts.parts import (
    by_module,
    check_tensor,
    inexpressible,
    rank_of,
    read_all,
    write_files,
)
from arrayfab.adapters.updates import DoRA, LoRA
from arrayfab.io.configuration import short
from arrayfab.io.reading import read_json, spelled

NAME = "mlx"

_NAMES = ("lora_a", "lora_b", "m")
_EMBEDDING = re.compile(r"(^|\.)(wte|word_embeddings|embed_tokens|tok_embeddings|embeddings?)$")
_LAYER = re.compile(r"^.*?\blayers\.\d+\.")


def is_here(path: Path) -> bool:
    """Whether a path is an adapter in this layout."""
    config = path / "adapter_config.json"
    return (
        path.is_dir()
        and config.exists()
        and not {"fine_tune_type", "lora_parameters"}.isdisjoint(read_json(config))
    )


def read(path: Path, name: str | None = None) -> Adapter:
    """The adapter in a folder, which holds one without a name."""
    owner, config = spelled(path), read_json(path / "adapter_config.json")
    if name is not None:
        raise ValueError(f"{owner}: the folder holds one adapter without a name, got {name!r}")
    tensors, _ = read_all(path / "adapters.safetensors")
    kind = config.get("fine_tune_type", "lora")
    if kind == "full":
        for key, tensor in tensors.items():
            check_tensor(f"{owner}: tensor {short(key)}", tensor, *tensor.shape)
        return Adapter(layout=NAME, updates={}, replaced=tensors, config=config)
    if kind not in ("lora", "dora"):
        raise ValueError(f"{owner}: fine_tune_type must be lora, dora or full, got {short(repr(kind))}")
    scale = _scale(owner, config.get("lora_parameters"))
    modules, others = by_module(owner, tensors, _split)
    if others:
        raise ValueError(
            f"{owner}: tensor {short(min(others))} cannot be read, a module may have {list(_NAMES)}"
        )
    updates, embeddings = {}, set()
    for module, parts in modules.items():
        a = parts.take("lora_a", None, None)
        b = parts.take("lora_b", a.shape[1], None)
        if _EMBEDDING.search(module):  # a row of whose weight is that of an entry
            embeddings.add(module)
            update = LoRA(tensors={"B": a, "A": b}, scale=scale)
        else:
            update = LoRA(tensors={"B": b.T, "A": a.T}, scale=scale)
        updates[module] = (
            DoRA(tensors={"m": parts.take("m", update.shape[0])}, inner=update) if kind == "dora" else update
        )
        parts.check_empty()
    return Adapter(layout=NAME, updates=updates, embeddings=frozenset(embeddings), config=config)


def _split(key: str) -> tuple[str, str] | None:
    module, _, name = key.rpartition(".")
    return (module, name) if module and name in _NAMES else None


def _scale(owner, parameters):
    scale = parameters.get("scale") if isinstance(parameters, dict) else None
    if not isinstance(scale, int | float) or isinstance(scale, bool) or not abs(scale) < np.inf:
        raise ValueError(f"{owner}: lora_parameters must have a finite scale, got {short(repr(scale))}")
    return float(scale)


def write(adapter: Adapter, path: Path, dtype: np.dtype | None = None) -> None:
    """Write an adapter as a folder; ValueError where mlx-lm cannot express it."""
    if adapter.replaced and (adapter.updates or adapter.biases):
        raise ValueError(
            f"{spelled(path)}: {short(min(adapter.replaced))} cannot be written: mlx-lm replaces "
            "tensors or updates them, not both"
        )
    tensors, config = (
        _lora(adapter, path) if adapter.updates else (adapter.replaced, {"fine_tune_type": "full"})
    )
    path.mkdir(parents=True, exist_ok=True)
    config = {"num_layers": -1, **(adapter.config if adapter.layout == NAME else {}), **config}
    text = json.dumps(config, indent=4, sort_keys=True).encode()
    write_files(
        path / "adapters.safetensors", tensors, dtype, {"format": "mlx"}, {path / "adapter_config.json": text}
    )


def _lora(adapter, path):
    tensors, settings = {}, {}
    for name, update in adapter.updates.items():
        inner, has_lengths = (update.inner, True) if isinstance(update, DoRA) else (update, False)
        why = _why_not(adapter, name, update, inner)
        if why is None:
            own = {"rank": rank_of(inner.tensors), "scale": inner.scale, "lengths": has_lengths}
            settings = settings or own
            differing = [setting for setting in own if own[setting] != settings[setting]]
            if differing:
                why = f"mlx-lm has one {differing[0]} for all modules, here {own} and {settings} before"
        if why is not None:
            raise inexpressible(path, name, update.family, why)
        a, b = (inner["B"], inner["A"]) if name in adapter.embeddings else (inner["A"].T, inner["B"].T)
        tensors |= {f"{name}.lora_a": a, f"{name}.lora_b": b}
        if has_lengths:
            tensors[f"{name}.m"] = update["m"]
    for name, bias in adapter.biases.items():
        raise inexpressible(path, name, bias.family, "mlx-lm adapts no bias")
    keys = sorted({_LAYER.sub("", name) for name in adapter.updates})
    parameters = {"rank": settings["rank"], "scale": settings["scale"], "dropout": 0.0, "keys": keys}
    return tensors, {
        "fine_tune_type": "dora" if settings["lengths"] else "lora",
        "lora_parameters": parameters,
    }


def _why_not(adapter, name, update, inner):
    """Why mlx-lm cannot express what is done to a module, None where it can."""
    if not isinstance(inner, LoRA):
        return "mlx-lm has LoRA alone"
    if isinstance(update, DoRA) and update.per != "row":
        return "mlx-lm has lengths of rows"
    if name in adapter.kernels or adapter.may_be_transposed:
        return "mlx-lm adapts no convolutions, and no weights that lie the other way round"
    if (name in adapter.embeddings) != bool(_EMBEDDING.search(name)):
        return "mlx-lm's files do not tell that it is an embedding"
    return None
