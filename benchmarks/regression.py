"""A Kronecker coefficient matrix beside ridge, on many rows: time, memory and error.

    OMP_NUM_THREADS=1 python benchmarks/regression.py

Prints the table of docs/gallery/kronecker-regression.md. Every fit runs in a process of its own, on the same
data in float32; its memory is by how much the resident set grows, the data left out. Takes some minutes, and
3 GiB of memory.
"""

from __future__ import annotations

import multiprocessing
import time

import numpy as np
from scipy.optimize import minimize
from sklearn.linear_model import Ridge

from arrayfab import Hypercomplex, Reconciliation
from arrayfab.gradients import mean_squared_error, scipy_objective
from arrayfab.training import Cosine, Training
from memory import MIB, resident_growth

ROWS, D, N = 100_000, 2_000, 40
ROLE = Reconciliation(fabrication=Hypercomplex(p=8, q=50), n=N, D=D)


def data(rows: int = ROWS):
    """Normal data, and targets through a Kronecker product with as much noise as there is signal."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, D), dtype=np.float32)
    w = ROLE.init(rng=1, dtype=np.float32)
    target = ROLE(x, w)
    target += np.std(target) * rng.standard_normal(target.shape, dtype=np.float32)
    return x, target, ROLE.matrix(w)


# The noise of a target is as large as D coefficients: no other alpha is better in the mean.
def ridge(x, target):
    """scikit-learn's, as it comes."""
    return Ridge(alpha=D).fit(x, target).coef_


def ridge_in_place(x, target):
    """scikit-learn's without an intercept, for which it does not copy the data."""
    return Ridge(alpha=D, fit_intercept=False, copy_X=False).fit(x, target).coef_


def by_lbfgs(x, target):
    """L-BFGS on all rows."""
    objective = scipy_objective(ROLE, mean_squared_error, x, target)
    start = ROLE.init(rng=0, dtype=np.float32)
    w = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 30}).x
    return ROLE.matrix(w.astype(np.float32))


def by_mini_batches(x, target):
    """AdamW, 400 steps."""
    epochs = ROWS // len(x)
    rate = Cosine(0.02, epochs=epochs)
    training = Training(
        layer=ROLE, loss=mean_squared_error, rate=rate, smooth=True, epochs=epochs, batch_size=250
    )
    return ROLE.matrix(training.start(x, target).train().w)


FITS = {
    "ridge": ridge,
    "ridge, no intercept": ridge_in_place,
    "Kronecker, L-BFGS": by_lbfgs,
    "Kronecker, mini-batches": by_mini_batches,
}


def measure(name: str, rows: int, line) -> None:
    """Fit once, and send the seconds, the growth of memory in MiB and the error of the coefficients."""
    x, target, truth = data(rows)
    FITS[name](x[:500], target[:500])  # what is read and made once does not count
    kept = []
    began = time.process_time()
    grown = resident_growth(lambda: kept.append(FITS[name](x, target)))
    seconds = time.process_time() - began
    line.send((seconds, grown / MIB, np.linalg.norm(kept[0] - truth) / np.linalg.norm(truth)))


def main() -> None:
    """Print the table."""
    print("| rows | fit | seconds of the processor | MiB above the data | error of the coefficients |")
    print("|---:|---|---:|---:|---:|")
    for rows in (4_000, ROWS):
        for name in FITS:
            here, there = multiprocessing.get_context("spawn").Pipe()
            process = multiprocessing.get_context("spawn").Process(target=measure, args=(name, rows, there))
            process.start()
            seconds, mib, error = here.recv()
            process.join()
            print(f"| {rows:,} | {name} | {seconds:.2f} | {mib:.0f} | {error:.3f} |", flush=True)


if __name__ == "__main__":
    main()
