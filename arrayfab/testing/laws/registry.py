"""What a law is, and all laws by name."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from arrayfab.expansions import Expansion
from arrayfab.fabrications import Fabrication
from arrayfab.layer import Layer
from arrayfab.structures import Structure
from arrayfab.testing.cases import Case
from arrayfab.testing.setting import LawBroken


@dataclass(frozen=True)
class Law:
    """A named law, the kinds of subject that it is for, and the namespaces on which it can be tried.

    One that asks nothing of a case is tried ``once``.
    """

    name: str
    check: Callable[[Any, Case], None]
    kinds: tuple[str, ...]
    namespaces: tuple[str, ...] | None
    is_core: bool
    needs: str | None = None
    once: bool = False

    def suits(self, subject: Any, namespace: str) -> bool:
        """Whether the law is for such a subject, and can be tried on that namespace."""
        return kind_of(subject) in self.kinds and (self.namespaces is None or namespace in self.namespaces)

    def why_not(self) -> str | None:
        """Why the law cannot be tried here, None where it can."""
        if self.needs is None or importlib.util.find_spec(self.needs):
            return None
        return f"{self.needs} is not installed"


#: Every law by name, in the order in which they are tried.
LAWS: dict[str, Law] = {}

KINDS = ("fabrication", "expansion", "role", "matrix")


def kind_of(subject: Any) -> str:
    """One of ``KINDS``; TypeError for what is none of them."""
    if isinstance(subject, type) or not isinstance(subject, Fabrication | Structure | Layer):
        raise TypeError(f"a fabrication, a layer or a structure has laws, got {subject!r}")
    if isinstance(subject, Fabrication):
        return "fabrication"
    if isinstance(subject, Structure):
        return "matrix"
    return "expansion" if isinstance(subject, Expansion) else "role"


def law(
    *kinds: str,
    namespaces: tuple[str, ...] | None = None,
    is_core: bool = True,
    needs: str | None = None,
    once: bool = False,
):
    """Make a law of a function of a subject and a case, under the function's name."""

    def register(check):
        @functools.wraps(check)
        def reported(subject: Any, case: Case) -> None:
            try:
                with np.errstate(all="ignore"):  # what overflows is seen in the numbers
                    check(subject, case)
            except LawBroken as broken:
                raise LawBroken(_report(check.__name__, subject, case, str(broken))) from None
            except Exception as error:
                reason = f"it raised {type(error).__name__}: {error}"
                raise LawBroken(_report(check.__name__, subject, case, reason)) from error

        LAWS[check.__name__] = Law(check.__name__, reported, kinds or KINDS, namespaces, is_core, needs, once)
        return reported

    return register


def _report(name, subject, case, what):
    indented = "".join(f"  {line}\n" for line in what.splitlines())
    return f"{name} is broken by {subject!r}\n{indented}  again: laws.{name}({subject!r}, {case!r})"
