"""Random structured matrices against NumPy's dense algebra, exactly, on small integers."""

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import reduce
from unittest import mock

import numpy as np
import pytest
from dense_reference import assert_equal, derivative, gradients, integers, over_lead
from hypothesis import given, settings
from hypothesis import strategies as st

from arrayfab import _arrays
from arrayfab.expansions import GroupProduct
from arrayfab.structures import (
    Constant,
    Correlated,
    Cotangents,
    Dense,
    Diagonal,
    Gather,
    Groupwise,
    Identity,
    LowRankHadamard,
    Map,
    Numbers,
    Sigmoid,
    Streamed,
    Toeplitz,
    add,
    chain,
    face,
    hadamard,
    khatri_rao,
    kron,
    layout,
    reshaped,
    side_by_side,
    streamed,
)
from arrayfab.structures.numbers import prime


@pytest.fixture(autouse=True, scope="module", params=["as they are", "of a few numbers"])
def tiles_and_runs(request):
    """Streamed holes in several tiles; products laid out as small ones are, and as large ones."""
    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(streamed, "TILE", 7))
        if request.param == "of a few numbers":
            for name, value in {"RUN": 2, "CALL": 2, "SHORT": 2, "MANY": 0}.items():
                patches.enter_context(mock.patch.object(layout, name, value))
        yield


KINDS = ["product", "sum", "scaled", "T", "kron", "entrywise", "reshaped"]
KINDS += ["face", "khatri_rao", "expanded times", "beside", "diagonal", "mapped", "toeplitz"]
KINDS += ["gathered", "grouped"]


@dataclass(frozen=True)
class Powers:
    """``x`` and ``x²``."""

    is_attribute_major: bool
    count = degree = 2

    def values(self, xp, x):
        return [x, x * x]

    def slopes(self, xp, x):
        return [xp.ones_like(x), 2.0 * x]


def powers(a, is_attribute_major):
    columns = [a[:, [j]] ** d for d in (1, 2) for j in range(a.shape[1])]
    if is_attribute_major:
        columns = [a[:, [j]] ** d for j in range(a.shape[1]) for d in (1, 2)]
    return np.concatenate(columns, axis=1)


def toeplitz(taps, n, D, before):
    def entry(h, k):
        return h[k] if 0 <= k < len(h) else 0.0

    return np.array([[entry(h, i - j + before) for h in taps for j in range(D)] for i in range(n)])


def face_splitting(a, b):
    return np.stack([np.kron(*rows) for rows in zip(a, b, strict=True)])


def factor(size):
    return st.sampled_from([f for f in range(1, size + 1) if size % f == 0])


@dataclass
class Formula:
    """A structure under construction: its holes, and how NumPy computes each part from their arrays."""

    draw: object
    shapes: dict = field(default_factory=dict)
    learned: dict = field(default_factory=dict)

    def hole(self, shape):
        """A hole of that shape, now and then one that is in use already."""
        known = [name for name, held in self.shapes.items() if held in (shape, shape[::-1])]
        name = self.draw(st.sampled_from([*known, f"h{len(self.shapes)}"]))
        if name not in self.shapes:
            self.shapes[name] = self.draw(st.sampled_from([shape, shape[::-1]]))
            self.learned[name] = self.draw(st.booleans()) or len(self.shapes) == 1
        held = self.shapes[name]
        streams = not self.learned[name] and self.draw(st.booleans())
        leaf = Streamed(name, held) if streams else Dense(name, held, is_learned=self.learned[name])
        if held == shape:
            return leaf, lambda a: a[name]
        return leaf.T, lambda a: a[name].T

    def leaf(self, n, D):
        options = ["hole", "hole", "hole", "identity", "constant"] + ["diagonal"] * (n == D)
        kind = self.draw(st.sampled_from(options))
        if kind == "identity":
            return Identity((n, D), 2.0), lambda a: 2 * np.eye(n, D)
        if kind == "constant":
            return Constant((n, D), -1.0), lambda a: -np.ones((n, D))
        if kind == "diagonal":
            name = f"v{len(self.shapes)}"
            self.shapes[name], self.learned[name] = (1, n), True
            return Diagonal(Dense(name, (1, n))), lambda a: np.diag(a[name][0])
        return self.hole((n, D))

    def build(self, n, D, depth):
        """A structure of that shape and its dense formula."""
        if depth == 0:
            return self.leaf(n, D)
        kind = self.draw(st.sampled_from(KINDS))
        if kind in ("face", "khatri_rao"):
            m = self.draw(factor(D if kind == "face" else n))
            if kind == "face":
                (A, a), (B, b) = self.build(n, m, depth - 1), self.build(n, D // m, depth - 1)
                return face(A, B), lambda h: face_splitting(a(h), b(h))
            (A, a), (B, b) = self.build(m, D, depth - 1), self.build(n // m, D, depth - 1)
            return khatri_rao(A, B), lambda h: face_splitting(a(h).T, b(h).T).T
        if kind == "toeplitz":
            r = self.draw(factor(D))
            before = self.draw(st.integers(0, D // r - 1))
            t = self.draw(st.integers(max(before, 1), n + before))
            A, a = self.build(r, t, depth - 1)
            return Toeplitz(A, n, D // r, before), lambda h: toeplitz(a(h), n, D // r, before)
        if kind == "expanded times":
            return self.expanded_times(n, D, depth - 1)
        if kind == "beside" and D > 1:
            m = self.draw(st.integers(1, D - 1))
            (A, a), (B, b) = self.build(n, m, depth - 1), self.build(n, D - m, depth - 1)
            return side_by_side((A, B)), lambda h: np.concatenate([a(h), b(h)], axis=1)
        if kind == "diagonal" and n == D:
            A, a = self.build(1, n, depth - 1)
            return Diagonal(A), lambda h: np.diag(a(h)[0])
        if kind == "mapped" and D % 2 == 0:
            basis = Powers(self.draw(st.booleans()))
            A, a = self.build(n, D // 2, depth - 1)
            return Map(basis, A), lambda h: powers(a(h), basis.is_attribute_major)
        if kind == "gathered":
            k = self.draw(st.integers(1, 4))
            index = self.draw(st.lists(st.integers(0, k), min_size=D, max_size=D))
            A, a = self.build(n, k, depth - 1)
            return A @ Gather(tuple(index), k), lambda h: np.pad(a(h), ((0, 0), (0, 1)))[:, index]
        if kind == "grouped":
            k = self.draw(st.integers(1, 3))
            A, a = self.build(n, D * k, depth - 1)
            return Groupwise(GroupProduct(), A, D), lambda h: np.prod(a(h).reshape(n, D, k), axis=-1)
        if kind == "product":
            k = self.draw(st.integers(1, 4))
            (A, a), (B, b) = self.build(n, k, depth - 1), self.build(k, D, depth - 1)
            return A @ B, lambda h: a(h) @ b(h)
        if kind == "kron":
            p, q = self.draw(factor(n)), self.draw(factor(D))
            (A, a), (B, b) = self.build(p, q, depth - 1), self.build(n // p, D // q, depth - 1)
            return kron(A, B), lambda h: np.kron(a(h), b(h))
        if kind == "reshaped":
            A, a = self.build(D, n, depth - 1)
            return reshaped(A, (n, D)), lambda h: a(h).reshape(n, D)
        if kind == "T":
            A, a = self.build(D, n, depth - 1)
            return A.T, lambda h: a(h).T
        A, a = self.build(n, D, depth - 1)
        if kind == "scaled":
            return -2.0 * A, lambda h: -2 * a(h)
        B, b = self.build(n, D, depth - 1)
        if kind == "sum":
            return A + B, lambda h: a(h) + b(h)
        return hadamard(A, B), lambda h: a(h) * b(h)

    def expanded_times(self, n, D, depth):
        """A product of a face-splitting product and what fits its two sides."""
        m, k = (self.draw(st.integers(1, 3)) for _ in range(2))
        (A, a), (B, b) = self.build(n, m, depth), self.build(n, k, depth)
        names = st.sampled_from(["kron", "khatri_rao", "streamed"])
        kinds = self.draw(st.lists(names, min_size=1, max_size=2))
        terms = []
        for kind in kinds:
            if kind == "streamed":
                name, held = f"s{len(self.shapes)}", (m * k, D)
                self.shapes[name], self.learned[name] = held, False
                terms.append((Streamed(name, held), lambda h, name=name: h[name]))
                continue
            q = self.draw(factor(D)) if kind == "kron" else D
            t = D // q if kind == "kron" else D
            (P, p), (Q, r) = self.build(m, q, depth), self.build(k, t, depth)
            if kind == "kron":
                terms.append((kron(P, Q), lambda h, p=p, r=r: np.kron(p(h), r(h))))
            else:
                terms.append((khatri_rao(P, Q), lambda h, p=p, r=r: face_splitting(p(h).T, r(h).T).T))
        M, expanded = add(*(M for M, _ in terms)), face(A, B)
        product = (M.T @ expanded.T).T if self.draw(st.booleans()) else expanded @ M
        return product, lambda h: face_splitting(a(h), b(h)) @ sum(dense(h) for _, dense in terms)


@dataclass
class Example:
    """A structure, integers for its holes and data, and its dense formula of the learned holes and x."""

    structure: object
    numbers: Numbers
    names: list
    arrays: dict
    dense: object

    def learned(self):
        return [self.arrays[name] for name in self.names]

    def formula(self, product, *more):
        """``product(dense matrix, *more)`` as a function of the learned holes and of what is more."""

        def of_one(*given):
            held = {**self.arrays, **dict(zip(self.names, given, strict=False))}
            return product(self.dense(held), *given[len(self.names) :])

        def of_all(*given):
            return over_lead(of_one, given, (2,) * len(given))

        return of_all, [*self.learned(), *more]


@st.composite
def examples(draw):
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    formula = Formula(draw)
    structure, dense = formula.build(*shape, draw(st.integers(0, 3)))
    seed = draw(st.integers(0, 1000))
    arrays = {}
    for i, (name, held) in enumerate(formula.shapes.items()):
        lead = draw(st.sampled_from([(), (2,)])) if formula.learned[name] else ()
        arrays[name] = integers(seed + i, *lead, *held)
    names = [name for name in arrays if formula.learned[name]]
    is_batched = any(arrays[name].ndim > 2 for name in names)
    backend = _arrays.backend_of("test", "w", np.zeros(1))
    return Example(
        structure, Numbers(backend, arrays, np.zeros((2, 1) if is_batched else 1)), names, arrays, dense
    )


@contextmanager
def thin(width):
    """A library in which arrays of no more columns than ``width`` are thin."""
    with mock.patch.object(layout, "THIN", width):
        yield


def spread(y, lead):
    """A result with all leading axes: one without any learned number has none of its own."""
    return np.broadcast_to(y, lead + y.shape[-2:])


widths = st.sampled_from([0, 1, 2, 32])


@settings(max_examples=300)
@given(examples(), widths)
def test_dense_form_and_its_pullback(example, width):
    formula, given_arrays = example.formula(lambda W: W)
    expected = formula(*given_arrays) if given_arrays else example.dense(example.arrays)
    with thin(width):
        W, pullback = example.structure.dense(example.numbers)
        assert_equal(spread(W, expected.shape[:-2]), expected)
        u = integers(1, *W.shape)
        cotangents = Cotangents(example.numbers)
        pullback(u, cotangents)
    formula, given_arrays = example.formula(lambda W: W)
    for name, expected in zip(example.names, gradients(formula, given_arrays, u, True), strict=True):
        assert_equal(cotangents.take(name, example.arrays[name].shape), expected)


@settings(max_examples=300)
@given(examples(), widths, st.sampled_from([(), (2,)]), st.booleans())
def test_product_with_rows_and_columns_and_their_pullbacks(example, width, lead, by_rows):
    n, D = example.structure.shape
    x = integers(2, *lead, *((3, n) if by_rows else (D, 3)))
    product = (lambda W, x: x @ W) if by_rows else (lambda W, x: W @ x)
    formula, given_arrays = example.formula(product, x)
    expected = formula(*given_arrays)
    with thin(width):
        structure_product = example.structure.rows if by_rows else example.structure.cols
        y, pullback = structure_product(x, example.numbers)
        assert_equal(spread(y, expected.shape[:-2]), expected)
        u = integers(3, *y.shape)
        cotangents = Cotangents(example.numbers)
        grad_x = pullback(u, cotangents)
    *grads, expected_grad_x = gradients(formula, given_arrays, u, True)
    assert_equal(example.numbers.unbroadcast(grad_x, x.shape), expected_grad_x)
    for name, expected in zip(example.names, grads, strict=True):
        assert_equal(cotangents.take(name, example.arrays[name].shape), expected)


@settings(max_examples=100)
@given(examples())
def test_tangent_is_the_derivative(example):
    formula, given_arrays = example.formula(lambda W: W)
    directions = [integers(4 + i, *a.shape) for i, a in enumerate(given_arrays)]
    if example.structure.tangent is None:
        assert not example.structure.learned
        return
    primed = {prime(name): d for name, d in zip(example.names, directions, strict=True)}
    dW = example.structure.tangent.dense(example.numbers.with_arrays(primed))[0]
    expected = derivative(formula, given_arrays, directions, True)
    assert_equal(spread(dW, expected.shape[:-2]), expected)


@settings(max_examples=100)
@given(examples())
def test_differences_beyond_the_degree_vanish(example):
    formula, given_arrays = example.formula(lambda W: W)
    if not given_arrays:
        return
    directions = [integers(4 + i, *a.shape) for i, a in enumerate(given_arrays)]
    order = example.structure.degree + 1
    steps = range(order + 1)
    values = [formula(*(a + t * d for a, d in zip(given_arrays, directions, strict=True))) for t in steps]
    assert not np.any(np.diff(np.stack(values), n=order, axis=0))


@settings(max_examples=50)
@given(examples())
def test_zeroing_makes_the_matrix_zero(example):
    if example.structure.zeroing is None:
        return
    zeros = {name: 0.0 * example.arrays[name] for name in example.structure.zeroing}
    assert not np.any(example.structure.dense(example.numbers.with_arrays(zeros))[0])


@settings(max_examples=100)
@given(examples())
def test_transpose_has_the_transposed_dense_form(example):
    structure = example.structure
    assert structure.T.shape == structure.shape[::-1]
    W = structure.dense(example.numbers)[0]
    assert_equal(structure.T.dense(example.numbers)[0], W.swapaxes(-1, -2))


def numbers_of(**arrays):
    return Numbers(_arrays.backend_of("test", "w", np.zeros(1)), arrays, np.zeros(1))


def test_sigmoid_overflows_nowhere():
    z = np.asarray([[-1000.0, 0.0, 1000.0]])
    y, pullback = Sigmoid(Dense("z", (1, 3))).dense(numbers_of(z=z))
    np.testing.assert_array_equal(y, [[0.0, 0.5, 1.0]])
    cotangents = Cotangents(numbers_of(z=z))
    pullback(np.ones((1, 3)), cotangents)
    np.testing.assert_array_equal(cotangents.take("z", (1, 3)), [[0.0, 0.25, 0.0]])


def test_side_by_side_equals_the_concatenation():
    parts = tuple(Dense(f"x{i}", (4, columns)) for i, columns in enumerate((1, 3, 2)))
    arrays = {part.name: integers(i, *part.shape) for i, part in enumerate(parts)}
    numbers, whole = numbers_of(**arrays), np.concatenate(list(arrays.values()), axis=-1)
    joined, x, z = side_by_side(parts), integers(7, 5, 4), integers(8, 6, 5)
    assert_equal(joined.dense(numbers)[0], whole)
    for structure_product, data, expected in ((joined.rows, x, x @ whole), (joined.cols, z, whole @ z)):
        y, pullback = structure_product(data, numbers)
        assert_equal(y, expected)
        cotangents, u = Cotangents(numbers), integers(9, *y.shape)
        grad_x = pullback(u, cotangents)
        is_rows = data is x
        assert_equal(grad_x, u @ whole.T if is_rows else whole.T @ u)
        gradient = data.T @ u if is_rows else u @ data.T
        for part, piece in zip(parts, np.split(gradient, [1, 4], axis=-1), strict=True):
            assert_equal(cotangents.take(part.name, part.shape), piece)


@pytest.mark.parametrize(
    "structure",
    [
        Dense("A", (2, 8)),
        Dense("A", (8, 2)).T,
        Dense("A", (8, 2)),
        Dense("A", (2, 8)).T,
        kron(Dense("A", (2, 3)), Dense("B", (4, 3))),
        kron(Dense("A", (3, 2)).T, Dense("B", (1, 4)).T),
    ],
    ids=["A", "Aᵀ", "narrowing A", "narrowing Aᵀ", "A ⊗ B", "Aᵀ ⊗ Bᵀ"],
)
def test_many_rows_in_runs_give_what_they_give_at_once(structure, monkeypatch):
    monkeypatch.setattr(layout, "RUN", 64)
    monkeypatch.setattr(layout, "SHORT", 1)
    shapes = {leaf.name: leaf.T.shape if leaf.is_transposed else leaf.shape for leaf in structure.leaves}
    arrays, moves = ({name: integers(seed, *shape) for name, shape in shapes.items()} for seed in (1, 2))
    x, gy = integers(3, 64, structure.shape[0]), integers(4, 64, structure.shape[1])
    numbers = numbers_of(**arrays)

    def dense(arrays):
        held = [arrays[leaf.name].T if leaf.is_transposed else arrays[leaf.name] for leaf in structure.leaves]
        return reduce(np.kron, held)

    y, pull = structure.rows(x, numbers)
    cotangents = Cotangents(numbers)
    assert_equal(y, x @ dense(arrays))
    assert_equal(pull(gy, cotangents), gy @ dense(arrays).T)
    for name, move in moves.items():
        moved = np.vdot(gy, x @ (dense(arrays | {name: arrays[name] + move}) - dense(arrays)))
        assert np.vdot(cotangents.take(name, move.shape), move) == moved


@settings(max_examples=100)
@given(st.tuples(st.integers(0, 60), st.integers(1, 6), st.integers(1, 6)), st.booleans(), st.booleans())
def test_products_are_the_same_in_whatever_way_they_are_laid_out(sizes, is_alone, is_transposed):
    rows, n, D = sizes
    a, b, c = integers(1, rows, n), integers(2, n, D), integers(3, rows, D)
    if is_transposed:
        a, b, c = (np.asfortranarray(each) for each in (a, b, c))
    with mock.patch.multiple(layout, ALONE=is_alone, RUN=64, CALL=1, SHORT=1, MANY=1):
        assert_equal(layout.product(a, b), np.einsum("ij,jk", a, b))
        assert_equal(layout.product_of_columns(a, c), np.einsum("ji,jk", a, c))


def test_shapes_that_do_not_fit_are_refused():
    A, B = Dense("A", (2, 3)), Dense("B", (2, 3))
    with pytest.raises(ValueError, match=r"product: shapes \(2, 3\) and \(2, 3\) do not fit"):
        chain(A, B)
    with pytest.raises(ValueError, match=r"sum: shapes differ, \(2, 3\) and \(3, 2\)"):
        add(A, B.T)


def test_contributions_with_and_without_batch_axes_add_up():
    v, row = Dense("v", (3, 1)), Dense("row", (1, 3))
    numbers = numbers_of(v=np.ones((3, 1)), row=np.ones((2, 1, 3)))
    # The pullback of the first term sums over the batch at once, that of the second does not.
    first = hadamard(v, v) @ Identity((1, 1), -1.0) @ Identity((1, 1), -2.0)
    W, pullback = (first + 2.0 * v + Diagonal(row) @ Identity((3, 1))).dense(numbers)
    cotangents = Cotangents(numbers)
    pullback(np.ones(W.shape), cotangents)
    assert_equal(cotangents.take("v", (3, 1)), np.full((3, 1), 2 * (4.0 + 2.0)))


def test_a_selection_of_columns_and_its_transpose():
    S = Gather((2, 0, 2, 2, 3), 3)
    dense = np.asarray([[0.0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [1, 0, 1, 1, 0]])
    numbers = numbers_of()
    x, z = integers(1, 5, 3), integers(2, 5, 5)
    for structure, expected in ((S, dense), (S.T, dense.T)):
        assert_equal(structure.dense(numbers)[0], expected)
        left, right = (x, z) if structure is S else (z.T, x.T)
        for product, data, value, slope in (
            (structure.rows, left, left @ expected, lambda g, expected=expected: g @ expected.T),
            (structure.cols, right, expected @ right, lambda g, expected=expected: expected.T @ g),
        ):
            y, pullback = product(data, numbers)
            assert_equal(y, value)
            u = integers(3, *y.shape)
            assert_equal(pullback(u, Cotangents(numbers)), slope(u))
    assert S @ Gather((3, 1, 4, 5), 5) == Gather((2, 0, 3, 3), 3)


def test_zeros_of_a_selection_cost_its_transpose_nothing():
    some, more = (Gather((3,) * times + (0, 1, 1), 3) for times in (1, 100))
    assert some.cols_cost(5) == more.cols_cost(5)


@settings(max_examples=30)
@given(st.data())
def test_a_toeplitz_matrix_by_transforms_equals_its_dense_form(data):
    n, D, r, rows = (data.draw(st.integers(1, 9)) for _ in range(4))
    before = data.draw(st.integers(0, D - 1))
    t = data.draw(st.integers(max(before, 1), n + before))
    matrix = Toeplitz(Dense("h", (r, t)), n, D, before)
    lead, batch = data.draw(st.sampled_from([((), ()), ((2,), ()), ((), (2,)), ((2,), (2,))]))
    arrays = {"h": integers(1, *batch, r, t)}
    numbers, x, u = (
        numbers_of(**arrays),
        integers(2, *lead, rows, n),
        integers(3, *(lead or batch), rows, r * D),
    )
    results = []
    for is_fast in (False, True):
        with mock.patch.object(Toeplitz, "_is_fast", lambda *_, is_fast=is_fast: is_fast):
            y, pullback = matrix.rows(x, numbers)
            cotangents = Cotangents(numbers)
            gx = numbers.unbroadcast(pullback(u, cotangents), x.shape)
            results.append([y, gx, cotangents.take("h", arrays["h"].shape)])
    for exact, by_transforms in zip(*results, strict=True):
        np.testing.assert_allclose(by_transforms, exact, atol=1e-10)


MISFITS = {
    "Gather": lambda: Gather((0, 4), 3),
    "Toeplitz": lambda: Toeplitz(Dense("h", (1, 3)), 2, 2, 2),
    "hadamard": lambda: hadamard(Dense("A", (2, 3)), Dense("v", (1, 3))),
    "reshaped": lambda: reshaped(Dense("A", (2, 3)), (5, 1)),
    "Diagonal": lambda: Diagonal(Dense("v", (3, 1))),
    "face": lambda: face(Dense("A", (2, 3)), Dense("B", (3, 2))),
    "khatri_rao": lambda: khatri_rao(Dense("A", (2, 3)), Dense("B", (3, 2))),
    "SideBySide": lambda: side_by_side((Dense("A", (2, 3)), Dense("B", (3, 2)))),
    "product": lambda: Dense("A", (2, 3)) @ Dense("B", (2, 3)),
    "sum": lambda: Dense("A", (2, 3)) + Dense("B", (3, 2)),
}


@pytest.mark.parametrize("name", MISFITS)
def test_parts_that_do_not_fit_are_refused(name):
    with pytest.raises(ValueError, match=name):
        MISFITS[name]()


def test_reads_of_one_array_inside_one_another_keep_their_cotangents_apart():
    n = 40
    a, F, c, s = Dense("a", (n, 2)), Dense("F", (n, n)), Dense("c", (2, n)), Dense("s", (2, 2))
    T, U = c @ F @ a, a.T @ F @ c.T
    structure = a @ (T @ s @ T + 2.0 * (T @ s @ T)) @ s @ U @ s @ T @ c
    arrays = {h.name: integers(i, *h.shape) for i, h in enumerate((a, F, c, s))}
    moves = {prime(name): integers(9 + i, *v.shape) for i, (name, v) in enumerate(arrays.items())}
    numbers = Numbers(_arrays.backend_of("test", "w", np.zeros(1)), arrays | moves, np.zeros(1))
    u = integers(5, n, n)
    _, pullback = structure.dense(numbers)
    cotangents = Cotangents(numbers)
    pullback(u, cotangents)
    forward = np.sum(u * structure.tangent.dense(numbers)[0])
    backward = sum(np.sum(cotangents.take(k, v.shape) * moves[prime(k)]) for k, v in arrays.items())
    np.testing.assert_allclose(backward, forward, rtol=1e-12)


@settings(max_examples=60)
@given(st.data())
def test_blocks_that_do_not_lie_along_expanded_rows_are_correlations(data):
    s, blocks, c, r, rows = (data.draw(st.integers(1, 3)) for _ in range(5))
    m = s * blocks
    shapes = {"u": (rows, m + 1), "v": (rows, m), "A": (blocks, c), "S": (s, r), "T": (r, m + 1)}
    if r > 1 and data.draw(st.booleans()):
        shapes |= {"S": (s, m + 1)}
        del shapes["T"]
    batch = {name: data.draw(st.sampled_from([(), (2,)])) for name in shapes}
    arrays = {name: integers(i, *batch[name], *shapes[name]) for i, name in enumerate(shapes)}
    holes = {name: Dense(name, shape) for name, shape in shapes.items()}
    B = holes["S"] @ holes["T"] if "T" in holes else holes["S"]
    W = kron(holes["A"], reshaped(B, (1, s * (m + 1))).T)
    product = face(holes["u"], holes["v"]) @ W
    assert any(isinstance(factor, Correlated) for factor in (product, *product.children))

    def dense(u, v, A, S, T=None):
        b = S if T is None else S @ T
        return face_splitting(u, v) @ np.kron(A, b.reshape(-1, 1))

    def formula(*given):
        return over_lead(dense, given, (2,) * len(given))

    numbers = Numbers(_arrays.backend_of("test", "w", np.zeros(1)), arrays, np.zeros((2, 1)))
    y, pullback = product.dense(numbers)
    expected = formula(*arrays.values())
    assert_equal(spread(y, expected.shape[:-2]), expected)
    u, cotangents = integers(9, *y.shape), Cotangents(numbers)
    pullback(u, cotangents)
    for name, gradient in zip(arrays, gradients(formula, list(arrays.values()), u, True), strict=True):
        assert_equal(cotangents.take(name, arrays[name].shape), gradient)


@settings(max_examples=30)
@given(st.data())
def test_an_entrywise_product_of_low_rank_is_applied_as_one(data):
    n, m, rows = (data.draw(st.integers(*sizes)) for sizes in ((16, 18), (16, 18), (1, 3)))
    shapes = {"A": (n, 2), "B": (2, m), "C": (n, 2), "D": (2, m)}
    batch = {name: data.draw(st.sampled_from([(), (2,)])) for name in shapes}
    arrays = {name: integers(i, *batch[name], *shapes[name]) for i, name in enumerate(shapes)}
    A, B, C, D = (Dense(name, shape) for name, shape in shapes.items())
    W, by_rows = hadamard(A @ B, C @ D), data.draw(st.booleans())
    assert isinstance(W, LowRankHadamard)
    x = integers(7, *((rows, n) if by_rows else (m, rows)))

    def product(A, B, C, D, x):
        return x @ ((A @ B) * (C @ D)) if by_rows else ((A @ B) * (C @ D)) @ x

    def formula(*given):
        return over_lead(product, given, (2,) * len(given))

    numbers = Numbers(_arrays.backend_of("test", "w", np.zeros(1)), arrays, np.zeros((2, 1)))
    y, pullback = (W.rows if by_rows else W.cols)(x, numbers)
    given_arrays = [*arrays.values(), x]
    expected = formula(*given_arrays)
    assert_equal(spread(y, expected.shape[:-2]), expected)
    u, cotangents = integers(9, *y.shape), Cotangents(numbers)
    grad_x = numbers.unbroadcast(pullback(u, cotangents), x.shape)
    *grads, expected_grad_x = gradients(formula, given_arrays, u, True)
    assert_equal(grad_x, expected_grad_x)
    for name, gradient in zip(arrays, grads, strict=True):
        assert_equal(cotangents.take(name, arrays[name].shape), gradient)
