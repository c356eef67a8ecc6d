"""Training: mini-batches, optimizers, schedules, early stopping; runs that are resumed to the bit."""

from arrayfab.training.history import Epoch, History, accuracy
from arrayfab.training.optimizers import SGD, AdamW, clipped
from arrayfab.training.run import Run, Training
from arrayfab.training.schedules import Cosine, EarlyStopping, Exponential, Step

__all__ = [
    "SGD",
    "AdamW",
    "Cosine",
    "EarlyStopping",
    "Epoch",
    "Exponential",
    "History",
    "Run",
    "Step",
    "Training",
    "accuracy",
    "clipped",
]
