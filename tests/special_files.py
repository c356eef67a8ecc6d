"""What may stand behind a path beside a regular file, and a user whom root's rights do not help."""

import contextlib
import os
import tempfile
from pathlib import Path

import pytest


def put(path, kind):
    """A pipe, a device, a link to one, or a directory at a path."""
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("there are no named pipes here")
        os.mkfifo(path)
    else:
        endless = Path("/dev/zero")
        if not endless.is_char_device():
            pytest.skip("there is no /dev/zero here")
        path.symlink_to(endless)


@contextlib.contextmanager
def directory_of_nobody():
    """A directory of a user without special rights, whom the process works as."""
    if not hasattr(os, "seteuid"):
        pytest.skip("there are no users of this kind here")
    with tempfile.TemporaryDirectory() as made:
        directory, user = Path(made), os.geteuid()
        if user:
            yield directory
            return
        os.chown(directory, 65534, -1)
        os.seteuid(65534)
        try:
            yield directory
        finally:
            os.seteuid(user)
