pytest_plugins = ["tests.fixtures.nats"]
