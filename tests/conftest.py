pytest_plugins = [
    "tests.fixtures.nats",
    "tests.fixtures.telemetry",
    "tests.fixtures.postgres",
    "tests.fixtures.records",
]
