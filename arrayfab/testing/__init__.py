"""Property tests for anyone's new fabrication, expansion, role or structured matrix.

`check_fabrication`, `check_expansion`, `check_role` and `check_matrix` try every law on every installed
namespace and raise `LawBroken` at the first that does not hold; `parametrize_with_checks` makes one pytest
test of each. Laws are named functions in `arrayfab.testing.laws`; strategies for data are in
`arrayfab.testing.strategies`.

Needs hypothesis, and pytest for the decorator: ``pip install "arrayfab[testing]"``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

try:
    from hypothesis import HealthCheck, Phase, currently_in_test_context, given, settings
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError("hypothesis is needed: pip install 'arrayfab[testing]'") from error

from arrayfab.expansions import Expansion
from arrayfab.fabrications import Fabrication
from arrayfab.layer import Layer
from arrayfab.structures import Structure
from arrayfab.testing import laws, strategies
from arrayfab.testing import namespaces as spaces
from arrayfab.testing.cases import Case
from arrayfab.testing.laws import LAWS
from arrayfab.testing.setting import LawBroken
from arrayfab.testing.shapes import CannotBeTried

__all__ = [
    "CannotBeTried",
    "Case",
    "Check",
    "LawBroken",
    "check_expansion",
    "check_fabrication",
    "check_matrix",
    "check_role",
    "checks",
    "laws",
    "parametrize_with_checks",
    "strategies",
]


@dataclass(frozen=True)
class Check:
    """One law for one subject on one namespace. Calling it tries the law on many cases."""

    subject: Any
    law: str
    namespace: str
    max_examples: int = 20

    def __call__(self) -> None:
        """Raise `LawBroken` for the smallest case found on which the law does not hold.

        Inside a test that hypothesis runs, the cases are the same in every call.
        """
        law = LAWS[self.law]
        try:
            tried = strategies.cases(self.subject, self.namespace)
        except CannotBeTried:
            raise
        except ValueError as error:
            raise LawBroken(f"shape_and_length is broken by {self.subject!r}\n  {error}") from error

        @settings(
            max_examples=1 if law.once else self.max_examples,
            deadline=None,
            database=None,
            derandomize=currently_in_test_context(),
            print_blob=False,
            report_multiple_bugs=False,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @_GIVEN
        def holds(data):
            law.check(self.subject, data.draw(tried, label="case"))

        holds()

    def __str__(self) -> str:
        return f"{self.subject!r}-{self.law}-{self.namespace}"


# Hypothesis refuses to make a test inside another one, but not to run it: so this is made here.
_GIVEN = given(data=st.data())

_EXAMPLES = {"numpy": 20, "jax": 2, "dask": 2}


def checks(
    subject: Any,
    *,
    namespaces: Iterable[str] | None = None,
    exempt: Mapping[str, str] | None = None,
    max_examples: int | None = None,
) -> list[Check]:
    """Every law that suits a subject and can be tried here, on every namespace.

    Parameters
    ----------
    subject : Fabrication, Expansion, Layer or Structure
    namespaces : iterable of str, optional
        Names from ``arrayfab.testing.namespaces.NAMES``; all that are installed if left out.
    exempt : mapping, optional
        Optional laws that the subject does not claim, each with the reason.
    max_examples : int, optional
        Cases for every law. Left out, 20 on NumPy, 5 elsewhere, and 2 where every shape is compiled or made a
        graph, on JAX and Dask.

    Raises
    ------
    TypeError
        If the subject is none of these.
    ValueError
        If a law to be exempt from is unknown, or is a core law; or if a namespace is not installed.
    """
    for law in exempt or ():
        if law not in LAWS or LAWS[law].is_core:
            optional = [name for name, known in LAWS.items() if not known.is_core]
            raise ValueError(f"exempt: {law!r} is not an optional law; those are {optional}")
    names = spaces.installed() if namespaces is None else list(namespaces)
    for name in names:
        spaces.get(name)
    return [
        Check(subject, law.name, namespace, max_examples or _EXAMPLES.get(namespace, 5))
        for namespace in names
        for law in LAWS.values()
        if law.suits(subject, namespace) and law.name not in (exempt or ()) and law.why_not() is None
    ]


def check_fabrication(fabrication: Fabrication, **options) -> None:
    """Try every law on a fabrication; the options are those of `checks`.

    Raises
    ------
    LawBroken
        At the first law that does not hold, with the smallest case found.

    Examples
    --------
    >>> from arrayfab import LowRank
    >>> check_fabrication(LowRank(r=2), namespaces=["numpy"])
    """
    for check in checks(fabrication, **options):
        check()


def check_expansion(expansion: Expansion, **options) -> None:
    """Try every law on an expansion, by itself and in products; the options are those of `checks`.

    Examples
    --------
    >>> from arrayfab import Taylor
    >>> check_expansion(Taylor(d=2), namespaces=["numpy"], max_examples=5)
    """
    for check in checks(expansion, **options):
        check()


def check_role(role: Layer, **options) -> None:
    """Try every law on a role or another layer; the options are those of `checks`.

    Examples
    --------
    >>> from arrayfab import LowRank, Reconciliation
    >>> check_role(Reconciliation(fabrication=LowRank(), n=2, D=3), namespaces=["numpy"])
    """
    for check in checks(role, **options):
        check()


def check_matrix(matrix: Structure, **options) -> None:
    """Try every law on a structured matrix with holes; the options are those of `checks`.

    For those who add a node with hand-written rules of its own.

    Examples
    --------
    >>> from arrayfab.structures import Dense, Diagonal
    >>> check_matrix(Diagonal(Dense("v", (1, 3))), namespaces=["numpy"])
    """
    for check in checks(matrix, **options):
        check()


def parametrize_with_checks(subjects: Iterable[Any], *, exempt: Mapping[str, str] | None = None, **options):
    """A pytest decorator: one test per subject, law and namespace, called with ``check``.

    Laws that a subject is exempt from, or that need a library which is not installed, are tests that are
    skipped with their reason. The options are those of `checks`.
    """
    import pytest

    skipped = {law: f"not claimed: {reason}" for law, reason in (exempt or {}).items()}
    skipped |= {name: reason for name, law in LAWS.items() if (reason := law.why_not())}
    params = []
    for subject in subjects:
        params += [pytest.param(check, id=str(check)) for check in checks(subject, exempt=exempt, **options)]
        params += [
            pytest.param(None, id=f"{subject!r}-{law}", marks=pytest.mark.skip(reason=reason))
            for law, reason in skipped.items()
            if LAWS[law].suits(subject, "numpy")
        ]
    return pytest.mark.parametrize("check", params)
