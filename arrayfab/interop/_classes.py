"""What a classifier makes of classes, and of matrices that were trained before."""

from __future__ import annotations

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from arrayfab import _arrays
from arrayfab.fabrications import Base
from arrayfab.gradients import softmax_cross_entropy
from arrayfab.interop._estimator import Estimator
from arrayfab.interop._samples import host, moved
from arrayfab.layer import Layer


class Classifying(Estimator):
    """Probabilities of classes as what there is to learn, and frozen bases that are adapted."""

    _made_of = (*Estimator._made_of, "base")

    def _validated(self, X, y, is_batch):
        """``X``, and the probability of every class."""
        X, y = validate_data(self, X, y, dtype="numeric", reset=self._is_first)
        y, found = self._labels(y)
        if not hasattr(self, "classes_"):
            self.classes_ = found
        if len(self.classes_) < 2:
            raise ValueError(f"{type(self).__name__}: y must hold two classes or more, got one class")
        known, names = set(self.classes_.tolist()), set(found.tolist())
        if not (names <= known if is_batch else names == known):
            self._refuse(f"y must hold {'classes of' if is_batch else 'the classes'} {self.classes_}", found)
        return X, (y[:, None] == self.classes_).astype(np.float64)

    def _target(self, y, weights):
        return y

    def _labels(self, y):
        """Labels on the host, and the classes among them."""
        y = host(y)
        check_classification_targets(y)
        return y, np.unique(y)

    @property
    def _is_binary(self):
        return len(self.classes_) == 2

    def _n_outputs(self, target):
        return 1 if self._is_binary else target.shape[1]

    def _loss(self, outputs, target, weights):
        value, grad = softmax_cross_entropy(self._logits(outputs), weights * target)
        return value, grad[:, -outputs.shape[1] :]

    def _logits(self, outputs):
        """One for every class; the first of two is zero."""
        if not self._is_binary:
            return outputs
        xp = _arrays.backend_of("logits", "outputs", outputs).xp
        return xp.concat([xp.zeros_like(outputs), outputs], axis=1)

    def _name_classes(self, classes):
        if classes is None and not hasattr(self, "classes_"):
            self._refuse("the first partial_fit needs all classes", classes)
        elif classes is not None:
            found = self._labels(classes)[1]
            self.classes_ = getattr(self, "classes_", found)
            if found.tolist() != self.classes_.tolist():
                self._refuse(f"classes must be those of the first call, {self.classes_}", classes)

    # Bases.

    def _fabrications(self, sizes, X):
        made, bases = super()._fabrications(sizes, X), self._bases(len(sizes) - 1)
        added = []
        for i, (fabrication, base) in enumerate(zip(made, bases, strict=True)):
            if base is None:
                added.append(fabrication)
                continue
            shape = (sizes[i + 1], sizes[i])
            if tuple(base.shape) != shape:
                self._refuse(f"base {i} must have shape {shape}", tuple(base.shape))
            added.append(Base(moved(type(self).__name__, f"base {i}", base, X)) + fabrication)
        return added

    def _bases(self, count):
        """One for every matrix, or None."""
        if self.base is None:
            return [None] * count
        bases = list(self.base) if isinstance(self.base, list | tuple) else [self.base]
        for base in bases:
            if not (base is None or hasattr(base, "shape")):
                self._refuse("base must be an array, or a list of arrays and None", base, TypeError)
        if len(bases) != count:
            self._refuse(f"base must hold {count} matrices or None, one for each matrix", f"{len(bases)}")
        return bases

    def _made_model(self, X, n_outputs):
        if self.base is not None and isinstance(self.model, Layer):
            self._refuse("model must be a fabrication, or a list of them, where there is a base", self.model)
        return super()._made_model(X, n_outputs)

    def _initial(self, model, **options):
        """Numbers with which every matrix that has a base is its base."""
        if self.base is None:
            return super()._initial(model, **options)
        bases = self._bases(len(model.layers[::2]))
        rng, xp = np.random.default_rng(options.pop("rng")), options["xp"]
        pairs = zip(model.layers[::2], bases, strict=True)
        return xp.concat([layer.init(rng=rng, zero=base is not None, **options) for layer, base in pairs])
