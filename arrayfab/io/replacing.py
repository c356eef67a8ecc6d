"""Files that are replaced as a whole: whoever looks finds the old one or the new one."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from arrayfab.io.reading import spelled


@contextlib.contextmanager
def replacing(path: str | bytes | os.PathLike) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of the one at a path when the block has ended well.

    A kill at any moment leaves the old content or the new one. The new content goes to a temporary file in
    the same directory, which is then given the name. A symbolic link stays one, and what it points to is
    replaced; an existing file keeps its permissions. A process that is killed may leave its temporary file
    behind, ``.arrayfab-….tmp``.

    Raises
    ------
    OSError
        If the directory does not exist or cannot be written to, or the path is no regular file or a
        read-only one.
    """
    target = Path(os.path.realpath(os.fsdecode(path)))
    mode = _mode(target)
    temporary = target.with_name(f".arrayfab-{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        # As by `open`: the mode that the umask allows.
        with os.fdopen(os.open(temporary, flags, 0o666), "wb") as file:
            if mode is not None:
                os.chmod(temporary, mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_directory(target.parent)


def _mode(target: Path) -> int | None:
    """The permissions of a file that may be written to, None where there is none yet."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise OSError(f"{spelled(target)} is no regular file")
    # To replace a file takes rights to its directory alone: those to the file are asked for here.
    os.close(os.open(target, os.O_WRONLY))
    if not mode & 0o222:  # which nobody asks root for
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
    return stat.S_IMODE(mode)


def _sync_directory(directory: Path) -> None:
    if os.name != "posix":  # elsewhere a directory cannot be opened
        return
    try:
        handle = os.open(directory, os.O_RDONLY)
    except PermissionError:  # it may be written to and not read
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
