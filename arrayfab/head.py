"""A head of a reconciled polynomial network, joined from its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from arrayfab._arrays import Array
from arrayfab._cached import cached_property
from arrayfab.composition import Parallel, Sequential
from arrayfab.expansions import Expansion
from arrayfab.fabrications import Fabrication
from arrayfab.fabrications.blueprint import settle_sizes
from arrayfab.fusions import FUSIONS, Fusion
from arrayfab.layer import Layer
from arrayfab.outline import Line, Outline, formula, outline, table
from arrayfab.roles import Reconciliation
from arrayfab.ruled import Ruled, is_ruled
from arrayfab.structures import Cost
from arrayfab.wiring import Applied, Bias, Channels


@dataclass(frozen=True, kw_only=True)
class Head(Ruled):
    """``y = fuse_c( A_i(x)ᵀ κ(x A_a(x)) ψ(w_c)ᵀ ) + b + π(x)``: all that a head of the RPN papers does.

    Every part but the fabrication may be left out. The learned numbers of the parts follow one another in
    ``w`` in the order in which they act: attribute interdependence, fabrication and instance interdependence,
    these for one channel after another, then fusion, bias and remainder. The channels share their frozen
    matrices, and are computed as one product.

    Parameters
    ----------
    fabrication : Fabrication
        ``ψ``.
    n, m : int
        Columns of ``y`` and of ``x``.
    expansion : Expansion, optional
        ``κ``. Left out, ``κ(x) = x``.
    attribute : Layer, optional
        ``x → x A_a(x)``, an interdependence among attributes.
    instance : Layer, optional
        ``z → A_i(x)ᵀ z``, an interdependence among instances, which acts on the ``n`` columns of the product:
        by the associative law that is what it does to ``κ`` before. One whose ``A`` follows from the data
        (``needs_data``) takes it from ``x``, by its layer ``coupled`` of ``[x, z]``.
    channels : int
        How many matrices ``ψ(w_c)`` there are.
    fusion : str or Layer, optional
        One of the names of `arrayfab.Fusion`, or a layer that makes one array of a list of them, one for
        every channel. Left out, the mean. One channel is not fused.
    remainder : Layer, optional
        ``π``, such as one of `arrayfab.remainders`. Left out, it is zero.
    bias : bool
        Whether ``n`` more numbers are learned that are added to every row, once for all channels.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import DualLPHM, Head, Taylor, remainders
    >>> head = Head(
    ...     expansion=Taylor(d=2),
    ...     fabrication=DualLPHM(r=2),
    ...     channels=3,
    ...     remainder=remainders.linear(m=4, n=6),
    ...     n=6,
    ...     m=4,
    ... )
    >>> head(np.ones((5, 4)), head.init(rng=0)).shape, head.num_parameters()
    ((5, 6), 108)
    """

    fabrication: Fabrication
    n: int
    m: int
    expansion: Expansion | None = None
    attribute: Layer | None = None
    instance: Layer | None = None
    channels: int = 1
    fusion: str | Layer | None = None
    remainder: Layer | None = None
    bias: bool = False

    def __post_init__(self):
        settle_sizes(self, "n", "m", "channels")
        for name in ("attribute", "instance", "fusion", "remainder"):
            _check_part(name, getattr(self, name))
        if not isinstance(self.bias, bool):
            raise TypeError(f"Head: bias must be True or False, got {self.bias!r}")
        self.whole  # noqa: B018 - the parts must fit each other

    @cached_property
    def whole(self) -> Any:
        """The layer that the parts make: the head does what this one does."""
        product = self._product
        branch = product if self.attribute is None else Sequential([self.attribute, product])
        if self.instance is not None:
            branch = _applied(self.instance, branch)
        if self.channels > 1:
            is_one = is_ruled(branch) and branch.is_whole
            each = Channels(branch, self.channels) if is_one else Parallel([branch] * self.channels)
            branch = self._made("fusion", lambda: Sequential([each, self._fused]))
        if self.bias:
            branch = Sequential([branch, Bias(self.n)])
        if self.remainder is None:
            return branch
        added = self._columns("remainder", self.remainder, (self._rows, self.m))
        if added not in (None, self.n):
            raise ValueError(f"Head: remainder must give n={self.n} columns for m={self.m}, got {added}")
        both = self._made("remainder", lambda: Parallel([branch, self.remainder]))
        return Sequential([both, Fusion("sum", 2)])

    @property
    def _product(self):
        columns = self._columns("attribute", self.attribute, (self._rows, self.m)) or self.m
        return self._made("fabrication", lambda: self._reconciliation(columns))

    def _reconciliation(self, columns):
        product = Reconciliation(fabrication=self.fabrication, expansion=self.expansion, n=self.n, m=columns)
        product.num_parameters()  # the hyper-parameters must fit the sizes
        return product

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """The shape of the matrix to fabricate for every channel."""
        return self._product.matrix_shape

    @property
    def _fused(self):
        if self.fusion is None or isinstance(self.fusion, str):
            return Fusion(self.fusion or "mean", self.channels)
        return self.fusion

    @property
    def b(self) -> int | None:
        """How many rows the data must have, None where any number will do."""
        parts = (getattr(part, "b", None) for part in (self.attribute, self.instance))
        return next((b for b in parts if b is not None), None)

    @property
    def _rows(self):
        return self.b or 1

    def _columns(self, name, layer, given):
        """How many columns a part gives, None where it is left out or not known."""
        if layer is None:
            return None
        result = self._made(name, lambda: outline(layer, given).result)
        return None if result is None else result[-1]

    def _made(self, name, make):
        """What a part is made into; errors name the part."""
        try:
            return make()
        except (TypeError, ValueError) as error:
            raise type(error)(f"Head: {name}: {error}") from error

    # It is called, trained and written down as the layer that its parts make.
    @property
    def label(self):  # type: ignore[override]
        return "Head"

    @property
    def core(self):  # type: ignore[override]
        return self.whole.core

    @property
    def given(self):
        return self.whole.given

    @property
    def follows_w(self):
        return getattr(self.whole, "follows_w", True)

    @property
    def is_whole(self):  # type: ignore[override]
        return self.whole.is_whole

    @property
    def holds_arrays(self):  # type: ignore[override]
        return self.whole.holds_arrays

    @property
    def has_frozen(self):  # type: ignore[override]
        return self.whole.has_frozen

    @property
    def streams(self):  # type: ignore[override]
        return self.whole.streams

    def num_parameters(self) -> int:
        """The length of ``w``: those of the parts, of some once for every channel, added up."""
        return self.whole.num_parameters()

    def init(self, **options: Any) -> Array:
        """Random learned numbers for all parts; the options are those of `Fabrication.init`."""
        return self.whole.init(**options)

    def cost(self, *shapes: tuple[int, ...]) -> Cost:
        """What a call takes for data of this shape."""
        self._check_inputs([tuple(shape) for shape in shapes])
        return outline(self.whole, tuple(shapes[0])).cost

    def outline(self, given, at="") -> Outline:
        """The head on one line, for data of a shape."""
        parts = outline(self.whole, given)
        learned, dense = (sum(getattr(line, name) for line in parts.lines) for name in ("learned", "dense"))
        names = (
            "attribute",
            "expansion",
            "fabrication",
            "instance",
            "channels",
            "fusion",
            "bias",
            "remainder",
        )
        said = [
            formula(held) if isinstance(held, Expansion | Fabrication) else f"{name}={formula(held)}"
            for name in names
            if (held := getattr(self, name)) != getattr(type(self), name, None)
        ]
        text = f"Head({', '.join(said)})"
        return Outline([Line(at, text, given, parts.result, learned, dense, parts.cost)], parts.result)

    def __str__(self):
        return table(self)

    def _check_inputs(self, shapes):
        (shape,) = shapes
        if not shape or shape[-1] != self.m:
            raise ValueError(f"Head: x must have m={self.m} columns, got shape {shape}")
        if self.is_whole:
            self.whole._check_inputs(shapes)

    def _frozen(self, w, backend):
        return self.whole._frozen(w, backend)

    def _rule(self, backend, x, w, frozen, wrt):
        return self.whole._rule(backend, x, w, frozen, wrt)

    def _push(self, backend, x, w, dx, dw, frozen):
        return self.whole._push(backend, x, w, dx, dw, frozen)


def _check_part(name, part):
    if name == "fusion" and isinstance(part, str):
        if part not in FUSIONS:
            raise ValueError(f"Head: fusion must be one of {list(FUSIONS)} or a layer, got {part!r}")
    elif part is not None and (isinstance(part, type) or not isinstance(part, Layer)):
        raise TypeError(f"Head: {name} must be a layer, got {part!r}")


def _applied(instance, branch):
    """The branch with an interdependence among instances behind it."""
    if not getattr(instance, "needs_data", True):
        return Sequential([branch, instance])
    if not hasattr(instance, "coupled"):
        raise TypeError(
            "Head: instance must say how what x makes depend on each other acts on other data: by a layer "
            f"coupled of [x, z], or by needs_data=False where x makes no difference; got {instance!r}"
        )
    return Applied((branch, instance.coupled))
