"""Draws on an NVIDIA GPU, by one fused kernel for CuPy.

It has not yet run on a GPU; the suite compiles its source for the processor and holds it to NumPy's
numbers, bit by bit.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from arrayfab._arrays import Array
from arrayfab.frozen.laws import Bernoulli, Gaussian, Law, Rademacher, Uniform
from arrayfab.frozen.philox import words_by_arrays

_THREADS = 256
_MOST_BLOCKS = 1 << 16
_LAWS = [Uniform, Bernoulli, Rademacher, Gaussian]

SOURCE = Path(__file__).with_name("philox.cu")
#: For NVIDIA's compilers: every operation rounds by itself, as it does in arrays.
UNFUSED = "--fmad=false"


def definitions(law: type, real: str) -> list[str]:
    """The macros with which the source is compiled for entries of a law, in the C type ``real``."""
    laws = [f"-D{each.__name__.upper()}={i}" for i, each in enumerate(_LAWS)]
    return [*laws, f"-DLAW={_LAWS.index(law)}", f"-DREAL={real}"]


def draw(law: Law, key: tuple[int, int], start: int, stop: int, dtype: Any, device: Any) -> Array:
    """Entries ``start`` to ``stop`` as an array of CuPy, drawn on its device; no host transfer."""
    import cupy

    with cupy.cuda.Device(device):
        # Laws of someone else's, and GPUs that are not NVIDIA's, have no kernel.
        by_kernel = type(law) in _LAWS and not cupy.cuda.runtime.is_hip
        if by_kernel:
            numbers = _by_kernel(law, key, start, stop, dtype)
        else:
            numbers = by_arrays(law, key, start, stop, cupy)
        return numbers.astype(dtype, copy=False)


def by_arrays(law: Law, key: tuple[int, int], start: int, stop: int, xp: ModuleType) -> Array:
    """The entries in float64, by operations on arrays of ``xp``, which is CuPy or NumPy."""
    first, last = start // 4, -(-stop // 4)
    numbers = law.from_words(words_by_arrays(key, first, last - first, xp))
    return numbers[start - 4 * first : stop - 4 * first]


def _by_kernel(law, key, start, stop, dtype):
    import cupy

    real = "float" if dtype == np.float32 else "double"
    out = cupy.empty(stop - start, dtype=np.float32 if real == "float" else np.float64)
    blocks = min(-(-(stop // 4 - start // 4 + 1) // _THREADS), _MOST_BLOCKS)
    numbers = [np.uint64(each) for each in (start, stop, *key)]
    _kernel(type(law), real)((blocks,), (_THREADS,), (out, *numbers, np.float64(getattr(law, "p", 0.0))))
    return out


@lru_cache
def _kernel(law: type, real: str):
    import cupy

    module = cupy.RawModule(code=SOURCE.read_text(), options=(UNFUSED, *definitions(law, real)))
    return module.get_function("draw")
