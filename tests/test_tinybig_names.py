"""Every class of tinybig's packages is in `arrayfab.tinybig`, or has a reason not to be."""

import importlib
import inspect
import warnings

import pytest

import arrayfab.tinybig as door

_MEANS = "an algorithm of tinybig's own, with running means from call to call, also in evaluation"


def because(reason, names, ending=""):
    """A reason for every name in a text, each with the same ending."""
    return {name + ending: reason for name in names.split()}


#: What is not there, package by package, with the reason.
NOT_HERE = {
    "expansion": {},
    "compression": {
        **because(
            _MEANS,
            "incremental_feature_clustering_based_compression "
            "incremental_variance_threshold_based_compression",
        ),
    },
    "reconciliation": {},
    "interdependence": {},
    "fusion": {},
    "remainder": {},
    "head": {},
    "layer": {},
    "model": {},
}


@pytest.mark.parametrize("package", NOT_HERE)
def test_what_has_a_reason_is_not_there(package):
    there = [name for name in NOT_HERE[package] if inspect.isclass(getattr(door, name, None))]
    assert not there, "they are there, and need no reason"


@pytest.mark.parametrize("package", NOT_HERE)
@pytest.mark.filterwarnings("ignore")
def test_every_class_of_tinybig_is_there(package):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = importlib.import_module(f"tinybig.{package}")
        except Exception as error:  # it needs pinned versions of much, and some of its releases do not parse
            pytest.skip(f"tinybig cannot be imported: {error!r}")
    names = {
        name
        for name, value in vars(theirs).items()
        if inspect.isclass(value) and value.__module__.startswith("tinybig.")
    }
    missing = {name for name in names if not inspect.isclass(getattr(door, name, None))}
    assert missing == NOT_HERE[package].keys()


@pytest.mark.parametrize(
    "package",
    ["expansion", "compression", "fusion", "interdependence", "reconciliation", "remainder", "head", "layer"],
)
def test_packages_have_their_classes_too(package):
    module = importlib.import_module(f"arrayfab.tinybig.{package}")
    names = [name for name in vars(module) if not name.startswith("_")]
    assert names
    assert [getattr(door, name) for name in names] == [getattr(module, name) for name in names]
    ending = tuple(f"{each}" for each in (package, "fabrication", "transformation"))
    assert all(name.endswith(ending) for name in names)
