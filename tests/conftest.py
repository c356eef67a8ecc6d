"""The namespace fixture and the profile of the property tests."""

import gc

import pytest
from hypothesis import HealthCheck, settings
from namespaces import ENTRIES

settings.register_profile(
    "arrayfab",
    max_examples=20,
    deadline=None,
    derandomize=False,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("arrayfab")


def pytest_collection_finish():
    """The garbage collector then leaves alone what lives until the end: the tests, and what they import."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def strict_namespace_is_strictest():
    """array_api_strict then refuses what a lazy or compiled namespace refuses."""
    strict = pytest.importorskip("array_api_strict")
    strict.set_array_api_strict_flags(data_dependent_shapes=False, boolean_indexing=False)
    yield
    strict.reset_array_api_strict_flags()


@pytest.fixture(params=[entry.param for entry in ENTRIES], scope="session")
def namespace(request):
    """Every namespace in turn."""
    return request.param
