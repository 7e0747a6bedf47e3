pytest_plugins = ["tests.fixtures.nats", "tests.fixtures.telemetry"]
