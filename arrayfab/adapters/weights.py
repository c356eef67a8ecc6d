"""The weights of a model: one file of tensors, or several with an index."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from arrayfab.io.configuration import short
from arrayfab.io.files import Tensor, TensorFile
from arrayfab.io.reading import read_json, spelled

_INDEX = ".safetensors.index.json"


class Weights(Mapping[str, Tensor]):
    """The tensors of a model by name, none of which is read yet.

    Parameters
    ----------
    path : str, bytes or path
        A safetensors file, an index of such files, or a folder with one of them.

    Raises
    ------
    ValueError
        If it is none of them, or the index and its files do not agree.
    OSError
        If a file is missing or cannot be read.
    """

    def __init__(self, path: str | bytes | os.PathLike):
        self.path = _entry(Path(os.fsdecode(path)))
        #: The index, None where there is one file.
        self.index: dict | None = None
        self.files: dict[str, TensorFile]
        if self.path.name.endswith(".json"):
            self._read_index()
        else:
            self.files = {self.path.name: TensorFile(self.path)}
        self._tensors = {name: tensor for file in self.files.values() for name, tensor in file.items()}

    def _read_index(self):
        self.index = read_json(self.path)
        places = self.index.get("weight_map")
        if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
            raise ValueError(f"{spelled(self.path)} has no weight_map from tensors to files")
        for name in sorted(set(places.values())):
            if Path(name).name != name or name in ("", ".", ".."):
                raise ValueError(f"{spelled(self.path)}: {short(name)!r} is no file beside it")
        self.files = {name: TensorFile(self.path.parent / name) for name in sorted(set(places.values()))}
        held = {name: file for file, tensors in self.files.items() for name in tensors}
        wrong = sorted(name for name in held.keys() | places.keys() if held.get(name) != places.get(name))
        if wrong or len(held) != sum(map(len, self.files.values())):
            raise ValueError(
                f"{spelled(self.path)} and its files do not agree on where tensors are, "
                f"such as {short(wrong[0]) if wrong else 'one that two files hold'}"
            )

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def _entry(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(path.glob(f"*{_INDEX}")) or sorted(path.glob("*.safetensors"))
    if len(found) != 1:
        raise ValueError(
            f"{spelled(path)}: expected one safetensors file, or several with one index, got "
            f"{[each.name for each in found]}"
        )
    return found[0]
