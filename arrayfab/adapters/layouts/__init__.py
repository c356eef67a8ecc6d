"""How the libraries of the field lay their adapters' files out.

Each module here has a ``NAME``, ``is_here(path)``, ``read(path, name=None)`` and ``write(adapter, path)``.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

from arrayfab.adapters.adapter import Adapter
from arrayfab.adapters.layouts import peft
from arrayfab.io.reading import spelled

#: The layouts by name, the most particular first.
LAYOUTS: dict[str, ModuleType] = {layout.NAME: layout for layout in (peft,)}


def read_adapter(path: str | bytes | os.PathLike, name: str | None = None) -> Adapter:
    """The adapter in a file or a folder, whichever of `LAYOUTS` it has.

    Parameters
    ----------
    path : str, bytes or path
    name : str, optional
        Of one of several adapters in a file.

    Raises
    ------
    ValueError
        If it has none of them, or holds what cannot be expressed.
    OSError
        If it cannot be read.
    """
    place = Path(os.fsdecode(path))
    for layout in LAYOUTS.values():
        if layout.is_here(place):
            return layout.read(place, name)
    raise ValueError(f"{spelled(place)} is an adapter in none of the layouts {list(LAYOUTS)}")
