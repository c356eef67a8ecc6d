"""Laws of configurations: equal ones, copies, and what starts from them."""

from __future__ import annotations

import pickle
import tempfile
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab.fabrications import Fabrication
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.formulated import formula_of_data
from arrayfab.frozen import cache
from arrayfab.io import load, save
from arrayfab.roles import Role, formula_of
from arrayfab.ruled import programs_of
from arrayfab.testing.cases import Case
from arrayfab.testing.interpreters import blocks_elsewhere
from arrayfab.testing.laws.registry import law
from arrayfab.testing.setting import LawBroken, short
from arrayfab.testing.trials import trials


@law("fabrication", "expansion", "role")
def equal_configurations_agree(subject: Any, case: Case) -> None:
    """Configurations made alike are equal, hash alike, and give the same numbers every time."""
    made = {field.name: getattr(subject, field.name) for field in fields(subject) if field.init}
    _agree(subject, type(subject)(**made), case)


@law("fabrication", "expansion", "role", is_core=False)
def survives_pickling(subject: Any, case: Case) -> None:
    """A pickled copy is equal to its original, unless it has copies of arrays, and gives the same numbers."""
    _agree(subject, pickle.loads(pickle.dumps(subject)), case, copies=True)


@law("fabrication", "expansion", "role", is_core=False, needs="safetensors")
def survives_saving(subject: Any, case: Case) -> None:
    """What is saved and loaded again is as equal to its original as a copy is, and gives the same numbers."""
    shape = (case.n, case.D) if isinstance(subject, Fabrication) else ()
    w = np.random.default_rng(case.seed).standard_normal((*case.batch, subject.num_parameters(*shape)))
    w, known = case.asarray(w), set(_classes(subject))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "saved"
        save(path, {"subject": (subject, w, *shape)}, known=known)
        twin, again, *_ = load(path, xp=case.home.xp, device=case.home.device, known=known)["subject"]
    before, after = _arrays.to_host(w), _arrays.to_host(again)
    if (before.dtype, before.shape, before.tobytes()) != (after.dtype, after.shape, after.tobytes()):
        raise LawBroken(f"w: expected {short(before)} again\nreceived {short(after)}")
    _agree(subject, twin, case, copies=True)


def _classes(value):
    """The classes of all dataclasses in a configuration."""
    if is_dataclass(value):
        yield type(value)
        value = tuple(getattr(value, field.name) for field in fields(value))
    for item in value if isinstance(value, tuple) else ():
        yield from _classes(item)


def _agree(subject, twin, case, copies=False):
    # Fabrications with arrays handed in are equal where these are the very same ones.
    is_other = copies and isinstance(subject, Fabrication | Role) and subject.holds_arrays
    if not is_other and (twin != subject or hash(twin) != hash(subject)):
        raise LawBroken(f"expected an equal configuration with an equal hash, received {twin}")
    first, second = (_values_read_anew(each, case) for each in (subject, twin))
    for name in first:
        if not np.array_equal(first[name], second[name]):
            raise LawBroken(f"{name}\nexpected {short(first[name])} again\nreceived {short(second[name])}")


def _values_read_anew(subject, case):
    """What the calls give, by nothing that an equal subject left behind."""
    cache.clear()
    for plans in (blueprint, formula_of_data, formula_of, programs_of):
        plans.forget()
    tried = trials(subject, case).items()
    return {name: _arrays.to_host(trial.call(*trial.arrays(case))) for name, trial in tried}


@law("fabrication", "role")
def init_fits(subject: Any, case: Case) -> None:
    """``init`` gives as many finite numbers as are consumed, where it is told, and the same from one seed."""
    shape = (case.n, case.D) if isinstance(subject, Fabrication) else ()
    home, length = case.home, subject.num_parameters(*shape)
    dtype = getattr(home.xp, case.dtype)
    w, again = (
        subject.init(*shape, rng=case.seed, xp=home.xp, dtype=dtype, device=home.device) for _ in range(2)
    )
    if tuple(w.shape) != (length,):
        raise LawBroken(f"shape of w: expected {(length,)}, received {tuple(w.shape)}")
    if not home.owns(w) or w.dtype != dtype:
        raise LawBroken(f"w: expected {case.dtype} of {case.namespace}, received {w.dtype} of {type(w)}")
    first, second = _arrays.to_host(w), _arrays.to_host(again)
    if not np.array_equal(first, second):
        raise LawBroken(f"w: expected {short(first)} again\nreceived {short(second)}")
    if not np.all(np.isfinite(first)):
        raise LawBroken(f"w: expected finite numbers, received {short(first)}")


@law("fabrication", namespaces=("numpy",), is_core=False, once=True)
def blocks_keep_their_order(subject: Any, case: Case) -> None:
    """Blocks lie in ``w`` in one order in every process: it does not come from a set.

    Asked once of every class, and only of those that another process can import.
    """
    classes = frozenset(_classes(subject))
    if classes in _ORDERLY:
        return
    blocks = blueprint(subject, case.n, case.D).blocks
    expected = [(name, run.start, run.stop) for name, run, _ in blocks]
    for received in blocks_elsewhere(subject, case.n, case.D):
        if received != expected:
            raise LawBroken(f"blocks in another process: expected {expected}, received {received}")
    _ORDERLY.add(classes)


_ORDERLY: set[frozenset[type]] = set()
