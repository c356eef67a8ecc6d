"""What commands share: the types of their arguments, namespaces by name, and a bar."""

from __future__ import annotations

import argparse
import contextlib
import importlib
from functools import partial
from types import ModuleType

#: The modules of namespaces by the names that commands take.
NAMESPACES = {"numpy": "numpy", "cupy": "cupy", "torch": "torch", "jax": "jax.numpy"}
#: No whole number is larger.
_LARGEST = 1 << 40


def natural(text: str, least: int = 0) -> int:
    """A whole number from an argument."""
    if not (text.isdecimal() and len(text) <= 40 and least <= int(text) <= _LARGEST):
        raise argparse.ArgumentTypeError(
            f"expected a whole number from {least} to {_LARGEST}, got {text[:40]!r}"
        )
    return int(text)


def positive(text: str) -> int:
    """A whole number from an argument, one at least."""
    return natural(text, least=1)


def imported(name: str, hint: str) -> ModuleType:
    """A module; ImportError with a hint where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError(f"{name.partition('.')[0]} is not installed; {hint}") from None


def namespace(name: str) -> ModuleType:
    """One of `NAMESPACES`."""
    return imported(NAMESPACES[name], "choose another --namespace")


@contextlib.contextmanager
def bar(total: int | None = None):
    """What moves a bar on standard error, drawn where that is a terminal and rich is installed."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        console = None
    else:
        console = Console(stderr=True)
    # Older versions of rich end a bar that is disabled with an empty line.
    if console is None or not console.is_terminal:
        yield lambda **_: None
        return
    columns = (TextColumn("{task.description:24}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        yield partial(progress.update, progress.add_task("", total=total))
