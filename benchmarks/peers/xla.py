"""JAX under ``jit``: the formula by hand, and as one einsum."""

from __future__ import annotations

from peers.base import Peer
from workloads import Calls, Problem


class JaxPeer(Peer):
    """A peer that JAX differentiates and compiles."""

    modules = ("jax",)
    package = "jax"
    devices = ("cpu", "cuda")

    def load(self, module):
        jax = super().load(module)
        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_default_matmul_precision", "highest")
        return jax

    def y(self, problem: Problem, xs, k):
        """The result, from traced arrays."""
        raise NotImplementedError

    def missing(self, device="cpu"):
        why = super().missing(device)
        if why is None and device == "cuda":
            import jax

            return None if jax.default_backend() == "gpu" else "JAX finds no GPU"
        return why

    def prepare(self, problem: Problem, device: str = "cpu") -> Calls:
        import jax

        self.load("jax")
        asarray = jax.numpy.asarray
        xs, w, g = tuple(map(asarray, problem.xs)), asarray(problem.w), asarray(problem.g)
        frozen = {name: asarray(array) for name, array in problem.frozen.items()}

        # Frozen matrices are arguments: a constant would be folded into the program.
        def value(xs, w, frozen):
            return self.y(problem, xs, problem.named(w, frozen)).reshape(g.shape)

        def value_and_gradient(xs, w, frozen, g):
            y, pull = jax.vjp(lambda xs, w: value(xs, w, frozen), xs, w)
            return y, *pull(g)

        forward, gradient = jax.jit(value), jax.jit(value_and_gradient)
        # On a GPU whoever measures waits, once for many calls.
        ready = jax.block_until_ready if device == "cpu" else lambda result: result
        return Calls(
            lambda: ready(forward(xs, w, frozen)),
            lambda: ready(gradient(xs, w, frozen, g)),
        )


class JaxByHand(JaxPeer):
    """The formula of `formulas`."""

    name = "JAX by hand"

    def y(self, problem, xs, k):
        import jax.numpy as jnp

        return problem.workload.formula.by_hand(jnp, xs, k)


class JaxEinsum(JaxPeer):
    """One ``jax.numpy.einsum``, its path found when the program is traced."""

    name = "JAX einsum"

    def skips(self, workload):
        return None if workload.formula.spec else "the formula is no single einsum"

    def y(self, problem, xs, k):
        import jax.numpy as jnp

        formula = problem.workload.formula
        return jnp.einsum(formula.spec, *formula.einsum_operands(jnp, xs, k), optimize="optimal")
