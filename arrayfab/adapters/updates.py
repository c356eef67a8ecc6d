"""The families of adapters: what each does to a matrix of weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from arrayfab import _arrays
from arrayfab import fabrications as fab
from arrayfab._arrays import Array
from arrayfab.adapters.update import Added, Fabricated, Update, check_strength, dense


@dataclass(frozen=True, eq=False, kw_only=True)
class LoRA(Added):
    """``W₀ + scale · B A`` with ``B ∈ R^{n×r}`` and ``A ∈ R^{r×D}`` (E. Hu et al., 2021)."""

    family: ClassVar[str] = "LoRA"

    @property
    def shape(self):
        return self["B"].shape[0], self["A"].shape[1]

    def part(self, rows, D):
        return fab.LowRank(r=self["A"].shape[0]), (self["B"][rows, :], self["A"])


@dataclass(frozen=True, eq=False, kw_only=True)
class LoHa(Added):
    """``W₀ + scale · (A₁ B₁) ∘ (A₂ B₂)`` with ``Aᵢ ∈ R^{n×r}``, ``Bᵢ ∈ R^{r×D}`` (N. Hyeon-Woo, 2022)."""

    family: ClassVar[str] = "LoHa"

    @property
    def shape(self):
        return self["A1"].shape[0], self["B1"].shape[1]

    def part(self, rows, D):
        A1, B1, A2, B2 = (self[name] for name in ("A1", "B1", "A2", "B2"))
        return fab.LoHa(r=B1.shape[0]), (A1[rows, :], B1, A2[rows, :], B2)


@dataclass(frozen=True, eq=False, kw_only=True)
class LoKr(Added):
    """``W₀ + scale · C₁ ⊗ C₂``, each of them full or ``Aᵢ Bᵢ`` (S.-Y. Yeh et al., 2024)."""

    family: ClassVar[str] = "LoKr"

    def factor(self, i: int) -> tuple[Array, ...]:
        """``Cᵢ``, or ``Aᵢ`` and ``Bᵢ``."""
        name = f"C{i}"
        return (self[name],) if name in self.tensors else (self[f"A{i}"], self[f"B{i}"])

    @property
    def shape(self):
        first, second = self.factor(1), self.factor(2)
        return first[0].shape[0] * second[0].shape[0], first[-1].shape[1] * second[-1].shape[1]

    @property
    def step(self):
        return self.factor(2)[0].shape[0]

    def part(self, rows, D):
        first, second = self.factor(1), self.factor(2)
        first = (first[0][rows.start // self.step : rows.stop // self.step, :], *first[1:])
        sizes: dict[str, Any] = {"p": first[0].shape[0], "q": first[-1].shape[1]}
        kinds = {
            (1, 1): fab.Hypercomplex,
            (1, 2): fab.LPHM,
            (2, 1): fab.MirroredLPHM,
            (2, 2): fab.DualLPHM,
        }
        ranks = [factor[1].shape[0] for factor in (first, second) if len(factor) == 2]
        if ranks:  # no fabrication has two
            sizes["r"] = max(ranks)
            first, second = (_padded(factor, sizes["r"]) for factor in (first, second))
        return kinds[len(first), len(second)](**sizes), (*first, *second)


def _padded(factor: tuple[Array, ...], r: int) -> tuple[Array, ...]:
    """A factor of a rank as one of a higher: with zeros, which add nothing."""
    if len(factor) == 1 or factor[1].shape[0] == r:
        return factor
    A, B = factor
    xp, missing = _arrays.backend_of("LoKr", "A", A).xp, r - B.shape[0]
    right, below = (
        xp.zeros(shape, dtype=A.dtype, device=_arrays.device_of(A))
        for shape in ((A.shape[0], missing), (missing, B.shape[1]))
    )
    return xp.concat([A, right], axis=1), xp.concat([B, below], axis=0)


@dataclass(frozen=True, eq=False, kw_only=True)
class VeRA(Added):
    """``W₀ + diag(b) B diag(d) A``, of which ``A`` and ``B`` are not learned (D. Kopiczko et al., 2024)."""

    family: ClassVar[str] = "VeRA"

    @property
    def shape(self):
        return self["b"].shape[0], None  # A has columns for the widest matrix that it serves

    def part(self, rows, D):
        A, B, b, d = (self[name] for name in ("A", "B", "b", "d"))
        mT = _arrays.backend_of(self.family, "A", A).mT
        frozen = {"A": B[rows, :], "B": mT(A[:, :D])}
        return fab.RandomMatrixAdaption(r=d.shape[0]).with_frozen(**frozen), (b[rows], d)


@dataclass(frozen=True, eq=False, kw_only=True)
class Difference(Added):
    """``W₀ + scale · Δ`` of a full matrix."""

    family: ClassVar[str] = "full"

    @property
    def shape(self):
        return self["delta"].shape

    def part(self, rows, D):
        return fab.Full(), (self["delta"][rows, :],)


@dataclass(frozen=True, eq=False, kw_only=True)
class DoRA(Update):
    """``diag(m) V``, where ``V`` is ``W₀ + scale · ψ(w)`` with rows of length one (S.-Y. Liu et al., 2024).

    Or ``V diag(m)`` with columns of length one.

    Parameters
    ----------
    inner : Added
    per : str
        ``"row"`` or ``"column"``.
    """

    inner: Added
    per: str = "row"

    @property
    def family(self):  # type: ignore[override]
        return f"{self.inner.family} with lengths"

    @property
    def shape(self):
        return self.inner.shape

    @property
    def step(self):
        return self.inner.step if self.per == "row" else self.shape[0]

    def fabricated(self, W0, rows, strength):
        check_strength(self, strength)
        inner, blocks = self.inner.fabricated(W0, rows, 1.0)
        m = self["m"]
        return fab.DoRA(inner=inner, per=self.per), (m[rows] if self.per == "row" else m, *blocks)

    def arrays(self):
        yield from super().arrays()
        yield from self.inner.arrays()

    def placed(self, like):
        return replace(super().placed(like), inner=self.inner.placed(like))


@dataclass(frozen=True, eq=False, kw_only=True)
class IA3(Update):
    """``diag(v) W₀``, or ``W₀ diag(v)`` (H. Liu et al., 2022).

    Parameters
    ----------
    of_results : bool
        Whether results are scaled, rather than what comes in.
    is_by_channel : bool
        Whether what comes in is scaled by channels, each of which has as many columns as a kernel has places.
    """

    of_results: bool = True
    is_by_channel: bool = False

    family: ClassVar[str] = "(IA)³"

    @property
    def shape(self):
        if self.of_results:
            return self["v"].shape[0], None
        return None, None if self.is_by_channel else self["v"].shape[0]

    def fabricated(self, W0, rows, strength):
        check_strength(self, strength)
        if self.of_results:
            return fab.IA3() @ fab.Base(W0), (self["v"][rows],)
        return fab.Base(W0) @ fab.IA3(), (self._of_columns(W0.shape[1]),)

    def _of_columns(self, D):
        channels = self["v"].shape[0]
        if D % channels:
            raise ValueError(f"{self.family}: {D} columns are not those of {channels} channels")
        backend = _arrays.backend_of(self.family, "v", self["v"])
        return backend.reshape(backend.xp.broadcast_to(self["v"][:, None], (channels, D // channels)), (D,))

    def restored(self, W, start=0, strength=1.0):
        return replace(self, tensors={"v": 1.0 / self["v"]}).changed(W, start, strength)


@dataclass(frozen=True, eq=False, kw_only=True)
class Turned(Update):
    """``R W₀`` or ``W₀ R`` for a rotation ``R``, and results scaled by ``v`` where there is one.

    Parameters
    ----------
    of_results : bool
        Whether results are turned, ``R W₀``, rather than what comes in.
    """

    of_results: bool = False

    def rotation(self, places: slice) -> Fabricated:
        """``R`` at these places, which no others mix with."""
        raise NotImplementedError(f"{type(self).__name__}.rotation")

    @property
    def shape(self):
        n = self["v"].shape[0] if "v" in self.tensors else None
        return (self._size, None) if self.of_results else (n, self._size)

    @property
    def _size(self) -> int | None:
        """Of ``R``, None where the numbers do not tell."""
        raise NotImplementedError(f"{type(self).__name__}._size")

    def fabricated(self, W0, rows, strength):
        check_strength(self, strength)
        base = fab.Base(W0)
        R, blocks = self.rotation(rows if self.of_results else slice(0, W0.shape[1]))
        product = R @ base if self.of_results else base @ R
        if "v" in self.tensors:
            return fab.IA3() @ product, (self["v"][rows], *blocks)
        return product, blocks

    def restored(self, W, start=0, strength=1.0):
        check_strength(self, strength)
        backend = _arrays.backend_of(self.family, "W", W)
        if "v" in self.tensors:
            W = W / self["v"][start : start + W.shape[0], None]
        size = W.shape[0 if self.of_results else 1]
        first = start if self.of_results else 0
        R = dense(*self.rotation(slice(first, first + size)), size, size)
        solve, mT = backend.xp.linalg.solve, backend.mT
        return solve(R, W) if self.of_results else mT(solve(mT(R), mT(W)))


@dataclass(frozen=True, eq=False, kw_only=True)
class OFT(Turned):
    """A rotation by blocks on the diagonal, from their skew-symmetric numbers (Z. Qiu et al., 2023).

    Parameters
    ----------
    is_shared : bool
        Whether there is one block for all places.
    terms : int, optional
        Those of `arrayfab.Neumann`. Left out, the transform of A. Cayley is exact.
    """

    is_shared: bool = False
    terms: int | None = None

    family: ClassVar[str] = "OFT"

    @property
    def side(self) -> int:
        """Of a block, which has ``s (s − 1) / 2`` numbers."""
        return (1 + math.isqrt(1 + 8 * self["skew"].shape[1])) // 2

    @property
    def _size(self):
        return None if self.is_shared else self["skew"].shape[0] * self.side

    @property
    def step(self):
        return self.side if self.of_results else 1

    def rotation(self, places):
        first, last = (place // self.side for place in (places.start, places.stop))
        skew = self["skew"] if self.is_shared else self["skew"][first:last, :]
        sizes = {"p": last - first, "is_shared": self.is_shared}
        if self.terms is None:
            return fab.Cayley(**sizes), (skew,)
        return fab.Neumann(**sizes, terms=self.terms), (-skew,)


@dataclass(frozen=True, eq=False, kw_only=True)
class BOFT(Turned):
    """A rotation by a product of such blocks between permutations (W. Liu et al., 2024).

    Parameters
    ----------
    is_riffled : bool
        Which permutations: those of LyCORIS, rather than of PEFT. See `arrayfab.Butterfly`.
    """

    is_riffled: bool = False

    family: ClassVar[str] = "BOFT"

    @property
    def _size(self):
        _, k, b, _ = self["R"].shape
        return k * b

    @property
    def step(self):
        return self._size if self.of_results else 1

    def rotation(self, places):
        m, _, b, _ = self["R"].shape
        return fab.Butterfly(b=b, m=m, is_riffled=self.is_riffled), (self["R"],)
