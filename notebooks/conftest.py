"""Which notebooks are run by default: the first; they take their time."""

import pytest


@pytest.hookimpl(tryfirst=True)  # before what is slow is left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the notebooks slow, but for quickstart."""
    for item in items:
        if item.path.suffix == ".ipynb" and item.path.stem != "quickstart":
            item.add_marker(pytest.mark.slow)
