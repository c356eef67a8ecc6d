"""Files that are read without trust in what stands behind their path."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

from arrayfab.tables import printable


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


def spelled(path: str | bytes | os.PathLike) -> str:
    """A path on the line of a message."""
    return printable(os.fsdecode(path))
