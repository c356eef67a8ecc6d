"""Files that are read without trust in what stands behind their path."""

from __future__ import annotations

import json
import os
import stat
from typing import BinaryIO

from arrayfab.tables import printable

#: No object in a file of JSON is longer.
_LONGEST = 1 << 24


def open_regular(path: str | bytes | os.PathLike) -> BinaryIO:
    """A regular file, open to be read: nothing that is waited for, or that never ends.

    Raises
    ------
    OSError
        If it cannot be opened, or the path is that of a directory, a pipe or a device.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(f"{spelled(path)} is no regular file")
    return open(path, "rb")


def read_json(path: str | bytes | os.PathLike) -> dict:
    """The object in a JSON file; ValueError where there is none."""
    try:
        with open_regular(path) as file:
            text = file.read(_LONGEST + 1)
        if len(text) > _LONGEST:
            raise ValueError(f"it is longer than {_LONGEST} bytes")
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{spelled(path)} is no JSON file: {printable(str(error)[:300])}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{spelled(path)} must hold an object, got {type(value).__name__}")
    return value


def spelled(path: str | bytes | os.PathLike) -> str:
    """A path on the line of a message."""
    return printable(os.fsdecode(path))
