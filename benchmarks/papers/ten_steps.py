"""Ten steps of the published MNIST model, by arrayfab or by tinybig: a process each, for memory's sake.

    python benchmarks/papers/ten_steps.py arrayfab|tinybig

`mnist.py --tinybig` runs both. Prints as JSON how long a step takes, a median of ten, and the most memory
that the process held; or why the library could not be imported.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time

import numpy as np

BATCH = 64


def arrayfab_step():
    """A function that takes a step."""
    from arrayfab.training import AdamW, Training
    from mnist import KAPPA, published
    from reruns import xavier

    model = published(KAPPA)
    x, t = images()
    training = Training(layer=model, optimizer=AdamW(weight_decay=2e-4), rate=2e-3, batch_size=BATCH)
    run = training.start(x, t, xavier(model, 0))
    return lambda: run.train(1)


def tinybig_step():
    """The same, for the same model with an optimizer of PyTorch."""
    from tinybig.expansion import taylor_expansion
    from tinybig.model import rpn
    from tinybig.module.base_head import head
    from tinybig.module.base_layer import layer
    from tinybig.reconciliation import dual_lphm_reconciliation
    from tinybig.remainder import zero_remainder
    from torch import from_numpy
    from torch.nn import LayerNorm
    from torch.nn.functional import cross_entropy
    from torch.optim import AdamW

    def one(m, n, p, normalised=None):
        norm = {"postprocess_functions": LayerNorm(normalised)} if normalised else {}
        parts = head(
            m=m,
            n=n,
            data_transformation=taylor_expansion(d=2, **norm),
            parameter_fabrication=dual_lphm_reconciliation(p=p, q=m, r=5),
            remainder=zero_remainder(require_parameters=False, enable_bias=False),
        )
        return layer(m=m, n=n, heads=[parts])

    model = rpn(layers=[one(784, 64, 8), one(64, 64, 8, 4160), one(64, 10, 2, 4160)])
    optimizer = AdamW(model.parameters(), lr=2e-3, weight_decay=2e-4)
    x, t = (from_numpy(each) for each in images())

    def step():
        optimizer.zero_grad()
        cross_entropy(model(x), t).backward()
        optimizer.step()

    return step


def images() -> tuple[np.ndarray, np.ndarray]:
    """As many as a mini-batch has, made up."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(BATCH, 784)).astype(np.float32), rng.integers(0, 10, BATCH)


def main(library: str) -> dict:
    """Take the steps, and say what they took."""
    try:
        step = {"arrayfab": arrayfab_step, "tinybig": tinybig_step}[library]()
    except ImportError as error:
        return {"error": f"{library} cannot be imported: {error}"}
    step()  # the first one compiles, and allocates
    wall, processor = [], []
    for _ in range(10):
        began, used = time.perf_counter(), time.process_time()
        step()
        wall.append(time.perf_counter() - began)
        processor.append(time.process_time() - used)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds per step": statistics.median(wall),
        "processor seconds per step": statistics.median(processor),
        "peak MiB of the process": held / (1 << 20 if sys.platform == "darwin" else 1 << 10),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
