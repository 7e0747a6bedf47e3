from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.history.served import ServedHistory


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHistory]:
    """A history process that the tests of a module share; each test takes its own series."""
    directory: Path = tmp_path_factory.mktemp("history")
    history = ServedHistory(directory)
    history.start()
    yield history
    if history.process is not None:
        history.kill()
