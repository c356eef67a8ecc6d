"""Adapters beside the libraries whose layouts they have: PEFT, LyCORIS, diffusers and mlx-lm."""

import copy
import json
import warnings

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
peft = pytest.importorskip("peft", reason="PEFT is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")

from safetensors import safe_open  # noqa: E402

from arrayfab.adapters import merge, read_adapter, write_adapter  # noqa: E402
from arrayfab.io.files import TensorFile  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

LINEAR = ["q_proj", "v_proj", "down_proj"]


def llama():
    config = transformers.LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=50,
        attention_bias=True,
    )
    return transformers.LlamaForCausalLM(config), torch.arange(10)[None]


def gpt2():
    config = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=50, n_positions=16)
    return transformers.GPT2LMHeadModel(config), torch.arange(10)[None]


class Convolutions(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one = torch.nn.Conv2d(4, 8, 3)
        self.two = torch.nn.Conv2d(8, 16, 1)
        self.head = torch.nn.Linear(16, 8)

    def forward(self, x):
        return self.head(self.two(self.one(x)).mean((2, 3)))


def convolutions():
    return Convolutions(), torch.linspace(-1, 1, 2 * 4 * 5 * 5).reshape(2, 4, 5, 5)


CONV = ["one", "two", "head"]

#: A model, and a configuration of PEFT.
CASES = {
    "lora": (llama, lambda: peft.LoraConfig(r=4, lora_alpha=8, target_modules=LINEAR)),
    "lora-root": (llama, lambda: peft.LoraConfig(r=3, lora_alpha=8, use_rslora=True, target_modules=LINEAR)),
    "lora-patterns": (
        llama,
        lambda: peft.LoraConfig(
            r=4,
            lora_alpha=8,
            rank_pattern={"q_proj": 2},
            alpha_pattern={"layers.0.self_attn.v_proj": 3},
            target_modules=LINEAR,
        ),
    ),
    "lora-embedding": (llama, lambda: peft.LoraConfig(r=4, target_modules=["embed_tokens", "q_proj"])),
    "lora-save": (llama, lambda: peft.LoraConfig(r=4, target_modules=LINEAR, modules_to_save=["lm_head"])),
    "lora-bias-all": (llama, lambda: peft.LoraConfig(r=4, target_modules=LINEAR, bias="all")),
    "lora-bias-only": (llama, lambda: peft.LoraConfig(r=4, target_modules=LINEAR, bias="lora_only")),
    "lora-lora-bias": (
        llama,
        lambda: peft.LoraConfig(r=4, lora_alpha=3, target_modules=["q_proj", "v_proj"], lora_bias=True),
    ),
    "lora-gpt2": (
        gpt2,
        lambda: peft.LoraConfig(r=4, target_modules=["c_attn", "attn.c_proj"], fan_in_fan_out=True),
    ),
    "lora-conv": (convolutions, lambda: peft.LoraConfig(r=4, lora_alpha=3, target_modules=CONV)),
    "dora": (llama, lambda: peft.LoraConfig(r=4, use_dora=True, target_modules=LINEAR)),
    "dora-embedding": (
        llama,
        lambda: peft.LoraConfig(r=4, use_dora=True, target_modules=["embed_tokens", "q_proj"]),
    ),
    "dora-gpt2": (
        gpt2,
        lambda: peft.LoraConfig(
            r=4, use_dora=True, target_modules=["c_attn", "attn.c_proj"], fan_in_fan_out=True
        ),
    ),
    "dora-conv": (convolutions, lambda: peft.LoraConfig(r=4, use_dora=True, target_modules=CONV)),
    "loha": (llama, lambda: peft.LoHaConfig(r=4, alpha=3, target_modules=LINEAR)),
    "loha-conv": (convolutions, lambda: peft.LoHaConfig(r=4, alpha=3, target_modules=CONV)),
    "loha-tucker": (
        convolutions,
        lambda: peft.LoHaConfig(r=4, alpha=3, use_effective_conv2d=True, target_modules=CONV),
    ),
    "lokr": (llama, lambda: peft.LoKrConfig(r=4, alpha=3, target_modules=LINEAR)),
    "lokr-both": (
        llama,
        lambda: peft.LoKrConfig(r=2, alpha=3, decompose_both=True, decompose_factor=8, target_modules=LINEAR),
    ),
    "lokr-half": (llama, lambda: peft.LoKrConfig(r=2, alpha=3, decompose_factor=2, target_modules=LINEAR)),
    "lokr-conv": (convolutions, lambda: peft.LoKrConfig(r=4, alpha=3, target_modules=CONV)),
    "lokr-conv-half": (
        convolutions,
        lambda: peft.LoKrConfig(r=1, alpha=3, decompose_factor=2, target_modules=CONV),
    ),
    "lokr-tucker": (
        convolutions,
        lambda: peft.LoKrConfig(
            r=1, alpha=3, decompose_factor=2, use_effective_conv2d=True, target_modules=CONV
        ),
    ),
    "vera": (llama, lambda: peft.VeraConfig(r=4, target_modules=["q_proj", "o_proj"], d_initial=0.3)),
    "ia3": (
        llama,
        lambda: peft.IA3Config(
            target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"]
        ),
    ),
    "ia3-gpt2": (
        gpt2,
        lambda: peft.IA3Config(
            target_modules=["c_attn", "mlp.c_proj"], feedforward_modules=["mlp.c_proj"], fan_in_fan_out=True
        ),
    ),
    "ia3-conv": (convolutions, lambda: peft.IA3Config(target_modules=CONV, feedforward_modules=["one"])),
    "oft": (
        llama,
        lambda: peft.OFTConfig(oft_block_size=8, target_modules=LINEAR, use_cayley_neumann=False),
    ),
    "oft-neumann": (
        llama,
        lambda: peft.OFTConfig(oft_block_size=8, target_modules=LINEAR, use_cayley_neumann=True),
    ),
    "oft-shared": (
        llama,
        lambda: peft.OFTConfig(
            oft_block_size=8, target_modules=LINEAR, use_cayley_neumann=False, block_share=True
        ),
    ),
    "oft-constrained": (
        llama,
        lambda: peft.OFTConfig(
            oft_block_size=8, target_modules=LINEAR, coft=True, eps=1e-2, use_cayley_neumann=False
        ),
    ),
    "oft-conv": (
        convolutions,
        lambda: peft.OFTConfig(oft_block_size=4, target_modules=CONV, use_cayley_neumann=False),
    ),
    "boft": (
        llama,
        lambda: peft.BOFTConfig(boft_block_size=4, boft_n_butterfly_factor=2, target_modules=LINEAR),
    ),
    "boft-deep": (
        llama,
        lambda: peft.BOFTConfig(boft_block_size=4, boft_n_butterfly_factor=3, target_modules=LINEAR),
    ),
    "boft-conv": (convolutions, lambda: peft.BOFTConfig(boft_block_size=4, target_modules=CONV)),
}


def trained(name, dtype, folder):
    """A base's file, and a model of PEFT on it whose numbers are all some way from where they started."""
    torch.manual_seed(0)
    make, config = CASES[name]
    model, x = make()
    model = model.to(dtype).eval()
    base = folder / "base.safetensors"
    safetensors.save_file({key: each.clone() for key, each in model.state_dict().items()}, base)
    if x.is_floating_point():
        x = x.to(dtype)
    adapted = peft.get_peft_model(copy.deepcopy(model), config()).eval()
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return base, model, adapted, x


def output(model, x):
    with torch.no_grad():
        result = model(x)
    return getattr(result, "logits", result)


def merged_by_arrayfab(base, adapter, folder, **options):
    merged = merge(base, adapter, folder / "merged.safetensors", **options)
    assert not merged.unmatched
    return safetensors.load_file(folder / "merged.safetensors")


@pytest.mark.parametrize("name", CASES)
def test_merged_weights_are_those_of_peft(tmp_path, name):
    base, _, adapted, _ = trained(name, torch.float32, tmp_path)
    adapted.save_pretrained(tmp_path / "adapter")
    found = merged_by_arrayfab(base, read_adapter(tmp_path / "adapter"), tmp_path)
    expected = adapted.merge_and_unload().state_dict()
    assert found.keys() == expected.keys()
    assert any(not torch.equal(found[key], each) for key, each in safetensors.load_file(base).items())
    for key, each in found.items():
        torch.testing.assert_close(
            each, expected[key], rtol=1e-6, atol=1e-6 * float(expected[key].abs().max())
        )


@pytest.mark.parametrize("name", CASES)
def test_bfloat16_is_that_of_peft_or_nearer_to_the_exact_one(tmp_path, name):
    base, _, adapted, _ = trained(name, torch.bfloat16, tmp_path)
    adapted.save_pretrained(tmp_path / "adapter")
    adapter = read_adapter(tmp_path / "adapter")
    found = merged_by_arrayfab(base, adapter, tmp_path)
    expected = adapted.merge_and_unload().state_dict()
    if all(torch.equal(found[key], expected[key]) for key in found):
        return
    wide = {key: each.double() for key, each in safetensors.load_file(base).items()}
    safetensors.save_file(wide, tmp_path / "wide.safetensors")
    exact = merged_by_arrayfab(tmp_path / "wide.safetensors", adapter, tmp_path)
    for key, each in exact.items():
        ours, theirs = (float((held[key].double() - each).norm()) for held in (found, expected))
        # Sums in another order may fall on the other side of a tie between two numbers of bfloat16.
        assert ours <= theirs * (1 + 1e-6), (key, ours, theirs)


@pytest.mark.parametrize("name", CASES)
def test_peft_loads_what_is_written(tmp_path, name):
    _, model, adapted, x = trained(name, torch.float32, tmp_path)
    adapted.save_pretrained(tmp_path / "adapter")
    write_adapter(read_adapter(tmp_path / "adapter"), tmp_path / "written")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*[Mm]issing.*")
        loaded = peft.PeftModel.from_pretrained(copy.deepcopy(model), tmp_path / "written").eval()
    expected = output(adapted, x)
    assert not torch.allclose(expected, output(model, x), atol=1e-3 * float(expected.abs().max()))
    torch.testing.assert_close(output(loaded, x), expected, rtol=1e-5, atol=1e-5)


lycoris = pytest.importorskip("lycoris", reason="LyCORIS is not installed")


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one = torch.nn.Conv2d(4, 16, 3)
        self.two = torch.nn.Conv2d(16, 8, 1)
        self.norm = torch.nn.LayerNorm(8)
        self.head = torch.nn.Linear(8, 32)

    def forward(self, x):
        return self.head(self.norm(self.two(self.one(x)).mean((2, 3))))


#: Options of LyCORIS's networks.
NETWORKS = {
    "locon": {"network_module": "locon", "alpha": 3},
    "locon-tucker": {"network_module": "locon", "alpha": 3, "use_tucker": True},
    "locon-norm": {"network_module": "locon", "alpha": 3, "train_norm": True},
    "dora": {"network_module": "locon", "alpha": 3, "weight_decompose": True},
    "dora-columns": {
        **{"network_module": "locon", "alpha": 3, "weight_decompose": True, "wd_on_out": False},
        "names": ["two", "head"],
    },
    "loha": {"network_module": "loha", "alpha": 4},
    "loha-tucker": {"network_module": "loha", "alpha": 4, "use_tucker": True},
    "doha": {"network_module": "loha", "alpha": 4, "weight_decompose": True},
    "lokr": {"network_module": "lokr", "alpha": 4},
    "lokr-factors": {"network_module": "lokr", "alpha": 1, "lora_dim": 1, "conv_lora_dim": 1, "factor": 2},
    "lokr-tucker": {
        **{"network_module": "lokr", "alpha": 1, "lora_dim": 1, "conv_lora_dim": 1, "factor": 2},
        "use_tucker": True,
    },
    "lokr-both": {
        **{"network_module": "lokr", "alpha": 1, "lora_dim": 1, "conv_lora_dim": 1},
        "decompose_both": True,
    },
    "dokr": {"network_module": "lokr", "alpha": 4, "weight_decompose": True},
    "ia3": {"network_module": "ia3"},
    "ia3-inputs": {"network_module": "ia3", "train_on_input": True},
    "full": {"network_module": "full"},
    "oft": {"network_module": "diag-oft", "rescaled": True},
    "oft-constrained": {"network_module": "diag-oft", "constraint": 1e-3},
    "boft": {"network_module": "boft", "rescaled": True},
    "boft-constrained": {"network_module": "boft", "constraint": 1e-3},
}


def network_of(name, model):
    options = {"names": ["one", "two", "norm", "head"]} | NETWORKS[name]
    ranks = {"lora_dim": 4, "conv_lora_dim": 4, "conv_alpha": options.get("alpha", 1)}
    lycoris.LycorisNetwork.apply_preset({"target_module": [], "target_name": options.pop("names")})
    return lycoris.LycorisNetwork(model, **ranks | options)


def trained_network(name, folder, dtype=torch.float32):
    """A base's file and one of an adapter, whose numbers are all some way from where they started."""
    torch.manual_seed(0)
    model = Network().to(dtype).eval()
    base, tensors = folder / "base.safetensors", {}
    safetensors.save_file({key: each.clone() for key, each in model.state_dict().items()}, base)
    network = network_of(name, model)
    with torch.no_grad():
        for module in network.loras:
            module.to(dtype)
            for parameter in module.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
            held = module.state_dict()
            if name == "full":  # which is only what it saves after it has been applied
                held = {"diff": module.weight, "diff_b": module.bias}
            tensors |= {f"{module.lora_name}.{key}": each for key, each in held.items()}
    safetensors.save_file(
        {key: each.detach().clone().contiguous() for key, each in tensors.items()},
        folder / "adapter.safetensors",
    )
    return base, model, network


def merged_by_lycoris(model, network):
    with torch.no_grad():
        network.merge_to(1.0)
    return model.state_dict()


def assert_same_weights(found, expected, base):
    assert sum(not torch.equal(found[key], each) for key, each in safetensors.load_file(base).items()) >= 2
    for key, each in found.items():
        torch.testing.assert_close(
            each, expected[key], rtol=1e-6, atol=1e-6 * float(expected[key].abs().max())
        )


@pytest.mark.parametrize("name", NETWORKS)
def test_merged_weights_are_those_of_lycoris(tmp_path, name):
    base, model, network = trained_network(name, tmp_path)
    found = merged_by_arrayfab(base, read_adapter(tmp_path / "adapter.safetensors"), tmp_path)
    assert_same_weights(found, merged_by_lycoris(model, network), base)


@pytest.mark.parametrize("name", NETWORKS)
def test_lycoris_loads_what_is_written(tmp_path, name):
    base, *_ = trained_network(name, tmp_path)
    adapter = read_adapter(tmp_path / "adapter.safetensors")
    write_adapter(adapter, tmp_path / "written.safetensors")
    written = safetensors.load_file(tmp_path / "written.safetensors")
    model = Network().eval()
    model.load_state_dict(safetensors.load_file(base))
    if "ia3" in name or name in ("lokr-both", "dora-columns"):  # which LyCORIS does not make of a file
        network = network_of(name, model)
        for module in network.loras:
            own = {
                key.removeprefix(f"{module.lora_name}."): each
                for key, each in written.items()
                if key.startswith(f"{module.lora_name}.")
            }
            module.load_state_dict(own)
    else:
        network, _ = lycoris.create_lycoris_from_weights(1.0, None, model, written)
    assert_same_weights(merged_by_arrayfab(base, adapter, tmp_path), merged_by_lycoris(model, network), base)


@pytest.mark.parametrize("name", ["loha", "lokr"])
def test_the_scale_is_that_of_lycoris_where_it_bypasses_the_weights(tmp_path, monkeypatch, name):
    """Its merge multiplies by alpha / r twice, which is one in the tests above."""
    monkeypatch.setitem(NETWORKS[name], "alpha", 3)
    base, model, network = trained_network(name, tmp_path)
    found = merged_by_arrayfab(base, read_adapter(tmp_path / "adapter.safetensors"), tmp_path)
    (head,) = (module for module in network.loras if module.lora_name == "lycoris_head")
    added = head.bypass_forward_diff(torch.eye(8)).T.detach()
    torch.testing.assert_close(found["head.weight"], model.head.weight + added, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["locon", "locon-tucker", "loha", "lokr", "lokr-factors", "full"])
def test_bfloat16_is_that_of_lycoris_where_both_round_once(tmp_path, monkeypatch, name):
    if name in ("loha", "lokr-factors"):  # of which LyCORIS does so for matrices alone
        monkeypatch.setitem(NETWORKS[name], "names", ["head"])
    base, model, network = trained_network(name, tmp_path, torch.bfloat16)
    found = merged_by_arrayfab(base, read_adapter(tmp_path / "adapter.safetensors"), tmp_path)
    with torch.no_grad():
        network.merge_to(1.0, precise=True)
    for key, each in model.state_dict().items():
        assert torch.equal(found[key], each), key


@pytest.mark.parametrize("name", ["lora", "lora-conv", "loha", "loha-tucker", "lokr-both", "lokr-tucker"])
def test_peft_loads_what_was_of_lycoris(tmp_path, name):
    """Through underscores and back, by the names of the base."""
    base, model, adapted, x = trained(name, torch.float32, tmp_path)
    adapted.save_pretrained(tmp_path / "adapter")
    write_adapter(read_adapter(tmp_path / "adapter"), tmp_path / "flat.safetensors", "lycoris")
    flat = read_adapter(tmp_path / "flat.safetensors")
    with pytest.raises(ValueError, match="give names="):
        write_adapter(flat, tmp_path / "back", "peft")
    write_adapter(flat, tmp_path / "back", "peft", names=TensorFile(base))
    loaded = peft.PeftModel.from_pretrained(copy.deepcopy(model), tmp_path / "back").eval()
    torch.testing.assert_close(output(loaded, x), output(adapted, x), rtol=1e-5, atol=1e-5)


def unet():
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    torch.manual_seed(0)
    return diffusers.UNet2DConditionModel(
        block_out_channels=(4, 8),
        norm_num_groups=4,
        layers_per_block=1,
        sample_size=8,
        cross_attention_dim=8,
        attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).eval()


def image(model):
    with torch.no_grad():
        return model(torch.ones(1, 4, 8, 8), torch.tensor([1]), torch.ones(1, 3, 8)).sample


@pytest.mark.parametrize(
    "options", [{}, {"use_dora": True}, {"rank_pattern": {"conv1": 2}, "use_rslora": True}]
)
def test_diffusers_files(tmp_path, options):
    model = unet()
    safetensors.save_file(model.state_dict(), tmp_path / "base.safetensors")
    before = image(model)
    config = peft.LoraConfig(r=4, lora_alpha=3, target_modules=["to_q", "to_out.0", "conv1"], **options)
    model.add_adapter(config)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora" in key:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_lora_adapter(tmp_path, weight_name="theirs.safetensors")
    expected = image(model)
    assert not torch.allclose(expected, before, atol=1e-2)

    # What a model saves alone has no part of a pipeline in front; a pipeline's file has.
    held = safetensors.load_file(tmp_path / "theirs.safetensors")
    with safe_open(tmp_path / "theirs.safetensors", "pt") as file:
        settings = json.loads(file.metadata()["lora_adapter_metadata"])
    settings = {f"unet.{key}": value for key, value in settings.items()}
    safetensors.save_file(
        {f"unet.{key}": each for key, each in held.items()},
        tmp_path / "adapter.safetensors",
        {"lora_adapter_metadata": json.dumps(settings)},
    )
    adapter = read_adapter(tmp_path / "adapter.safetensors")
    found = merged_by_arrayfab(tmp_path / "base.safetensors", adapter, tmp_path)
    merged = unet()
    merged.load_state_dict(found)
    torch.testing.assert_close(image(merged), expected, rtol=1e-5, atol=1e-5)

    write_adapter(adapter, tmp_path / "written.safetensors")
    loaded = unet()
    loaded.load_lora_adapter(tmp_path, weight_name="written.safetensors", prefix="unet")
    torch.testing.assert_close(image(loaded), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_mlx_files(tmp_path, kind):
    mx = pytest.importorskip("mlx.core", reason="mlx is not installed", exc_type=ImportError)
    utils = pytest.importorskip("mlx_lm.tuner.utils", reason="mlx-lm is not installed")
    from mlx.utils import tree_flatten
    from mlx_lm.models.llama import Model, ModelArgs

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2}
    args = ModelArgs(model_type="llama", vocab_size=50, rms_norm_eps=1e-5, num_key_value_heads=2, **sizes)
    mx.random.seed(0)
    model, x = Model(args), mx.arange(10)[None]
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(tmp_path / "base.safetensors"), weights)

    def adapted(folder):
        model = Model(args)
        model.load_weights(list(weights.items()))
        return utils.load_adapters(model, str(folder))

    parameters = {"rank": 4, "scale": 3.0, "dropout": 0.0}
    parameters["keys"] = ["self_attn.q_proj", "mlp.down_proj", "model.embed_tokens"]
    if kind == "dora":  # whose embeddings cannot be made
        parameters["keys"].pop()
    config = {"fine_tune_type": kind, "num_layers": -1, "lora_parameters": parameters}
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(config))
    utils.linear_to_lora_layers(model, -1, parameters, use_dora=kind == "dora")
    names = [key for key, _ in tree_flatten(model.parameters()) if key.endswith((".lora_a", ".lora_b", ".m"))]
    held = dict(tree_flatten(model.parameters()))
    tensors = {key: held[key] + 0.1 * mx.random.normal(held[key].shape) for key in names}
    mx.save_safetensors(str(folder / "adapters.safetensors"), tensors)
    expected = adapted(folder)(x)
    assert not mx.allclose(expected, Model(args)(x), atol=1e-2)

    adapter = read_adapter(folder)
    merge(tmp_path / "base.safetensors", adapter, tmp_path / "merged.safetensors")
    merged = Model(args)
    merged.load_weights(str(tmp_path / "merged.safetensors"))
    assert mx.allclose(merged(x), expected, rtol=1e-4, atol=1e-4)
    write_adapter(adapter, tmp_path / "written")
    assert mx.array_equal(adapted(tmp_path / "written")(x), expected)
