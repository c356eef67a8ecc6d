"""What every peer owes."""

from __future__ import annotations

import importlib
import importlib.metadata
import warnings
from typing import Any

from workloads import Calls, Problem, Workload

NOT_OFFERED = "has no such layer or operator"


class Peer:
    """A library, or one way of using it."""

    name: str
    #: The modules that must import, and the distribution whose version is stated.
    modules: tuple[str, ...] = ()
    package: str | None = None
    #: Whether its arrays are NumPy's, so that tracemalloc sees them.
    on_numpy = False
    #: Whether it forms W, so that large sizes are out of its reach.
    forms_matrix = False
    devices: tuple[str, ...] = ("cpu",)
    #: The workloads it can express; None for all.
    kinds: tuple[str, ...] | None = None
    #: The kinds in which it is known to compute another matrix; only shapes are compared there.
    differs: tuple[str, ...] = ()

    def missing(self, device: str = "cpu") -> str | None:
        """Why the peer cannot run here at all; None where it can."""
        if device not in self.devices:
            return f"not run on {device}"
        for module in self.modules:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    self.load(module)
            except ImportError as error:
                return f"not installed, or lacks what it imports: {error}"
            except Exception as error:  # a native library that does not start
                return f"does not start: {type(error).__name__}: {error}"
        return None

    def load(self, module: str) -> Any:
        return importlib.import_module(module)

    def skips(self, workload: Workload) -> str | None:
        """Why this workload is left out; None where it is not."""
        if self.kinds is not None and workload.kind not in self.kinds:
            return NOT_OFFERED
        return None

    def prepare(self, problem: Problem, device: str = "cpu") -> Calls:
        """The calls of both passes."""
        raise NotImplementedError

    @property
    def version(self) -> str | None:
        """The installed version, where the peer is a package."""
        try:
            return importlib.metadata.version(self.package) if self.package else None
        except importlib.metadata.PackageNotFoundError:
            return None
