"""What holds for the whole suite."""

from __future__ import annotations

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse to run where tests of one group would be spread over workers: they share networks and follow each other.

    pytest-xdist keeps a group by the ending that it gives the ids of its tests, and says nothing where that fails.
    """
    grouped = item.get_closest_marker("xdist_group") is not None
    if grouped and getattr(item.config.option, "loadgroup", False) and "@" not in item.nodeid:
        pytest.fail("this pytest-xdist does not keep groups of tests with this pytest", pytrace=False)
