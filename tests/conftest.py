from hypothesis import HealthCheck, settings

# What an example takes by the clock says nothing on a machine that others use too: neither how long it runs (200 ms
# unless told) nor how long it takes to be made up.
settings.register_profile("gongfu", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gongfu")

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
