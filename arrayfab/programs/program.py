"""Formulas as straight-line programs.

A formula decides by shapes, never by numbers. So what its products and pullbacks do to arrays can be found
out once with stand-ins that have nothing but a shape, written down, and done again without asking it: a
call then costs hardly more than its operations on arrays.

A *rule* is what is written down: ``rule(backend, *arrays)`` gives a tuple of results. A rule *with a
pullback* gives that tuple and a function from the results' cotangents to a tuple of gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from arrayfab._arrays import Array, Backend
from arrayfab._cached import cached_property
from arrayfab.programs.tape import Line, Tape, spelled_tuple

Rule = Callable[..., Any]

#: What is known of a rule that is interpreted: that it was met, or that it cannot be written down.
_MET, _FOR_EVER = "met", "for ever"


class Interpreted:
    """A rule that is asked anew in every call."""

    def __init__(self, rule: Rule, backend: Backend):
        self._rule, self._backend = rule, backend

    def value(self, *arrays: Array) -> tuple[Array, ...]:
        return self._rule(self._backend, *arrays)

    def linearize(self, *arrays: Array) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
        ys, pull = self._rule(self._backend, *arrays)
        return ys, (pull,)

    def pullback(self, *pull_and_gs: Any) -> tuple[Array, ...]:
        pull, *gs = pull_and_gs
        return pull(*gs)


def programmed(
    known: dict, key: Any, rule: Rule, backend: Backend, write: Callable, is_exact: bool, most: int
) -> Any:
    """The program under a key, which ``write`` makes when it is asked for a second time.

    The first time the rule is interpreted: what is met once does not earn back what writing it down takes.
    But where the number of rows is not exactly that of its regime, it might decide otherwise, and round
    otherwise, than the program will. It is interpreted for ever where ``write`` gives None. Where there are
    ``most`` programs, they are forgotten first.
    """
    found = known.get(key)
    if isinstance(found, Program):
        return found
    if found is None and len(known) >= most:
        known.clear()
    # No rule is kept: it may hold what holds the programs.
    if found is None and is_exact:
        known[key] = _MET
    elif found != _FOR_EVER:
        known[key] = write() or _FOR_EVER
    written = known[key]
    return written if isinstance(written, Program) else Interpreted(rule, backend)


def traced(
    rule: Rule,
    backend: Backend,
    likes: Sequence[Array],
    shapes: Sequence[tuple[int, ...]],
    has_pullback: bool = False,
) -> Program | None:
    """The program of a rule for arrays of these shapes, which may hold symbols; ``likes`` give their dtypes.

    None for a rule that cannot be written down, or is seen to do something else when it is asked again.
    """
    tape = Tape(backend)
    names = [f"x{i}" for i in range(len(shapes))]
    try:
        given = [tape.argument(*each) for each in zip(names, shapes, likes, strict=True)]
        first = rule(tape, *given)
        ys = _names(first[0] if has_pullback else first)
        forward = len(tape.lines)
        again = rule(tape, *given)
        gs, grads = [], []
        if has_pullback:
            again, pull = again
            gs = [tape.argument(f"g{i}", y.shape, likes[0]) for i, y in enumerate(again)]
            grads, repeated = (_names(pull(*gs)) for _ in range(2))
        is_repeatable = _names(again) == ys and (not has_pullback or repeated == grads)
    except Exception:  # What is wrong with the formula is told when it meets arrays.
        return None
    if not is_repeatable or (not has_pullback and len(tape.lines) > forward):
        return None
    return Program(tape, names, forward, ys, [g.name for g in gs], grads)


def _names(arrays) -> list[str]:
    return [array.name for array in arrays]


class Program:
    """A rule written down, as functions without a branch or a loop.

    ``value(*arrays)`` gives the results; ``linearize(*arrays)`` the results and a tuple of what
    ``pullback(*kept, *gs)`` needs beside their cotangents to return the gradients.
    """

    def __init__(
        self, tape: Tape, inputs: list[str], forward: int, ys: list[str], gs: list[str], grads: list[str]
    ):
        self._tape, self._inputs, self._ys, self._gs, self._grads = tape, inputs, ys, gs, grads
        self.forward, self.backward = tape.lines[:forward], tape.lines[forward:]

    @cached_property
    def value(self) -> Callable:
        return self._function(self._inputs, self.forward, self._ys, spelled_tuple(self._ys))

    @cached_property
    def linearize(self) -> Callable:
        result = f"{spelled_tuple(self._ys)}, {spelled_tuple(self._kept)}"
        return self._function(self._inputs, self.forward, [*self._ys, *self._kept], result)

    @cached_property
    def pullback(self) -> Callable:
        # What is summed up into the first gradient is let go of before the others are made: that of w is
        # small, those of the data are large.
        first = {line.name for line, _ in _needed(self.backward, self._grads[:1])[0]}
        lines = sorted(self.backward, key=lambda line: line.name not in first)
        inputs = [*self._kept, *self._gs]
        return self._function(inputs, lines, self._grads, spelled_tuple(self._grads))

    @cached_property
    def _kept(self):
        _, needed = _needed(self.backward, self._grads)
        return [name for name in needed if name not in self._gs]

    def _function(self, inputs, lines, outputs, result):
        body = []
        for line, last in _needed(lines, outputs)[0]:
            body.append(f"{line.name} = {line.text}")
            # An array is let go of as soon as nothing reads it any more.
            body += [f"del {', '.join(last)}"] * bool(last)
        source = "\n    ".join([f"def program({', '.join(inputs)}):", *body, f"return {result}"])
        scope = {"__name__": __name__, **self._tape.scope}
        exec(_compiled(source), scope)
        return scope["program"]


@lru_cache(maxsize=4096)
def _compiled(source: str):
    # Most regimes, and many formulas, are spelled alike.
    return compile(source, "<a formula, written down>", "exec")


def _needed(lines: Sequence[Line], outputs: Iterable[str]) -> tuple[list[tuple[Line, list[str]]], list[str]]:
    """The lines that outputs need, each with the names that it is the last to read; and what they need."""
    names, kept = dict.fromkeys(outputs), []
    for line in reversed(lines):
        if line.name in names:
            del names[line.name]
            last = [name for name in dict.fromkeys(line.operands) if name not in names]
            kept.append((line, last))
            names.update(dict.fromkeys(last))
    return kept[::-1], list(names)
