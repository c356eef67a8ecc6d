"""Several Python threads share roles, plans and frozen matrices."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from arrayfab import (
    BilinearInterdependence,
    ConcatenationFusion,
    DualLPHM,
    Full,
    LowRank,
    ParameterizedInterdependence,
    RandomMatrixAdaption,
    RandomMatrixHypernet,
    Reconciliation,
)
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.frozen import cache
from arrayfab.roles import formula_of
from arrayfab.ruled import programs_of
from arrayfab.structures import Chain, Dense, Structure, Sum

THREADS, CALLS = 8, 24
ROLES = [
    ParameterizedInterdependence(fabrication=Full(), m=12),
    ParameterizedInterdependence(fabrication=DualLPHM(p=4, q=3, r=2), m=12),
    BilinearInterdependence(fabrication=RandomMatrixAdaption(r=2), b=5),
    Reconciliation(fabrication=RandomMatrixHypernet(l=6, hidden_dim=5, r=2), n=6, D=12),
    ConcatenationFusion(fabrication=LowRank(r=2), dims=(4, 8), n=6),
]


def step(role, rng):
    """Numbers for one call, and the call."""
    dims = getattr(role, "dims", (12,))
    xs = tuple(rng.standard_normal((5, size)) for size in dims)
    x, w = (xs if len(dims) > 1 else xs[0]), rng.standard_normal(role.num_parameters())

    def call():
        y, pullback = role.vjp(x, w)
        grad_x, grad_w = pullback(np.ones_like(y))
        return [y, *(grad_x if len(dims) > 1 else [grad_x]), grad_w]

    return call


@pytest.fixture(autouse=True)
def threads_that_take_turns_often():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: type(role.fabrication).__name__)
def test_threads_that_share_a_role_get_what_one_alone_gets(role):
    steps = [step(role, np.random.default_rng(seed)) for seed in range(CALLS)]
    alone = [call() for call in steps]
    for made in (programs_of, formula_of, blueprint):
        made.forget()
    cache.clear()
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(lambda call: call(), steps))
    for one, other in zip(alone, together, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


class Waiting(Structure):
    """A matrix whose transpose is made when both threads ask for it."""

    shape = (3, 3)
    children = ()

    def __init__(self, barrier):
        self._barrier = barrier

    @property
    def T(self):
        self._barrier.wait(timeout=10)
        return self


def test_formulas_that_nest_in_either_order_are_transposed_by_two_threads():
    here, leaf = Waiting(threading.Barrier(2)), Dense("A", (3, 3))
    sum_in_chain = Chain((Sum((leaf, leaf)), here))
    chain_in_sum = Sum((here, Chain((leaf, leaf))))
    threads = [
        threading.Thread(target=getattr, args=(M, "T"), daemon=True) for M in (sum_in_chain, chain_in_sum)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert not any(thread.is_alive() for thread in threads)
