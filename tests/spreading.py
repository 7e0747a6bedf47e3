"""The order of tests when several workers share the work (`pytest -n 3 --dist loadfile`: a file goes to one worker).

The longest folders come first: a worker that is done early then still finds short files. Tests marked `alone` need the
machine for themselves, since they limit how long something of the product may take; `.ci/run` runs them after all
others.
"""

from pathlib import PurePosixPath

import pytest

_LONGEST_FIRST = ("system", "contract", "unit")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "alone: needs the machine for itself; see tests/spreading.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("dist", "no") == "loadfile":
        items.sort(key=_folder)


def _folder(item: pytest.Item) -> int:
    below_tests = PurePosixPath(item.nodeid).parts[1]
    return _LONGEST_FIRST.index(below_tests) if below_tests in _LONGEST_FIRST else len(_LONGEST_FIRST)
