"""Durations of calls that take turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Effort:
    """How long one call of one cell is measured.

    ``seconds`` of calls in that many ``turns``; a call that takes longer than ``longest`` is not repeated.
    ``clock`` is ``wall``, of which medians are taken, or ``cpu``: the time of this process alone, of all its
    threads, of which the least counts. That is for machines that others use as well, and for one thread.
    """

    seconds: float = 0.5
    turns: int = 8
    longest: float = 10.0
    clock: str = "wall"

    def now(self) -> float:
        """The time in seconds, by the clock."""
        return time.process_time() if self.clock == "cpu" else time.perf_counter()

    def figure(self, durations: list[float]) -> float:
        """What stands for some durations."""
        return min(durations) if self.clock == "cpu" else statistics.median(durations)


@dataclass
class Contender:
    """A call and what is known of it."""

    call: Callable
    durations: list[float] = field(default_factory=list)
    spent: float = 0.0
    turns: int = 0

    def is_done(self, effort: Effort) -> bool:
        """Whether it had its time, its turns, or more time than its turns were meant to take."""
        if self.spent >= 2 * effort.seconds or self.turns > 2 * effort.turns:
            return True
        return self.spent >= effort.seconds and self.turns >= min(3, effort.turns)

    def turn(self, effort: Effort) -> None:
        """A pause, untimed calls, timed ones."""
        # The other libraries' threads go on spinning for some milliseconds and would disturb this one's.
        time.sleep(0.02)
        share, start = effort.seconds / effort.turns, effort.now()
        self.call()
        if effort.now() - start < share:
            self.call()
        for _ in range(self._repeats(share)):
            start = effort.now()
            self.call()
            self.durations.append(effort.now() - start)
            self.spent += self.durations[-1]
        self.turns += 1

    def _repeats(self, share):
        if not self.durations:
            return 1
        return min(500, max(1, round(share / statistics.median(self.durations))))


def medians(calls: dict[str, Callable], effort: Effort) -> dict[str, float]:
    """The duration of each call in milliseconds, the calls taking turns."""
    contenders = {name: Contender(call) for name, call in calls.items()}
    while waiting := [one for one in contenders.values() if not one.is_done(effort)]:
        for contender in waiting:
            contender.turn(effort)
    return {name: 1e3 * effort.figure(one.durations) for name, one in contenders.items()}
