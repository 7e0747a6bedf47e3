"""Which tests go together when several workers share the work (`pytest -n 3 --dist loadgroup`), and in which order.

Tests that share a fixture of their module or package go to one worker, so that it is made once; all others go wherever
a worker is free. The longest folders come first: a worker that is done early then still finds short tests. Tests marked
`alone` need the machine for themselves, since they limit how long something of the product may take; `.ci/run` runs
them after all others.
"""

from pathlib import PurePosixPath

import pytest

_SHARED = ("module", "package", "class")
_LONGEST_FIRST = ("system", "contract", "unit")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "alone: needs the machine for itself; see tests/spreading.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("loadgroup", False):
        return
    items.sort(key=_folder)
    for item in items:
        if group := _shared(item):
            item.add_marker(pytest.mark.xdist_group(group))


def _folder(item: pytest.Item) -> int:
    below_tests = PurePosixPath(item.nodeid).parts[1]
    return _LONGEST_FIRST.index(below_tests) if below_tests in _LONGEST_FIRST else len(_LONGEST_FIRST)


def _shared(item: pytest.Item) -> str:
    """Return a name of what the test shares with others, with the parameters of shared fixtures; "" for nothing."""
    if not isinstance(item, pytest.Function):
        return ""
    known = item._fixtureinfo.name2fixturedefs
    shared = {name for name, found in known.items() if found[-1].scope in _SHARED}
    if not shared:
        return ""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    chosen = [f"{name}={parameters[name]}" for name in sorted(shared & parameters.keys())]
    return " ".join([item.nodeid.partition("::")[0], *chosen])
