"""The named models of the RPN papers, as functions that return compositions of heads.

Options of a model that it does not name are fields of `arrayfab.Head`, for all of its heads: a fabrication,
an expansion, channels and so on. Left out, matrices are full and rows get a bias. A ``width`` makes that many
heads side by side, whose mean is taken.
"""

from arrayfab.models.joining import wide
from arrayfab.models.related import cnn, gat, gcn, rnn, transformer
from arrayfab.models.rowwise import kan, kernel_svm, mlp, naive_bayes, pgm, resnet

__all__ = [
    "cnn",
    "gat",
    "gcn",
    "kan",
    "kernel_svm",
    "mlp",
    "naive_bayes",
    "pgm",
    "resnet",
    "rnn",
    "transformer",
    "wide",
]
