"""How the libraries of the field lay their adapters' files out.

Each of them here has a ``NAME``, ``is_here(path)``, ``read(path, name=None)`` and
``write(adapter, path, dtype=None)``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from arrayfab.adapters.adapter import Adapter, renamed
from arrayfab.adapters.layouts import diffusers, lycoris, mlx, peft
from arrayfab.io.configuration import short
from arrayfab.io.files import dtype_of
from arrayfab.io.reading import spelled

#: The layouts by name, the most particular first. Kohya's is that of LyCORIS.
LAYOUTS: dict[str, ModuleType] = {
    **{layout.NAME: layout for layout in (peft, mlx, diffusers, lycoris)},
    "kohya": lycoris,
}

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def read_adapter(path: str | bytes | os.PathLike, name: str | None = None) -> Adapter:
    """The adapter in a file or a folder, whichever of ``LAYOUTS`` it has.

    Parameters
    ----------
    path : str, bytes or path
    name : str, optional
        Of one of several adapters in a file, or of the part of a pipeline, such as ``"unet"``, whose it is.

    Raises
    ------
    ValueError
        If it has none of them, or holds what cannot be expressed.
    OSError
        If it cannot be read.
    """
    place = Path(os.fsdecode(path))
    os.stat(place)
    if place.suffix in _PICKLES:
        raise ValueError(
            f"{spelled(place)} is a pickle, which may run code when it is read; convert it where you trust "
            "it: save what torch.load(…, weights_only=True) gives with safetensors.torch.save_file"
        )
    for layout in LAYOUTS.values():
        if layout.is_here(place):
            return layout.read(place, name)
    raise ValueError(f"{spelled(place)} is an adapter in none of the layouts {list(LAYOUTS)}")


def write_adapter(
    adapter: Adapter,
    path: str | bytes | os.PathLike,
    layout: str | None = None,
    dtype: str | None = None,
    names: Iterable[str] | None = None,
) -> None:
    """Write an adapter, of whichever layout it was, as one of ``LAYOUTS``.

    Parameters
    ----------
    adapter : Adapter
    path : str, bytes or path
        A folder for ``"peft"`` and ``"mlx"``, which is made where there is none, or else a file.
    layout : str, optional
        The one it was read from if left out.
    dtype : str, optional
        Of its tensors, such as ``"bfloat16"``. Left out, each keeps its own.
    names : iterable of str, optional
        Those of the base's tensors: the adapter's modules are named after them. An adapter whose names have
        underscores for dots needs them in all layouts but that of LyCORIS.

    Raises
    ------
    ValueError
        If the layout cannot express what is done to a module.
    OSError
        If it cannot be written.
    """
    layout = adapter.layout if layout is None else layout
    if layout not in LAYOUTS:
        raise ValueError(f"write_adapter: layout must be one of {list(LAYOUTS)}, got {short(repr(layout))}")
    place, module = Path(os.fsdecode(path)), LAYOUTS[layout]
    if names is not None:
        adapter = renamed(adapter, names)
    if adapter.is_flattened and module is not lycoris:
        raise ValueError(
            f"{spelled(place)}: the adapter's modules have underscores for dots, such as "
            f"{short(min((*adapter.updates, *adapter.biases)))}: give names=, those of the base's tensors"
        )
    module.write(adapter, place, None if dtype is None else dtype_of(dtype))
