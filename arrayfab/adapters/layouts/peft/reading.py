"""PEFT's folders, read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from arrayfab.adapters.adapter import Adapter
from arrayfab.adapters.layouts.parts import (
    SeveralAdapters,
    by_module,
    check_tensor,
    loha_factors,
    lokr_factors,
    narrowed,
    read_all,
    wide,
)
from arrayfab.adapters.layouts.peft.settings import Module
from arrayfab.adapters.updates import BOFT, IA3, OFT, Difference, DoRA, LoHa, LoKr, LoRA, Update, VeRA
from arrayfab.io.configuration import short
from arrayfab.io.reading import read_json, spelled

NAME = "peft"

# Settings that only say how the adapter was made or trained. A setting that is neither among these nor
# read below must be off.
_HARMLESS = {
    *("auto_mapping", "base_model_name_or_path", "exclude_modules", "inference_mode"),
    *("init_weights", "layers_pattern", "layers_to_transform", "peft_type", "peft_version", "revision"),
    *("runtime_config", "target_modules", "task_type", "modules_to_save", "bias", "fan_in_fan_out"),
    *("eva_config", "lora_dropout", "megatron_core", "qalora_group_size"),
    *("d_initial", "projection_prng_key", "save_projection", "vera_dropout"),
    *("decompose_both", "decompose_factor", "module_dropout", "rank_dropout", "rank_dropout_scale"),
    *("use_effective_conv2d", "rank_dropout", "init_ia3_weights", "feedforward_modules"),
    *("boft_dropout", "boft_block_size", "boft_block_num", "boft_n_butterfly_factor"),
    *("oft_block_size",),
}
_OFF: tuple = (None, False, "none", "", [], {})
_HARMLESS_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")  # others change the base weights
_PREFIX = "base_model.model."
_MOST_TERMS = 100


Shared = dict[str, np.ndarray]


def read_lora(module: Module, shared: Shared) -> Update:
    """``lora_B lora_A``, with the lengths of DoRA where there are any."""
    r, is_embedding = module.rank(), "lora_embedding_A" in module
    if is_embedding:  # whose weight is the transpose of the matrix that is adapted
        A, B = module.take("lora_embedding_A", r, None), module.take("lora_embedding_B", None, r)
        tensors = {"B": A.T, "A": B.T}
    else:
        B, A = module.take_matrix("lora_B.weight", None, r), module.take_matrix("lora_A.weight", r, None)
        tensors = {"B": B, "A": A}
    update = LoRA(tensors=tensors, scale=module.scale("lora_alpha", root=module.is_on("use_rslora")))
    if not module.is_on("use_dora", default="lora_magnitude_vector" in module):
        return update
    m = module.take_vector("lora_magnitude_vector", update.shape[1 if is_embedding else 0])
    return DoRA(tensors={"m": m}, inner=update, per="column" if is_embedding else "row")


def _loha(module: Module, shared: Shared) -> Update:
    return LoHa(tensors=loha_factors(module, module.rank()), scale=module.scale("alpha"))


def _lokr(module: Module, shared: Shared) -> Update:
    return LoKr(tensors=lokr_factors(module, module.rank()), scale=module.scale("alpha"))


def _vera(module: Module, shared: Shared) -> Update:
    if shared.keys() != {"vera_A", "vera_B"}:
        raise ValueError(
            f"{module.owner}: the projections vera_A and vera_B must be in the file, got {sorted(shared)}; "
            "save the adapter with save_projection=True"
        )
    r, A, B = module.rank(), shared["vera_A"], shared["vera_B"]
    b, d = module.take("vera_lambda_b", None), module.take("vera_lambda_d", r)
    n = b.shape[0]
    if A.shape[0] != r:
        raise ValueError(f"{module.owner}: vera_A must have {r} rows, got shape {A.shape}")
    if B.shape[0] < n or B.shape[1] != r:
        raise ValueError(f"{module.owner}: vera_B must have shape ({n} or more, {r}), got {B.shape}")
    return VeRA(tensors={"A": A, "B": B[:n, :], "b": b, "d": d})


def _ia3(module: Module, shared: Shared) -> Update:
    shape = module.shape("ia3_l")
    v = module.take_vector("ia3_l")
    if len(shape) > 2:  # of a convolution, always as (1, any, 1, 1)
        of_results = not module.is_among("feedforward_modules")
        return IA3(tensors={"v": v}, of_results=of_results, is_by_channel=not of_results)
    return IA3(tensors={"v": v}, of_results=shape[-1] == 1)


def _oft(module: Module, shared: Shared) -> Update:
    is_shared = module.is_on("block_share")
    skew = module.take("oft_R.weight", 1 if is_shared else None, None)
    if (side := OFT(tensors={"skew": skew}).side) * (side - 1) != 2 * skew.shape[1]:
        raise ValueError(f"{module.owner}: no block has {skew.shape[1]} numbers above its diagonal")
    if module.is_on("coft"):
        # Constrained: no block of skew-symmetric numbers is longer than so much.
        longest = module.number("eps", 6e-5) / math.sqrt(skew.shape[0])
        length = math.sqrt(2.0) * np.linalg.norm(wide(skew), axis=1, keepdims=True)
        skew = narrowed(
            module.refusal, wide(skew) * np.minimum(1.0, longest / np.maximum(length, longest)), skew
        )
    terms = None
    if module.is_on("use_cayley_neumann"):
        count = int(module.number("num_cayley_neumann_terms", 5))
        if not 3 <= count <= _MOST_TERMS:
            raise ValueError(
                f"{module.owner}: num_cayley_neumann_terms={count} cannot be read, only 3 to {_MOST_TERMS}"
            )
        terms = max(3, count - 1)
    return OFT(tensors={"skew": skew}, is_shared=is_shared, terms=terms)


def _boft(module: Module, shared: Shared) -> Update:
    R = module.take_butterfly("boft_R")
    return BOFT(tensors={"R": R, "v": module.take_vector("boft_s")})


# The tensors of a module, what they make, and the settings that have a say in it.
_KINDS: dict[str, tuple[tuple[str, ...], Callable[[Module, Shared], Update], tuple[str, ...]]] = {
    "LORA": (
        (
            *("lora_A.weight", "lora_B.weight", "lora_embedding_A", "lora_embedding_B"),
            *("lora_magnitude_vector", "lora_B.bias"),
        ),
        read_lora,
        ("r", "rank_pattern", "lora_alpha", "alpha_pattern", "use_rslora", "use_dora", "lora_bias"),
    ),
    "LOHA": (
        tuple(f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")),
        _loha,
        ("r", "rank_pattern", "alpha", "alpha_pattern"),
    ),
    "LOKR": (
        tuple(f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")),
        _lokr,
        ("r", "rank_pattern", "alpha", "alpha_pattern"),
    ),
    "VERA": (("vera_lambda_b", "vera_lambda_d"), _vera, ("r",)),
    "IA3": (("ia3_l",), _ia3, ()),
    "OFT": (
        ("oft_R.weight",),
        _oft,
        ("r", "coft", "eps", "block_share", "use_cayley_neumann", "num_cayley_neumann_terms"),
    ),
    "BOFT": (("boft_R", "boft_s"), _boft, ()),
}


def is_here(path: Path) -> bool:
    """Whether a path is an adapter in this layout."""
    return (
        path.is_dir()
        and (path / "adapter_config.json").exists()
        and "peft_type" in read_json(path / "adapter_config.json")
    )


def read(path: Path, name: str | None = None) -> Adapter:
    """The adapter in a folder; of several in one file the one of that name."""
    owner, config = spelled(path), read_json(path / "adapter_config.json")
    kind = config.get("peft_type")
    if not (isinstance(kind, str) and kind in _KINDS):
        raise ValueError(f"{owner}: peft_type must be one of {sorted(_KINDS)}, got {short(repr(kind))}")
    names, build, _ = _KINDS[kind]
    check_settings(owner, config, kind)
    tensors = _of_adapter(owner, read_all(_weights_of(path))[0], names, name)
    modules, others = by_module(owner, tensors, lambda key: _split(key, names))
    if not modules:
        raise ValueError(f"{owner}: the file has no module with {list(names)}")
    shared, replaced = _others(owner, kind, names, others, modules)
    _check_saved(owner, config.get("modules_to_save"), replaced)
    updates, biases, kernels, embeddings = {}, {}, {}, set()
    for module_name, parts in modules.items():
        module = Module(parts, config)
        if kernel := _kernel(module):
            kernels[module_name] = kernel
        if "lora_embedding_A" in module:
            embeddings.add(module_name)
        bias = read_lora_bias(module)
        update = updates[module_name] = build(module, shared)
        if isinstance(update, IA3) and update.of_results:
            bias = update  # what is scaled is the result, to which the bias belongs
        if bias is not None:
            biases[module_name] = bias
        module.check_empty()
    return Adapter(
        layout=NAME,
        updates=updates,
        biases=biases,
        replaced=replaced,
        kernels=kernels,
        embeddings=frozenset(embeddings),
        may_be_transposed=bool(config.get("fan_in_fan_out")),
        config=config,
    )


def _kernel(module):
    if module.shape("boft_s")[:1] == (1,):  # a convolution's, whose kernel has two axes
        return 1, 1
    return module.kernel("lora_A.weight", "lokr_w2", "lokr_t2", "hada_t1", "ia3_l")


def read_lora_bias(module: Module) -> Update | None:
    """What a bias of ``lora_B`` adds, None where there is none."""
    if not module.is_on("lora_bias", default="lora_B.bias" in module):
        return None
    scale = module.scale("lora_alpha", root=module.is_on("use_rslora"))
    return Difference(tensors={"delta": module.take("lora_B.bias", None)[:, None]}, scale=scale)


def _others(owner, kind, names, tensors, modules):
    """The tensors that all modules share, and those that take the place of the base's."""
    shared, replaced = {}, {}
    for key, tensor in tensors.items():
        place, _, last = key.removeprefix(_PREFIX).rpartition(".")
        if kind == "VERA" and key in ("base_model.vera_A", "base_model.vera_B"):
            check_tensor(f"{owner}: tensor {short(key)}", tensor, None, None)
            shared[last] = tensor
            continue
        if last not in ("weight", "bias") or any(name in key for name in ("lora_", "hada_", "lokr_")):
            raise ValueError(f"{owner}: tensor {short(key)} cannot be read, a module may have {list(names)}")
        check_tensor(f"{owner}: tensor {short(key)}", tensor, *tensor.shape)
        module = place.removesuffix(".base_layer")
        # The weight of an adapted embedding is saved with it, as it was: training leaves it alone.
        if last == "weight" and module != place and module in modules:
            continue
        if replaced.setdefault(f"{module}.{last}", tensor) is not tensor:
            raise ValueError(f"{owner}: tensor {short(key)} is there twice, under two spellings")
    return shared, replaced


def _check_saved(owner, modules, replaced):
    """ValueError where none of the modules that were saved whole is there: PEFT names some that may be."""
    if modules in _OFF:
        return
    if not (isinstance(modules, list) and all(isinstance(module, str) for module in modules)):
        raise ValueError(f"{owner}: modules_to_save must be a list of names, got {short(repr(modules))}")
    if not any(module in name for name in replaced for module in modules):
        raise ValueError(f"{owner}: modules_to_save={short(repr(modules))} has no tensors in the file")


def _split(key: str, names: tuple[str, ...]) -> tuple[str, str] | None:
    for name in names:
        for spelling in (name, f"{name}.weight"):
            if key.endswith("." + spelling):
                return key.removesuffix("." + spelling).removeprefix(_PREFIX), name
    return None


def _of_adapter(owner, tensors, names, wanted):
    """The tensors of one adapter, without its name in their keys: ``lora_A.default.weight``."""
    stems = "|".join(sorted({re.escape(name.split(".")[0]) for name in names}))
    pattern = re.compile(rf"^(.*\.(?:{stems}))\.(?!weight$|bias$)([^.]+)(\.weight|\.bias)?$")
    found: dict[str | None, dict[str, np.ndarray]] = {}
    for key, tensor in tensors.items():
        match = pattern.match(key)
        stem, adapter, end = match.groups() if match else (key, None, "")
        found.setdefault(adapter, {})[stem + (end or "")] = tensor
    several = sorted(name for name in found if name is not None)
    if wanted is None and len(several) > 1:
        raise SeveralAdapters(owner, several)
    if wanted is not None and wanted not in several:
        raise ValueError(
            f"{owner}: the file holds no adapter named {short(repr(wanted))}, only "
            + (short(repr(several)) if several else "one without")
        )
    return {**found.get(None, {}), **found.get(wanted or (several[0] if several else None), {})}


def _weights_of(folder: Path) -> Path:
    path = folder / "adapter_model.safetensors"
    if not path.exists() and (folder / "adapter_model.bin").exists():
        raise ValueError(
            f"{spelled(folder)}: adapter_model.bin is a pickle, which may run code when it is read; convert "
            "it where you trust it: load it with PEFT, then save_pretrained(…, safe_serialization=True)"
        )
    return path


def check_settings(owner: str, config: dict, kind: str) -> None:
    """ValueError unless all settings of such an adapter are read, harmless or off."""
    start, read, bias = config.get("init_lora_weights"), _KINDS[kind][2], config.get("bias")
    if bias not in (None, "none", "all", f"{kind.lower()}_only"):
        raise ValueError(f"{owner}: bias={short(repr(bias))} cannot be read")
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
