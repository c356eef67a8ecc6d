"""The kit is tested with deliberately wrong variants: each is caught by the law that names its fault."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
from own_expansions import WRONG_EXPANSIONS
from refusals import assert_refused

import arrayfab as af
from arrayfab.frozen import Gaussian, Uniform
from arrayfab.structures import Chain, Dense, Diagonal, Kronecker, Structure, add, kron
from arrayfab.testing import Case, Check, LawBroken, check_fabrication, checks, laws, parametrize_with_checks
from arrayfab.testing.laws import LAWS


@dataclass(frozen=True)
class Faulty(Structure):
    """A right structure, ``inner``, in which some parts are replaced by wrong ones."""

    inner: Structure
    wrong_rows: Callable | None = None
    wrong_cols: Callable | None = None
    wrong_dense: Callable | None = None
    wrong_derivative: Callable | None = None
    wrong_degree: int | None = None
    wrong_zeroing: frozenset | None = None
    wrong_mean_square: Callable | None = None
    wrong_cost: Callable | None = None
    is_own_transpose: bool = False
    state: dict = field(default_factory=dict, compare=False)

    @cached_property
    def shape(self):
        return self.inner.shape

    @property
    def children(self):
        return (self.inner,)

    @cached_property
    def degree(self):
        return self.inner.degree if self.wrong_degree is None else self.wrong_degree

    @cached_property
    def T(self):
        return self if self.is_own_transpose else super().T

    @cached_property
    def zeroing(self):
        return self.wrong_zeroing or self.inner.zeroing

    def rows(self, x, numbers):
        return (self.wrong_rows or right_rows)(self, x, numbers)

    def cols(self, x, numbers):
        if self.wrong_cols:
            return self.wrong_cols(self, x, numbers)
        return self.inner.cols(x, numbers)

    def dense(self, numbers):
        a, pull = self.inner.dense(numbers)
        return (self.wrong_dense(a) if self.wrong_dense else a), pull

    def rows_cost(self, rows):
        return (self.wrong_cost or (lambda cost: cost))(self.inner.rows_cost(rows))

    def cols_cost(self, cols):
        return self.inner.cols_cost(cols)

    @property
    def dense_cost(self):
        return self.inner.dense_cost

    def mean_square(self, variance):
        return (self.wrong_mean_square or (lambda square: square))(self.inner.mean_square(variance))

    @property
    def derivative(self):
        return (self.wrong_derivative or (lambda inner: inner.derivative))(self.inner)


def right_rows(node, x, numbers):
    return node.inner.rows(x, numbers)


def altered(value=lambda y, x: y, before=lambda gy: gy, after=lambda gx: gx):
    """Wrong rows: another value, another cotangent going in, or another coming out."""

    def rows(node, x, numbers):
        y, pull = node.inner.rows(x, numbers)

        def pullback(gy, cotangents, need_x=True):
            gx = pull(before(gy), cotangents, need_x)
            return after(gx) if need_x else None

        return value(y, x), pullback

    return rows


def of_vector(gradient):
    """Wrong rows of a diagonal matrix: another gradient of its vector."""

    def rows(node, x, numbers):
        v = numbers.arrays[node.inner.vector.name]

        def pullback(gy, cotangents, need_x=True):
            cotangents.add(node.inner.vector.name, gradient(x, gy))
            return gy * v if need_x else None

        return x * v, pullback

    return rows


def writing(node, x, numbers):
    x *= 1.0
    return node.inner.rows(x, numbers)


def stale(node, x, numbers):
    key = x.shape
    if key not in node.state:
        node.state[key] = node.inner.rows(x, numbers)
    return node.state[key]


def forgetful(node, x, numbers):
    y, pull = node.inner.rows(x, numbers)
    left = [pull]

    def pullback(gy, cotangents, need_x=True):
        if not left:
            return 0 * x if need_x else None
        return left.pop()(gy, cotangents, need_x)

    return y, pullback


def first_of_batch(node, x, numbers):
    held = numbers.arrays["A"]
    if held.ndim < 3:
        return node.inner.rows(x, numbers)
    first = {name: np.broadcast_to(a[:1], a.shape) for name, a in numbers.arrays.items()}
    return node.inner.rows(x, numbers.with_arrays(first))


def left_behind(node, x, numbers):
    y, pull = node.inner.rows(x, numbers)
    return y + numbers.xp.zeros(y.shape, dtype=y.dtype), pull  # on the default device


def rounded(y, x):
    return y.astype(np.float32).astype(y.dtype)


def without_the_last(y, x):
    """Drops the rows beyond a multiple of eight."""
    kept = np.arange(y.shape[-2]) < y.shape[-2] // 8 * 8
    return np.where(kept[:, None], y, 0) if y.shape[-2] > 8 else y


def lying_by_columns(y, x):
    return 2 * y if x.flags.f_contiguous and not x.flags.c_contiguous else y


def mean_of_rows(x, gy):
    rows = x.dtype.type(x.shape[-2])
    return (x * gy).sum(axis=-2, keepdims=True) / rows * rows


def careless_without_x(node, x, numbers):
    """Sends another cotangent where that of x is not needed."""
    y, pull = node.inner.rows(x, numbers)

    def pullback(gy, cotangents, need_x=True):
        return pull(gy if need_x else 2 * gy, cotangents, need_x)

    return y, pullback


def forming(node, x, numbers):
    a, _ = node.inner.dense(numbers)
    return x @ a, node.inner.rows(x, numbers)[1]


class ReshapedOuter(Kronecker):
    """The outer product of the flattened factors, reshaped: not the Kronecker product."""

    def dense(self, numbers):
        a, _ = self.left.dense(numbers)
        b, _ = self.right.dense(numbers)
        flat = a.reshape(*a.shape[:-2], -1, 1) * b.reshape(*b.shape[:-2], 1, -1)
        return flat.reshape(*flat.shape[:-2], *self.shape), lambda g, cotangents: None


class OneSided(Kronecker):
    """A Kronecker product whose pullback forgets the left factor."""

    def rows(self, x, numbers):
        y, pull = super().rows(x, numbers)

        def pullback(gy, cotangents, need_x=True):
            gx = pull(gy, cotangents, need_x)
            cotangents._arrays.pop(self.left.name, None)
            cotangents._products.pop(self.left.name, None)
            return gx

        return y, pullback


class Backwards(Chain):
    """A chain that multiplies its first two factors the wrong way round."""

    def rows(self, x, numbers):
        first, second, *rest = self.factors
        return Chain((second, first, *rest)).rows(x, numbers)


class Unseeded(Dense):
    """A frozen block that is drawn anew by every product."""

    def rows(self, x, numbers):
        noise = np.random.default_rng().standard_normal((self.shape[0], self.shape[1]))
        return x @ noise.astype(x.dtype), lambda gy, cotangents, need_x=True: 0 * x


def wrong_matrix(name, make, square=False, base=af.LowRank):
    """A fabrication with a wrong formula; ``make(n, D, **holes)`` is the formula."""

    def blocks(self, n, D):
        if square and n != D:
            raise ValueError("square matrices only")
        return {"v": (n,)} if square else base.blocks(self, n, D)

    def matrix(self, n, D, **holes):
        return make(n, D, **holes)

    made = type(name, (base,), {"blocks": blocks, "matrix": matrix})
    globals()[name] = made  # where pickle looks for it
    made.__module__, made.__qualname__ = __name__, name
    return made()


def faulty(name, **faults):
    return wrong_matrix(name, lambda n, D, A, Bt: Faulty(A @ Bt, **faults))


def faulty_diagonal(name, gradient):
    rows = of_vector(gradient)
    return wrong_matrix(name, lambda n, D, v: Faulty(Diagonal(v), wrong_rows=rows), square=True)


@dataclass(frozen=True, kw_only=True)
class Miscounting(af.LowRank):
    def num_parameters(self, n, D):
        return super().num_parameters(n, D) + 1


@dataclass(frozen=True, kw_only=True)
class Lenient(af.LowRank):
    def fabricate(self, w, n, D):
        return super().fabricate(w[..., : self.num_parameters(n, D)], n, D)


@dataclass(frozen=True, kw_only=True, eq=False)
class Unequal(af.LowRank):
    __eq__ = object.__eq__
    __hash__ = object.__hash__


@dataclass(frozen=True, kw_only=True)
class Forgetting(af.LowRank):
    def __reduce__(self):
        return Forgetting, ()


@dataclass(frozen=True, kw_only=True)
class Unsaved(af.LowRank):
    """Has a factor that is no part of its configuration."""

    factor: float = field(default=1.0, init=False, compare=False)

    def matrix(self, n, D, A, Bt):
        return self.factor * (A @ Bt)

    def times(self, factor):
        object.__setattr__(self, "factor", factor)
        return self


@dataclass(frozen=True, kw_only=True)
class Unwritable(af.LowRank):
    """Has a hyper-parameter that no file can hold."""

    scaled: Callable = np.negative

    def matrix(self, n, D, A, Bt):
        return float(self.scaled(2.0)) * (A @ Bt)


@dataclass(frozen=True, kw_only=True)
class Swapped(af.Hypercomplex):
    p: int | None = 2
    q: int | None = 1

    def blocks(self, n, D):
        p, q, s, t = self._sizes(n, D)
        return {"A": (q, p), "B": (s, t)}


@dataclass(frozen=True, kw_only=True)
class SeedIgnored(af.Seeded):
    r: int = 2

    def blocks(self, n, D):
        return {"A": (n, self.r), "Bt": (self.r, D)}

    def frozen(self, n, D):
        return {"C": Gaussian(n, D)}

    def matrix(self, n, D, A, Bt, C):
        return A @ Bt


@dataclass(frozen=True, kw_only=True)
class HalfSeeded(af.RandomMatrixAdaption):
    """Draws by the lower half of its seed."""

    def _frozen_parts(self, n, D, prefix):
        if self.seed >> 32:
            return replace(self, seed=self.seed % 2**32)._frozen_parts(n, D, prefix)
        return super()._frozen_parts(n, D, prefix)


@dataclass(frozen=True)
class Ramp(Uniform):
    """Entries that grow along a run, wherever it begins."""

    def from_words(self, words):
        return super().from_words(words) + np.arange(len(words))


@dataclass(frozen=True)
class Understated(Uniform):
    """Says that its numbers are half as large as they are."""

    moment = 1 / 12


@dataclass(frozen=True, kw_only=True)
class Ramped(SeedIgnored):
    law: type = Ramp

    def frozen(self, n, D):
        return {"C": self.law(n, D)}

    def matrix(self, n, D, A, Bt, C):
        return add(A @ Bt, C)


@dataclass(frozen=True, kw_only=True)
class Unordered(af.Fabrication):
    """Lays its blocks out in the order of a set."""

    def blocks(self, n, D):
        return dict.fromkeys({"first", "second", "third", "fourth", "fifth", "sixth"}, (n, D))

    def matrix(self, n, D, **holes):
        return add(*holes.values())


@dataclass(frozen=True, kw_only=True)
class Redrawn(SeedIgnored):
    def frozen(self, n, D):
        return {"C": Gaussian(n, D)}

    def matrix(self, n, D, A, Bt, C):
        return add(A @ Bt, Unseeded(C.name, C.shape, is_learned=False))


@dataclass(frozen=True, kw_only=True)
class FrozenGradient(af.RandomMatrixAdaption):
    """Sends what belongs to the frozen block to the learned one."""

    r: int = 1

    def blocks(self, n, D):
        return {"v": (n,)}

    def frozen(self, n, D):
        return {"C": Gaussian(1, n)}

    def matrix(self, n, D, v, C):
        if n != D:
            raise ValueError("square matrices only")

        def rows(node, x, numbers):
            y, pull = node.inner.rows(x, numbers)

            def pullback(gy, cotangents, need_x=True):
                cotangents.add(v.name, numbers.xp.sum(x * gy, axis=-2, keepdims=True))
                return pull(gy, cotangents, need_x)

            return y, pullback

        return add(Diagonal(v), Faulty(Diagonal(C), wrong_rows=rows))


@dataclass(frozen=True, kw_only=True)
class NoDx(af.Reconciliation):
    def jvp(self, x, w, dx, dw):
        return super().jvp(x, w, 0 * dx, dw)


@dataclass(frozen=True, kw_only=True)
class NoDw(af.Reconciliation):
    def vjp(self, x, w):
        y, pull = super().vjp(x, w)
        return y, lambda gy: (pull(gy)[0], 0 * pull(gy)[1])


@dataclass(frozen=True, kw_only=True)
class TwoValues(af.Reconciliation):
    """Its vjp returns another value than its call."""

    def vjp(self, x, w):
        y, pull = super().vjp(x, w)
        return 2 * y, pull


@dataclass(frozen=True, kw_only=True)
class ShortOfOne(af.Reconciliation):
    def init(self, **options):
        return super().init(**options)[:-1]


@dataclass(frozen=True, kw_only=True)
class Untransposed(af.ParameterizedInterdependence):
    def formula(self, xs, W):
        return W @ xs[0]


@dataclass(frozen=True, kw_only=True)
class Crossed(af.ConcatenationFusion):
    def __call__(self, x, w):
        return super().__call__(x[::-1], w)


@dataclass(frozen=True, kw_only=True)
class Saturating(af.Reconciliation):
    def __call__(self, x, w):
        return np.clip(super().__call__(x, w), -1, 1)


INSTANCE = {"b": 2, "b_prime": 2, "interdependence_type": "instance"}
SIZES = {"n": 2, "D": 3}
A, B, v = Dense("A", (2, 3)), Dense("B", (3, 2)), Dense("v", (1, 2))

# The fault, the wrong subject, and the law that must catch it.
WRONG = {
    "a transposed factor": (Faulty(Dense("S", (2, 2)), is_own_transpose=True), "dense_equals_matrix_free"),
    "a missing sum over the rows": (
        faulty_diagonal("FirstRow", lambda x, gy: (x * gy)[..., :1, :]),
        "vjp_matches_differences",
    ),
    "a sign in the gradient of x": (
        faulty("Sign", wrong_rows=altered(after=lambda gx: -gx)),
        "vjp_matches_differences",
    ),
    "a sign in the gradient of w": (
        faulty_diagonal("SignOfW", lambda x, gy: -(x * gy).sum(axis=-2, keepdims=True)),
        "vjp_matches_differences",
    ),
    "a factor in the cotangent": (
        faulty("Twice", wrong_rows=altered(before=lambda gy: 2 * gy)),
        "pairing",
    ),
    "a stale cache": (Faulty(A, wrong_rows=stale), "linear_in_x"),
    "p and q swapped": (Swapped(), "shape_and_length"),
    "a gradient that misses one path": (OneSided(A, B), "vjp_matches_differences"),
    "a frozen block that receives a gradient": (FrozenGradient(), "vjp_matches_differences"),
    "a hidden promotion": (
        faulty("Promoting", wrong_rows=altered(value=lambda y, x: y.astype(np.float64))),
        "namespace_dtype_and_device_kept",
    ),
    "a gradient promoted": (
        faulty("PromotingGradient", wrong_rows=altered(after=lambda gx: gx.astype(np.float64))),
        "namespace_dtype_and_device_kept",
    ),
    "a mutated input": (faulty("Writing", wrong_rows=writing), "inputs_unchanged"),
    "an unseeded draw": (Redrawn(), "equal_configurations_agree"),
    "a seed that is ignored": (SeedIgnored(), "another_seed_gives_other_numbers"),
    "configurations that are never equal": (Unequal(), "equal_configurations_agree"),
    "a copy that loses its hyper-parameters": (Forgetting(r=3), "survives_pickling"),
    "a factor that is not part of the configuration": (Unsaved().times(3.0), "survives_saving"),
    "a hyper-parameter that no file can hold": (Unwritable(), "survives_saving"),
    "a reshaped outer product for a Kronecker one": (ReshapedOuter(A, B), "dense_equals_matrix_free"),
    "a product that is wrong for one row only": (
        faulty("OneRow", wrong_rows=altered(value=lambda y, x: 2 * y if x.shape[-2] == 1 else y)),
        "dense_equals_matrix_free",
    ),
    "a product from the other side that is wrong": (
        Faulty(A, wrong_cols=lambda node, x, numbers: (2 * node.inner).cols(x, numbers)),
        "dense_equals_matrix_free",
    ),
    "a derivative that misses a term": (
        Faulty(A @ B, wrong_derivative=lambda chain: A.derivative @ B),
        "jvp_matches_differences",
    ),
    "a derivative that is doubled": (
        Faulty(A @ B, wrong_derivative=lambda chain: 2.0 * chain.derivative),
        "pairing",
    ),
    "a pullback that works once": (
        faulty("Forgetful", wrong_rows=forgetful),
        "pullback_is_linear_and_repeatable",
    ),
    "a pullback that is not linear": (
        faulty("Clipped", wrong_rows=altered(before=lambda gy: gy * abs(gy))),
        "pullback_is_linear_and_repeatable",
    ),
    "a batch of which only the first counts": (
        Faulty(Dense("A", (2, 3)), wrong_rows=first_of_batch),
        "batch_equals_loop",
    ),
    "a length that is one too many": (Miscounting(), "shape_and_length"),
    "a length that is not checked": (Lenient(), "shape_and_length"),
    "a block that enters twice unsaid": (
        faulty("Squared", wrong_dense=lambda a: a * abs(a)),
        "linear_in_each_block",
    ),
    "a degree that is too low": (Faulty(A @ B, wrong_degree=1), "polynomial_of_its_degree"),
    "factors in the wrong order": (
        Backwards((Dense("S", (2, 2)), Dense("R", (2, 2)))),
        "associativity",
    ),
    "a matrix that is formed": (faulty("Forming", wrong_rows=forming), "no_dense_allocation"),
    "a role without the derivative in x": (NoDx(fabrication=af.Full(), **SIZES), "jvp_matches_differences"),
    "a role without the gradient in w": (NoDw(fabrication=af.Full(), **SIZES), "vjp_matches_differences"),
    "a role that forgets to transpose": (
        Untransposed(fabrication=af.Full(), **INSTANCE),
        "dense_equals_matrix_free",
    ),
    "a fusion that crosses its inputs": (
        Crossed(fabrication=af.Full(), dims=(2, 2), n=2),
        "dense_equals_matrix_free",
    ),
    "a role that saturates": (Saturating(fabrication=af.Full(), **SIZES), "linear_in_x"),
    "a vjp with another value than the call": (
        TwoValues(fabrication=af.Full(), **SIZES),
        "vjp_matches_differences",
    ),
    "a result rounded to single precision": (
        faulty("Rounded", wrong_rows=altered(value=rounded)),
        "dense_equals_matrix_free",
    ),
    "a result clipped at 1,000": (
        faulty("ClippedFar", wrong_rows=altered(value=lambda y, x: np.clip(y, -1000, 1000))),
        "dense_equals_matrix_free",
    ),
    "a NaN that is swallowed": (
        faulty("Swallowing", wrong_rows=altered(value=lambda y, x: np.where(np.isnan(y), 0, y))),
        "nan_is_kept",
    ),
    "a product that is wrong in half precision only": (
        faulty("InHalf", wrong_rows=altered(value=lambda y, x: 2 * y if x.dtype == np.float16 else y)),
        "dense_equals_matrix_free",
    ),
    "rows beyond a multiple of eight that are dropped": (
        faulty("Dropping", wrong_rows=altered(value=without_the_last)),
        "dense_equals_matrix_free",
    ),
    "a product that is wrong for more than eight columns": (
        faulty("Wide", wrong_rows=altered(value=lambda y, x: 2 * y if y.shape[-1] > 8 else y)),
        "dense_equals_matrix_free",
    ),
    "a product that is wrong for data that lie column by column": (
        Faulty(A, wrong_rows=altered(value=lying_by_columns)),
        "dense_equals_matrix_free",
    ),
    "a gradient that is NaN without rows": (
        faulty_diagonal("MeanOfRows", mean_of_rows),
        "vjp_matches_differences",
    ),
    "a node that is wrong where the gradient of x is not needed": (
        Faulty(A, wrong_rows=careless_without_x),
        "gradients_without_that_of_x",
    ),
    "a mean square that is doubled": (
        faulty("Louder", wrong_mean_square=lambda square: 2 * square),
        "mean_square_is_that_of_draws",
    ),
    "a zeroing of a block that does not make it zero": (
        Faulty(A + B.T, wrong_zeroing=frozenset({"A"})),
        "zeroing_makes_it_zero",
    ),
    "a cost without multiplications": (
        faulty("Free", wrong_cost=lambda cost: cost._replace(multiplies=0)),
        "costs_count_multiplications",
    ),
    "a cost that is three times too high": (
        faulty("Dear", wrong_cost=lambda cost: cost._replace(multiplies=3 * cost.multiplies)),
        "costs_count_multiplications",
    ),
    "a role that starts with one number too few": (ShortOfOne(fabrication=af.Full(), **SIZES), "init_fits"),
    "a seed of which only the lower half counts": (HalfSeeded(), "another_seed_gives_other_numbers"),
    "blocks in the order of a set": (Unordered(), "blocks_keep_their_order"),
    "entries that depend on where a run begins": (Ramped(), "entries_do_not_depend_on_runs"),
    "a moment that is not that of the entries": (
        Ramped(law=Understated),
        "moment_is_that_of_the_entries",
    ),
    **WRONG_EXPANSIONS,
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_variant_is_caught_by_the_law_that_names_its_fault(fault):
    subject, law = WRONG[fault]
    # Five runs at default settings: some faults need one kind of case, which a run misses now and then.
    with pytest.raises(LawBroken, match=law):
        Check(subject, law, "numpy", max_examples=100)()


def test_a_device_left_behind_is_caught():
    pytest.importorskip("array_api_strict")
    subject = faulty("LeftBehind", wrong_rows=left_behind)
    with pytest.raises(LawBroken, match="device"):
        Check(subject, "namespace_dtype_and_device_kept", "strict-device1")()


def test_every_law_for_numpy_catches_something():
    caught = {law for _, law in WRONG.values()}
    assert caught == {
        name for name, law in LAWS.items() if law.namespaces is None or "numpy" in law.namespaces
    }


def test_a_fault_is_reported_with_the_smallest_case_and_a_line_to_paste():
    subject = af.Reconciliation(fabrication=af.Full(), n=1, D=1)

    @dataclass(frozen=True, kw_only=True)
    class WrongFromTwoRows(af.Reconciliation):
        def __call__(self, x, w):
            y = super().__call__(x, w)
            return y + 1 if x.shape[-2] >= 2 else y

    wrong = WrongFromTwoRows(fabrication=subject.fabrication, n=1, D=1)
    with pytest.raises(LawBroken) as caught:
        Check(wrong, "dense_equals_matrix_free", "numpy", max_examples=100)()
    message = str(caught.value)
    assert "Case(rows=2)" in message
    assert "expected" in message
    assert "received" in message
    line = next(line for line in message.splitlines() if "again: " in line).partition("again: ")[2]
    names = {"laws": laws, "Case": Case, "wrong": wrong}
    with pytest.raises(LawBroken):
        eval(line.replace(repr(wrong), "wrong"), names)


def test_the_block_with_the_wrong_gradient_is_named():
    subject, law = WRONG["a sign in the gradient of w"]
    with pytest.raises(LawBroken, match="block v"):
        Check(subject, law, "numpy")()


def test_a_core_law_cannot_be_exempt():
    with pytest.raises(ValueError, match="'pairing' is not an optional law"):
        checks(af.Full(), exempt={"pairing": "no"})


@pytest.mark.parametrize(
    ("subject", "namespace", "message"),
    [
        (af.Full, "numpy", "a fabrication, a layer or a structure has laws, got <class"),
        (af.Full().fabricate(np.ones(4), 2, 2), "numpy", "has laws, got StructuredMatrix(shape=(2, 2)"),
        (af.Full(), "nonsense", "namespace 'nonsense': it must be one of"),
    ],
    ids=["class", "structured matrix", "namespace"],
)
def test_what_has_no_laws_and_where_none_can_be_tried_is_refused(subject, namespace, message):
    assert_refused(lambda: checks(subject, namespaces=[namespace]), message)


def test_a_law_that_is_not_claimed_is_not_tried():
    exempt = {"no_dense_allocation": "it is dense"}
    assert all(check.law != "no_dense_allocation" for check in checks(af.Full(), exempt=exempt))
    check_fabrication(af.Full(), namespaces=["numpy"], exempt=exempt, max_examples=1)


def test_a_law_whose_library_is_missing_is_skipped_with_that_reason(monkeypatch):
    monkeypatch.setitem(LAWS, "survives_saving", replace(LAWS["survives_saving"], needs="no_such_library"))
    assert all(check.law != "survives_saving" for check in checks(af.Full(), namespaces=["numpy"]))
    (skipped,) = (
        param for param in parametrize_with_checks([af.Full()], namespaces=["numpy"]).args[1] if param.marks
    )
    assert skipped.marks[0].kwargs["reason"] == "no_such_library is not installed"


def test_the_decorator_makes_a_test_of_every_law():
    marked = parametrize_with_checks([af.Full()], namespaces=["numpy"])
    assert len(marked.args[1]) == len(checks(af.Full(), namespaces=["numpy"]))


def test_a_correct_kronecker_product_passes_what_the_wrong_one_fails():
    for law in ("dense_equals_matrix_free", "vjp_matches_differences"):
        Check(kron(A, B), law, "numpy")()


def test_the_page_on_testing_tells_every_fault_and_law():
    page = (Path(__file__).parent.parent / "docs" / "testing.md").read_text(encoding="utf-8")
    for fault, (_, law) in WRONG.items():
        assert f"| {fault} | `{law}` |" in page
    for law in LAWS:
        assert f"| `{law}` |" in page
