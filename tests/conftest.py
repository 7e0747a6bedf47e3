pytest_plugins = [
    "tests.spreading",
    "tests.fixtures.fmus",
    "tests.fixtures.nats",
    "tests.fixtures.nats_cluster",
    "tests.fixtures.node",
    "tests.fixtures.telemetry",
    "tests.fixtures.postgres",
    "tests.fixtures.records",
    "tests.fixtures.tree",
    "tests.fixtures.console",
]
