"""What PEFT's configuration says of a module."""

from __future__ import annotations

import math
import re
import sys
from typing import Any

from arrayfab import _arrays
from arrayfab.adapters.layouts.parts import Parts
from arrayfab.io.configuration import short


class Module(Parts):
    """The tensors and settings of one adapted module."""

    def __init__(self, parts: Parts, config: dict, name: str | None = None):
        super().__init__(parts.owner, parts.name if name is None else name, parts._tensors)
        self._config = config

    def rank(self) -> int:
        """The rank of this module."""
        r = self._setting("rank_pattern", "r")
        if not (_arrays.is_integer(r) and 0 < r <= sys.maxsize):
            raise ValueError(f"{self.owner}: r must be a positive integer, got {short(repr(r))}")
        return r

    def scale(self, name: str, root: bool = False) -> float:
        """``alpha / r``, or ``alpha / √r``."""
        alpha = self._setting("alpha_pattern", name)
        is_number = isinstance(alpha, int | float) and not isinstance(alpha, bool)
        if not (is_number and abs(alpha) <= sys.float_info.max):
            raise ValueError(f"{self.owner}: {name} must be a finite number, got {short(repr(alpha))}")
        return alpha / (math.sqrt(self.rank()) if root else self.rank())

    def is_on(self, name: str, default: bool = False) -> bool:
        """Whether a setting is true."""
        value = self._config.get(name, default)
        if not isinstance(value, bool):
            raise ValueError(f"{self.owner}: {name} must be true or false, got {short(repr(value))}")
        return value

    def number(self, name: str, default: float) -> float:
        """A setting that is a number."""
        value = self._config.get(name, default)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and abs(value) <= sys.float_info.max):
            raise ValueError(f"{self.owner}: {name} must be a finite number, got {short(repr(value))}")
        return value

    def _setting(self, patterns_name: str, name: str) -> Any:
        """The setting of this module: that of the first pattern to match, or the one for all.

        The first in the file, as for PEFT when it loads it; when PEFT saved it, it sorted them.
        """
        patterns = self._config.get(patterns_name) or {}
        if not isinstance(patterns, dict):
            raise ValueError(f"{self.owner}: {patterns_name} must be a mapping, got {short(repr(patterns))}")
        for pattern, value in patterns.items():
            if self._matches(patterns_name, pattern, rf"(.*\.)?({pattern})$"):
                return value
        return patterns.get(self.name, self._config.get(name))

    def is_among(self, name: str) -> bool:
        """Whether this module is among those of a setting: ends of names, or a pattern of whole ones."""
        names = self._config.get(name) or []
        if isinstance(names, str):
            return self._matches(name, names, f"(?:{names})$")
        if not (isinstance(names, list) and all(isinstance(each, str) for each in names)):
            raise ValueError(f"{self.owner}: {name} must be a list of names, got {short(repr(names))}")
        return self.name.endswith(tuple(names))

    def _matches(self, setting, pattern, expression):
        try:
            return re.match(expression, self.name) is not None
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{self.owner}: {setting} has {short(repr(pattern))}: {short(error)}") from error
