"""A training: what is learned and how, and a run of it, which can be saved at any step and resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.fabrications import Full
from arrayfab.frozen import checked_seed
from arrayfab.gradients import value_and_grad
from arrayfab.layer import Layer
from arrayfab.losses import softmax_cross_entropy
from arrayfab.training.batches import Data, first, order
from arrayfab.training.history import Epoch, History, Losses, numbers_of, progress_bar
from arrayfab.training.optimizers import AdamW, Optimizer, check_number, clipped
from arrayfab.training.schedules import EarlyStopping


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a layer is trained.

    Parameters
    ----------
    layer : Layer
        A role, or layers composed.
    loss : callable
        ``loss(y, target) → (value, grad_y)``, the mean over the rows, as those of `arrayfab.gradients`.
    optimizer : Optimizer
        `AdamW` or `SGD`.
    rate : float or callable
        The learning rate, or a schedule, ``schedule(epochs so far) → rate``: `Exponential`, `Cosine`, `Step`.
    smooth : bool
        Whether the schedule is followed from step to step, and not from epoch to epoch.
    batch_size, epochs : int
        Rows of a mini-batch (the last one of an epoch may have fewer), and passes over the data.
    clip : float, optional
        The largest Euclidean norm of the gradient.
    stopping : EarlyStopping, optional
        When to stop before all epochs are over.
    metric : callable, optional
        ``metric(y, target) → array of shape ()``, the mean over the rows, taken on the validation set.
    seed : int
        Of the order of the rows, another one in every epoch, and of the learned numbers to start from.
    shuffle : bool
    axis : int
        Along which axis of data and target the rows lie: 1 for ``k`` models with a ``w`` of shape ``(k, l)``.
    prepare : callable, optional
        ``prepare(x, target, step) → (x, target)`` makes a mini-batch what the layer takes: it casts, scales,
        moves to a device, adds noise. The step's number is the only thing that it may depend on beside; it is
        None for the validation set.
    compiled : callable, optional
        What ``objective(w, x, target) → (loss, gradient)`` is passed through, such as ``jax.jit``.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import Full, Reconciliation
    >>> from arrayfab.gradients import mean_squared_error
    >>> from arrayfab.training import Cosine, Training
    >>> role = Reconciliation(fabrication=Full(), n=1, D=2)
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> training = Training(layer=role, loss=mean_squared_error, rate=Cosine(0.1, epochs=20), epochs=20)
    >>> run = training.start(x, x @ np.asarray([[3.0], [4.0]])).train()
    >>> run.w.shape, run.history.epochs[-1].loss < run.history.epochs[0].loss
    ((2,), True)
    """

    layer: Layer
    loss: Callable[..., tuple[Any, Any]] = softmax_cross_entropy
    optimizer: Optimizer = field(default_factory=AdamW)
    rate: float | Callable[[float], float] = 1e-3
    smooth: bool = False
    batch_size: int = 64
    epochs: int = 10
    clip: float | None = None
    stopping: EarlyStopping | None = None
    metric: Callable[..., Any] | None = None
    seed: int = 0
    shuffle: bool = True
    axis: int = 0
    prepare: Callable[..., Any] | None = None
    compiled: Callable[..., Any] | None = None

    def __post_init__(self):
        if not isinstance(self.layer, Layer) or isinstance(self.layer, type):
            raise TypeError(f"Training: layer must be a role or layers composed, got {self.layer!r}")
        if not self.layer.num_parameters():
            raise ValueError(f"Training: there is nothing to learn in {self.layer}")
        if not hasattr(self.optimizer, "step") or isinstance(self.optimizer, type):
            raise TypeError(f"Training: optimizer must be one, such as AdamW(), got {self.optimizer!r}")
        for name in ("loss", "metric", "prepare", "compiled"):
            given = getattr(self, name)
            if not callable(given) and (given is not None or name == "loss"):
                raise TypeError(f"Training: {name} must be a function, got {given!r}")
        if not callable(self.rate):
            check_number("Training", "rate", self.rate)
        if self.clip is not None:
            check_number("Training", "clip", self.clip, above=0)
        for name, least in {"batch_size": 1, "epochs": 1, "axis": 0}.items():
            given = getattr(self, name)
            if not (_arrays.is_integer(given) and given >= least):
                raise ValueError(f"Training: {name} must be a whole number, at least {least}, got {given!r}")
        checked_seed("Training", self.seed)

    def start(
        self, x: Any, target: Array, w: Array | None = None, *, validation: tuple[Any, Any] | None = None
    ) -> Run:
        """A run from its first step.

        Parameters
        ----------
        x, target : array
            Data and target; ``x`` may be a list of arrays, for a layer that takes one.
        w : array, shape ``(..., l)``, optional
            Numbers to start from; ``layer.init`` with the seed gives them if left out.
        validation : pair, optional
            Data and target on which loss and metric are taken after every epoch.
        """
        if w is None:
            xp, like = self._home(x, target)
            w = self.layer.init(rng=self.seed, xp=xp, dtype=like.dtype, device=_arrays.device_of(like))
        return Run(self, x, target, w, validation)

    def resume(
        self,
        entries: Mapping[str, tuple[Any, ...]],
        x: Any,
        target: Array,
        *,
        validation: tuple[Any, Any] | None = None,
    ) -> Run:
        """A run from where another one was when its `Run.entries` were saved; `arrayfab.io.load` gives them.

        On NumPy it goes on to the same numbers, to the last bit, as without the interruption.
        """
        needed = {"w", "best", "losses", "history", "position"}
        if missing := needed - entries.keys():
            raise ValueError(f"Training: these are no entries of a run, {sorted(missing)} are not among them")
        xp, like = self._home(x, target)

        def moved(name):
            array = np.array(_arrays.to_host(entries[name][1]))  # a run writes into its state
            return _arrays.from_host(array, xp, getattr(xp, array.dtype.name), _arrays.device_of(like))

        run = Run(self, x, target, moved("w"), validation)
        steps, *saved = map(int, _arrays.to_host(entries["position"][1]))
        pairs = zip(run._settings().items(), saved, strict=True)
        if differing := [f"{name} was {then} and is {now}" for (name, now), then in pairs if now != then]:
            raise ValueError(f"Training: the run was one of other settings: {', '.join(differing)}")
        arrays = [moved(name) for name in sorted(entries) if name.startswith("state.")]
        run.state, run.steps = (steps, *arrays), steps
        history = _arrays.to_host(entries["history"][1])
        if len(history):
            run.best = moved("best")
        run.history.epochs += [Epoch(*map(float, row)) for row in history]
        run._losses = Losses(_arrays.to_host(entries["losses"][1]).tolist())
        return run

    def _home(self, x, target):
        """The namespace in which it is learned, and an array that lives where ``w`` shall."""
        prepared = self._prepared(*Data("x", x, target, self.axis).run(0, 1), None)
        like = first(prepared[0])
        return _arrays.check_real_floating("Training", "x", like).xp, like

    def _prepared(self, x, target, step):
        return (x, target) if self.prepare is None else self.prepare(x, target, step)


class Run:
    """A training under way, made by `Training.start` or `Training.resume`.

    Attributes
    ----------
    w : array
        The learned numbers now.
    best : array
        Those after the epoch of the smallest loss on the validation set; those now if there is none.
    steps : int
        Steps so far.
    history : History
    """

    def __init__(
        self, training: Training, x: Any, target: Array, w: Array, validation: tuple[Any, Any] | None
    ):
        self.training, self.w, self._best = training, w, None
        self._backend = _arrays.check_real_floating("Training", "w", w)
        self._data = Data("x", x, target, training.axis)
        if validation is not None and not (isinstance(validation, list | tuple) and len(validation) == 2):
            raise TypeError(f"Training: validation must be a pair of data and target, got {type(validation)}")
        if validation is None and (training.stopping or training.metric):
            raise ValueError("Training: stopping and metric need validation=(x, target)")
        self._validation = validation and Data("validation", *validation, training.axis)
        self.steps, self.history, self._losses = 0, History(), Losses([])
        self.state = training.optimizer.init(w)
        objective = value_and_grad(training.layer, training.loss)
        self._objective = training.compiled(objective) if training.compiled else objective
        self._order: Array = None  # of the rows in this epoch, where they live
        self._began = 0.0

    @property
    def best(self) -> Array:
        return self.w if self._best is None else self._best

    @best.setter
    def best(self, w: Array) -> None:
        self._best = w if self._validation else None

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self._data.rows / self.training.batch_size)

    @property
    def is_over(self) -> bool:
        """Whether all epochs are over, or it was stopped early."""
        stopping, epochs = self.training.stopping, self.history.epochs
        if stopping and epochs and stopping.stops(self.history.column("validation_loss")):
            return True
        return len(epochs) >= self.training.epochs

    def train(self, steps: int | None = None, *, progress: bool = False) -> Run:
        """Go on to the end, or for so many steps.

        Parameters
        ----------
        steps : int, optional
        progress : bool
            Whether to show a bar, where rich is installed and the standard error is a terminal.

        Raises
        ------
        FloatingPointError
            If a loss is not finite; on NumPy before the step is taken, elsewhere at the end of its epoch.
        """
        if steps is not None and not (_arrays.is_integer(steps) and steps >= 0):
            raise ValueError(f"Run.train: steps must be a whole number, at least 0, got {steps!r}")
        last = math.inf if steps is None else self.steps + steps
        per_epoch = self.steps_per_epoch
        with progress_bar(progress, self.steps, self.training.epochs * per_epoch) as show:
            text = ""
            while self.steps < last and not self.is_over:
                stop = min(last, (len(self.history.epochs) + 1) * per_epoch)
                while self.steps < stop:
                    rate = self._step()
                    show(self.steps, text or f"rate {rate:.2g}")
                if self.steps % per_epoch == 0:
                    epoch = self._end_epoch(rate)
                    text = f"loss {epoch.loss:.4g}, rate {epoch.rate:.2g}"
                    text += f", validation {epoch.validation_loss:.4g}" if self._validation else ""
                    show(self.steps, text)
        return self

    def entries(self) -> dict[str, tuple[Any, ...]]:
        """All that is needed to go on from here, for `arrayfab.io.save`."""
        layer, (_, *arrays), xp = self.training.layer, self.state, self._backend.xp
        numbers = {
            "losses": np.asarray(self._losses.on_host(), dtype=np.float64),
            "history": self.history.numbers(),
            "position": np.asarray([self.steps, *self._settings().values()], dtype=np.float64),
        }
        made = {"w": (layer, self.w), "best": (layer, self.best)}
        # A layer may hold large matrices: it is not saved with what is no w of its own.
        numbers |= {f"state.{i}": xp.asarray(array, copy=True) for i, array in enumerate(arrays)}
        return made | {name: (Full(), array) for name, array in numbers.items()}

    def _settings(self) -> dict[str, int]:
        """What must be the same where a run goes on."""
        training = self.training
        upper, lower = divmod(int(training.seed), 1 << 32)
        shuffle = int(training.shuffle)
        sizes = {"rows": self._data.rows, "batch_size": training.batch_size, "shuffle": shuffle}
        return sizes | {"seed // 2**32": upper, "seed % 2**32": lower}

    def _step(self):
        training, per_epoch = self.training, self.steps_per_epoch
        epoch, batch = divmod(self.steps, per_epoch)
        if self._order is None:
            self._order, self._began = self._shuffled(epoch), time.perf_counter()
        start, stop = (min(i * training.batch_size, self._data.rows) for i in (batch, batch + 1))
        x, target = training._prepared(*self._data.taken(self._order[start:stop]), self.steps)
        loss, gradient = self._objective(self.w, x, target)
        self._losses.append(loss)
        if self._backend.in_loops and not math.isfinite(loss):
            self._check_losses()
        if training.clip is not None:
            gradient = clipped(gradient, training.clip)
        at = epoch + batch / per_epoch if training.smooth else epoch
        rate = training.rate(at) if callable(training.rate) else training.rate
        self.w, self.state = training.optimizer.step(self.w, gradient, self.state, rate)
        self.steps += 1
        return rate

    def _shuffled(self, epoch):
        rows = self._data.rows
        numbers = order(int(self.training.seed), epoch, rows) if self.training.shuffle else np.arange(rows)
        like = first(self._data.x)
        xp = _arrays.backend_of("Training", "x", like).xp
        return _arrays.from_host(numbers, xp, None, _arrays.device_of(like))

    def _check_losses(self) -> list[float]:
        """The losses of this epoch; FloatingPointError where one is not finite."""
        losses, before = self._losses.on_host(), len(self.history.epochs) * self.steps_per_epoch
        for i, loss in enumerate(losses):
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"Training: the loss is {loss} at step {before + i + 1}, mini-batch {i + 1} of epoch "
                    f"{len(self.history.epochs) + 1}; lower the rate, clip the gradient, or scale the data"
                )
        return losses

    def _end_epoch(self, rate):
        losses, size, rows = self._check_losses(), self.training.batch_size, self._data.rows
        shares = (min(size, rows - i * size) / rows for i in range(len(losses)))
        loss = math.fsum(share * each for share, each in zip(shares, losses, strict=True))
        epoch = Epoch(loss, rate, *self._validated(), seconds=time.perf_counter() - self._began)
        self.history.epochs.append(epoch)
        self._order, self._losses = None, Losses([])
        if self._validation:
            rule = self.training.stopping or EarlyStopping()
            column = self.history.column("validation_loss")
            if rule.best(column) == len(column) - 1:
                self.best = self.w
        return epoch

    def _validated(self):
        """Loss and metric on the validation set."""
        if not self._validation:
            return math.nan, math.nan
        training, size, rows = self.training, self.training.batch_size, self._validation.rows
        totals: Array = 0.0
        for start in range(0, rows, size):
            batch = self._validation.run(start, min(start + size, rows))
            x, target = training._prepared(*batch, None)
            y = training.layer(x, self.w)
            found = [training.loss(y, target)[0], *([training.metric(y, target)] if training.metric else [])]
            totals = totals + self._backend.xp.stack(found) * (min(size, rows - start) / rows)
        loss, *metric = numbers_of([totals])
        return loss, metric[0] if metric else math.nan
