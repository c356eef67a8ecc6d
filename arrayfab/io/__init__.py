"""Parameters in files, arrayfab's own and those of other libraries."""

from arrayfab.io.peft import read_peft
from arrayfab.io.tinybig import read_tinybig

__all__ = ["read_peft", "read_tinybig"]
