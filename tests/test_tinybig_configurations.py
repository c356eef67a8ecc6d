"""Models from configurations of tinybig's, and what is refused in them."""

import copy
import sys

import numpy as np
import pytest

import arrayfab as af
import arrayfab.tinybig as door
from arrayfab.expansions import RowNormalized


def function(name, key="function", /, **parameters):
    return {f"{key}_class": f"tinybig.{name}", f"{key}_parameters": parameters}


def layer(m, n, p, q, norm):
    """A layer of the model for MNIST of arXiv:2407.04819."""
    norms = [
        {
            "function_class": "torch.nn.LayerNorm",
            "function_parameters": {"normalized_shape": norm, "device": "mps"},
        }
    ]
    head = {
        "l": None,
        "channel_num": 1,
        "data_transformation_configs": function(
            "expansion.taylor_expansion", d=2, postprocess_function_configs=norms
        ),
        "parameter_fabrication_configs": function("reconciliation.dual_lphm_reconciliation", p=p, q=q, r=5),
        "remainder_configs": function(
            "remainder.zero_remainder", require_parameters=False, enable_bias=False
        ),
    }
    heads = [{"head_class": "tinybig.module.rpn_head", "head_parameters": head}]
    parameters = {
        "m": m,
        "n": n,
        "width": None,
        "width_alloc": [1],
        "fusion_strategy": "average",
        "head_configs": heads,
    }
    return {"layer_class": "tinybig.module.rpn_layer", "layer_parameters": parameters}


LAYERS = [layer(784, 64, 8, 784, 615440), layer(64, 64, 8, 64, 4160), layer(64, 10, 2, 64, 4160)]
MODEL = function("model.rpn", "model", name="rpn", depth=3, depth_alloc=[1, 1, 1], layer_configs=LAYERS)
MNIST = {
    "configurations": {
        "device": "mps",
        "learner_configs": function("learner.backward_learner", "learner", n_epochs=20),
        "model_configs": MODEL | {"device": "mps"},
    }
}
SMALL = {
    "model_class": "tinybig.model.rpn",
    "model_parameters": {
        "layer_configs": [
            {
                "layer_class": "tinybig.module.rpn_layer",
                "layer_parameters": {
                    "m": 3,
                    "n": 2,
                    "head_fusion_configs": function("fusion.max_fusion", dims=[2, 2]),
                    "width_alloc": [2],
                    "head_configs": function(
                        "module.rpn_head",
                        "head",
                        data_transformation_configs=function("expansion.taylor_expansion", d=1),
                        parameter_fabrication_configs=function("reconciliation.lorr_reconciliation", r=1),
                    ),
                },
            }
        ]
    },
}


def test_mnist(tmp_path):
    yaml = pytest.importorskip("yaml")
    path = tmp_path / "mnist_dual_lphm.yaml"
    path.write_text(yaml.safe_dump(MNIST))
    model = door.from_config(path)
    assert (model.get_name(), model.num_parameters()) == ("rpn", 9330)
    assert [part.shape for part in model.parameters()] == [(1, 7925), (1, 725), (1, 680)]
    by_hand = af.Sequential(
        [
            af.Head(
                expansion=RowNormalized(expansion=af.Taylor(d=2)),
                fabrication=af.DualLPHM(p=p, q=q, r=5),
                n=n,
                m=m,
            )
            for m, n, p, q in ((784, 64, 8, 784), (64, 64, 8, 64), (64, 10, 2, 64))
        ]
    )
    assert model.composition() == by_hand
    x = np.random.default_rng(0).uniform(size=(3, 784)).astype(np.float32)
    w = by_hand.init(rng=0, dtype=np.float32)
    np.testing.assert_array_equal(model(x, w=w), by_hand(x, w))


def test_keys_of_earlier_versions():
    config = function("expansion.taylor_expansion", "data_transformation", d=2)
    parts = {
        "data_transformation_configs": config | {"postprocess_function_configs": []},
        "parameter_fabrication_configs": function(
            "reconciliation.lorr_reconciliation", "parameter_fabrication", r=1
        ),
    }
    with pytest.warns(UserWarning, match=r"\['postprocess_function_configs'\] are not read"):
        head = door.from_config(function("head.rpn_head", "head", m=3, n=2, **parts))
    assert head.composition().expansion == af.Taylor(d=2)


def test_a_configuration_is_left_as_it_is():
    config = copy.deepcopy(SMALL)
    model = door.from_config(config)
    assert config == SMALL
    assert (model.layers[0].width, model.num_parameters()) == (2, 10)
    assert door.from_config(model.to_config()).composition() == model.composition()


def changed(path, value):
    """The small configuration with another value at a place, or without it."""
    config = copy.deepcopy(SMALL)
    *within, last = path
    held = config
    for key in within:
        held = held[key]
    held[last] = value
    return config


WITHIN = ("model_parameters", "layer_configs", 0, "layer_parameters")
HEAD = (*WITHIN, "head_configs", "head_parameters")
KAPPA = (*HEAD, "data_transformation_configs")


def written(path):
    place = ""
    for key in path:
        place += f"[{key}]" if isinstance(key, int) else f".{key}"
    # A single configuration stands for a list of one.
    return place.removeprefix(".").replace("head_configs.", "head_configs[0].")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        *(
            ((*KAPPA, "function_class"), name, f"{name!r} is none of the classes")
            for name in (
                "os.system",
                "builtins.eval",
                "subprocess.taylor_expansion",
                "tinybig.expansion.tailor_expansion",
                "tinybig.os.taylor_expansion",
                "torch.nn.Linear",
                "__import__",
                "",
            )
        ),
        ((*KAPPA, "function_class"), 3, "3 is none of the classes"),
        ((*KAPPA, "function_class"), "tinybig.remainder.zero_remainder", "a transformation is wanted"),
        ((*HEAD, "remainder_configs"), function("fusion.max_fusion", dims=[1]), "a remainder is wanted"),
        ((*KAPPA, "function_parameters", "degree"), 2, "taylor_expansion has no such keyword"),
        ((*KAPPA, "function_parameters"), [2], "keywords must be a dictionary"),
        ((*KAPPA, "function_parameters", "d"), -1, "d"),
        ((*KAPPA,), 3, "a configuration must be a dictionary"),
        ((*KAPPA,), {}, "one key …_class"),
        ((*HEAD, "channels"), 2, "head has no such keyword"),
        ((*HEAD, "l"), 4, "l must be 5"),
        ((*WITHIN, "width"), 3, "are allotted"),
        ((*WITHIN, "m"), ..., "m is missing"),
        (("model_class",), "tinybig.model.rpn_", "is none of the classes"),
        (
            (*KAPPA, "function_parameters", "postprocess_function_configs"),
            [{"function_class": "os.system"}],
            "'os.system' is none of the classes",
        ),
    ],
)
def test_refused(path, value, message):
    with pytest.raises(door.ConfigurationError) as caught:
        door.from_config(changed(path, value))
    text = str(caught.value)
    assert message in text
    # The place is that of the key, or of what holds it.
    parts = [written(path[:end]) for end in range(len(path), 0, -1)]
    assert any(text.startswith(place) for place in parts[:2]), (text, parts[:2])


def test_no_module_is_imported():
    before = set(sys.modules)
    for name in ("antigravity.fly", "tinybig.antigravity.fly", "torch.antigravity"):
        with pytest.raises(door.ConfigurationError):
            door.from_config({"model_class": name})
    assert not {name for name in set(sys.modules) - before if "antigravity" in name or "tinybig." in name}


def test_files_are_refused(tmp_path, monkeypatch):
    with pytest.raises(OSError, match="none"):
        door.from_config(tmp_path / "none.yaml")
    pytest.importorskip("yaml")
    path = tmp_path / "broken.yaml"
    for text, message in (
        ("a: [", "no YAML"),
        ("3", "must be a dictionary"),
        ("!!python/name:os.system", "no YAML"),
    ):
        path.write_text(text)
        with pytest.raises(door.ConfigurationError, match=message) as caught:
            door.from_config(str(path))
        assert str(caught.value).startswith(str(path))
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ImportError, match=r"pip install 'arrayfab\[yaml\]'"):
        door.from_config(path)
