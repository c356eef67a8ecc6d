"""Adapter layers of PEFT and LyCORIS, each on a base layer that adds nothing and takes no time."""

from __future__ import annotations

from typing import Any

from peers.pytorch import TorchPeer
from workloads import Problem


def silent_linear(like: Any, n: int, D: int) -> Any:
    """A linear layer from ``D`` features to ``n`` that gives the number zero, and takes no memory."""
    import torch

    class Silent(torch.nn.Linear):
        def forward(self, x):
            return x.new_zeros(())

    layer = Silent(1, 1, bias=False)
    layer.in_features, layer.out_features = D, n
    layer.weight = torch.nn.Parameter(like.new_zeros(1).expand(n, D), requires_grad=False)
    return layer


class PeftLayer(TorchPeer):
    """A layer of PEFT, its numbers replaced by ours."""

    package = "peft"
    modules = ("torch", "peft")

    def layer(self, problem: Problem, w: Any, frozen: dict) -> tuple[Any, list]:
        """The layer, and its learned tensors in the order of ``w``."""
        raise NotImplementedError

    def build(self, problem, xs, w, frozen):
        layer, learned = self.layer(problem, w, frozen)
        layer.train()
        (x,) = xs
        return lambda: layer(x), learned


def parameters(problem: Problem, w: Any) -> dict[str, Any]:
    """The blocks of ``w`` as parameters of their own."""
    import torch

    blocks = problem.learned(w.detach()).items()
    return {name: torch.nn.Parameter(block.clone()) for name, block in blocks}


class LoRA(PeftLayer):
    """``x (A Bᵀ)ᵀ`` by PEFT's LoRA."""

    name = "PEFT LoRA"
    kinds = ("low rank reconciliation",)

    def layer(self, problem, w, frozen):
        from peft import LoraConfig
        from peft.tuners.lora.layer import Linear

        r = problem.workload.role.fabrication.r
        layer = Linear(
            silent_linear(w, *problem.workload.matrix), "default", config=LoraConfig(r=r), r=r, lora_alpha=r
        )
        blocks = parameters(problem, w)
        layer.lora_B["default"].weight, layer.lora_A["default"].weight = blocks["A"], blocks["Bt"]
        return layer, list(blocks.values())


class VeRA(PeftLayer):
    """``x (Λ₁ A Λ₂ Bᵀ)ᵀ`` by PEFT's VeRA, with our frozen matrices."""

    name = "PEFT VeRA"
    kinds = ("adaption reconciliation",)

    def layer(self, problem, w, frozen):
        from peft import VeraConfig
        from peft.tuners._buffer_dict import BufferDict
        from peft.tuners.vera.layer import Linear

        r, config = problem.workload.role.fabrication.r, VeraConfig()
        down, up = BufferDict({"default": frozen["B"].T.contiguous()}), BufferDict({"default": frozen["A"]})
        layer = Linear(silent_linear(w, *problem.workload.matrix), down, up, "default", config=config, r=r)
        blocks = parameters(problem, w)
        layer.vera_lambda_b["default"] = blocks["lambda_1"]
        layer.vera_lambda_d["default"] = blocks["lambda_2"]
        return layer, [layer.vera_lambda_b["default"], layer.vera_lambda_d["default"]]


class LoKr(PeftLayer):
    """``x (A ⊗ B)ᵀ`` and ``x (A ⊗ S Tᵀ)ᵀ`` by PEFT's LoKr, which builds the Kronecker product."""

    name = "PEFT LoKr"
    kinds = ("hm reconciliation", "lphm reconciliation")
    forms_matrix = True

    def layer(self, problem, w, frozen):
        from peft import LoKrConfig
        from peft.tuners.lokr.layer import Linear

        n, D = problem.workload.matrix
        # A rank beyond every factor's means a factor that is not split further.
        r = getattr(problem.workload.role.fabrication, "r", max(n, D))
        config = LoKrConfig(r=r, alpha=r)
        layer = Linear(silent_linear(w, n, D), "default", config=config, r=r, alpha=float(r))
        blocks = parameters(problem, w)
        names = {"A": "lokr_w1", "B": "lokr_w2", "S": "lokr_w2_a", "Tt": "lokr_w2_b"}
        for name, block in blocks.items():
            getattr(layer, names[name])["default"] = block
        return layer, list(blocks.values())


class LycorisBypass(TorchPeer):
    """LyCORIS's factored bypass of the same two products, which does not build them."""

    name = "LyCORIS bypass"
    package = "lycoris-lora"
    modules = ("torch", "lycoris.functional.lokr")
    kinds = ("hm reconciliation", "lphm reconciliation")

    def build(self, problem, xs, w, frozen):
        from lycoris.functional.lokr import kron_bypass

        (x,) = xs

        def call():
            k = problem.named(w, frozen)
            return kron_bypass(x, k["A"], None, None, k.get("B"), k.get("S"), k.get("Tt"))

        return call, [w]
