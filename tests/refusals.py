"""What every clear error is held to."""

import pytest


def assert_refused(call, message):
    """A call raises TypeError or ValueError, with that text in its message."""
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert message in str(caught.value), str(caught.value)
