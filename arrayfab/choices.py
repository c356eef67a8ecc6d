"""Fabrications of a matrix within a budget of learned numbers, and the ranks that they attain."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator

from arrayfab import fabrications as fab
from arrayfab.fabrications import Fabrication
from arrayfab.fabrications.sizes import divisors

_LEARNED_AT_MOST, _FROZEN_AT_MOST = 128, 1 << 24  # of a hypernet: more would take minutes to fit
_SEARCHED_AT_MOST = 1 << 22  # learned numbers, times those of the matrix
_DIVISORS_AT_MOST = 256  # of a size: all pairs of them are tried


def attainable_rank(fabrication: Fabrication, n: int, D: int) -> int:
    """The highest rank that any learned numbers can give, or a bound of it.

    It is a bound where frozen numbers have a say, of `Masked` and `FourierFT`, and of mixtures, of `VBLoRA`.
    """
    match unscaled(fabrication):
        case fab.Constant():
            return 1
        case fab.DuplicatedPadding(p=p, q=q):
            return min(n // p, D // (q or p))
        case fab.DuplicatedDiagonalPadding(p=p) | fab.BlockDiagonal(p=p):
            return p * min(n // p, D // p)
        case fab.LowRank(r=r) | fab.RandomMatrixAdaption(r=r) | fab.CP(r=r) | fab.VBLoRA(r=r):
            return min(r, n, D)
        case fab.LoHa(r=r):
            return min(r * r, n, D)
        case fab.FourierFT(k=k):
            return min(2 * k, n, D)
        case fab.Monarch() as product:
            p, q, s, t = product.sizes(n, D)
            return min(p * min(s, q), q * min(p, t))
        case fab.TensorTrain(r=r, cores=2) as train:
            (_, a, b, _), (_, s, t, _) = train.shapes(n, D)
            return min(n, D, min(r, a * b, s * t) * min(a, b) * min(s, t))
        case fab.Hypercomplex() | fab.LPHM() | fab.MirroredLPHM() | fab.DualLPHM() as product:
            p, q, s, t = product._sizes(n, D)
            r = getattr(product, "r", max(n, D))
            first = min(p, q) if isinstance(product, fab.LPHM) else min(p, q, r)
            return first * (min(s, t) if isinstance(product, fab.MirroredLPHM) else min(s, t, r))
    return min(n, D)


def choices_within(n: int, D: int, budget: int, each: int) -> Iterator[Fabrication]:
    """Every variant, with the hyper-parameters that a plan lists."""
    yield from (fab.Constant(), fab.Eye())
    if n * D <= budget:
        yield from (fab.Full(), fab.Masked())
    pairs = list(itertools.product(_some(divisors(n)), _some(divisors(D))))

    def best(choices: Iterable[Fabrication]) -> list[Fabrication]:
        # By their blocks: a formula at this shape is made for those that are listed.
        sized = [(attainable_rank(c, n, D), sum(map(math.prod, c.blocks(n, D).values())), c) for c in choices]
        fitting = [choice for choice in sized if choice[1] <= min(budget, n * D - 1)]
        return [choice[2] for choice in sorted(fitting, key=lambda choice: choice[:2], reverse=True)[:each]]

    yield from best(fab.DuplicatedPadding(p=p, q=q) for p, q in pairs)
    yield from best(fab.DuplicatedDiagonalPadding(p=p) for p in _some(divisors(math.gcd(n, D))))
    # A product of two factors of this rank has as many numbers as they have.
    useful = n * D // (n + D)
    yield from (fab.LowRank(r=r) for r in _halved(min(budget // (n + D), useful), each))
    # With one block, or one number in every block, a Kronecker product is a multiple of a factor.
    proper = [(p, q, n // p, D // q) for p, q in pairs if 1 < p * q < n * D]
    yield from best(fab.Hypercomplex(p=p, q=q) for p, q, _, _ in proper)
    yield from best(
        fab.LPHM(p=p, q=q, r=r)
        for p, q, s, t in proper
        if (r := min((budget - p * q) // (s + t), s * t // (s + t))) > 0
    )
    yield from best(
        fab.DualLPHM(p=p, q=q, r=r)
        for p, q, s, t in proper
        # With as many numbers for A as A has, an lphm does the same with fewer.
        if (r := min(budget, p * q + s * t) // (p + q + s + t)) > 0 and r * (p + q) < p * q
    )
    yield from best(
        fab.MirroredLPHM(p=p, q=q, r=r)
        for p, q, s, t in proper
        if (r := min((budget - s * t) // (p + q), p * q // (p + q))) > 0
    )
    yield from (fab.LoHa(r=r) for r in _halved(min(budget // (2 * (n + D)), useful // 2), each))
    yield from best(
        fab.CP(p=p, q=q, r=r)
        for p, q, s, t in proper
        if (r := min(budget // (p + q + s + t), n, D)) > 0 and r * (p + q + s + t) < n * D
    )
    cores = sum(a * s * t * b for a, s, t, b in fab.TensorTrain(r=1).shapes(n, D))
    yield from (fab.TensorTrain(r=r) for r in _halved(min(budget, n * D - 1) // cores, each))
    yield from best(fab.Monarch(p=p, q=q) for p, q in pairs)
    common = _some(divisors(math.gcd(n, D)))
    yield from best(fab.BlockDiagonal(p=p) for p in common if p > 1)
    yield from best(fab.Circulant(b=b) for b in common if b > 1)
    if n + D - 1 <= min(budget, n * D - 1):
        yield fab.Toeplitz()
    yield from (fab.FourierFT(k=k) for k in _halved(min(budget, n * D // 2, _LEARNED_AT_MOST), each))
    yield from best(fab.RandLoRA(r=r) for r in _some(divisors(min(n, D))))
    if n == D:
        yield from _square(n, budget, each)
    yield from (fab.RandomMatrixAdaption(r=r) for r in _halved(min(budget - n, useful), each))
    # The first layer's rank is that of w, and a layer between is twice as wide.
    most = min(budget, _LEARNED_AT_MOST, _FROZEN_AT_MOST // (n * D))
    yield from (fab.RandomMatrixHypernet(r=r, l=r, hidden_dim=2 * r) for r in _halved(most, each))
    most = min(most, _FROZEN_AT_MOST // (2 * n * D))
    yield from (fab.Hypernet(l=size, hidden_dim=2 * size) for size in _halved(most, each))


def _square(n: int, budget: int, each: int) -> Iterator[Fabrication]:
    """What is only square: a diagonal, and rotations."""
    if 1 < n <= budget:
        yield fab.IA3()
    fitting = [p for p in _some(divisors(n)) if 0 < n * (n // p - 1) // 2 <= budget]
    yield from (fab.Cayley(p=p) for p in fitting[:each])
    yield from (fab.Householder(r=r) for r in _halved(min(budget // n, n), each) if n > 1)


def is_quickly_fitted(fabrication: Fabrication, n: int, D: int) -> bool:
    """Whether there is a closed form, or a search does not take long."""
    if not isinstance(fabrication, fab.LoHa | fab.CP | fab.RandLoRA | fab.Cayley | fab.Householder):
        return True
    return fabrication.num_parameters(n, D) * n * D <= _SEARCHED_AT_MOST


def _halved(largest: int, each: int) -> list[int]:
    """The largest rank, its half and so on, down to one."""
    return [largest >> i for i in range(min(each, max(largest, 0).bit_length()))]


def _some(found: list[int]) -> list[int]:
    """All of them; where they are very many, some of them, evenly spread."""
    if len(found) <= _DIVISORS_AT_MOST:
        return found
    return [found[i * (len(found) - 1) // (_DIVISORS_AT_MOST - 1)] for i in range(_DIVISORS_AT_MOST)]


def unscaled(fabrication: Fabrication) -> Fabrication:
    """A fabrication without the number that it is multiplied by."""
    return fabrication.inner if isinstance(fabrication, fab.Scaled) else fabrication
