import pytest

from tests.fixtures.nats import free_port


@pytest.fixture
def port():
    return free_port()
