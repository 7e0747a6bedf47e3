"""The kinds of orders that come with Gongfu, and what executes them and looks at their effects here."""

from gongfu.node.drivers import alarm_rule, device_block, node_upgrade, notice, point_write
from gongfu.node.drivers.bounded import BoundedDriver, BoundedProbe
from gongfu.node.drivers.context import DriverContext
from gongfu.registry.device_secrets import load_device_key
from gongfu.tree.orders.kinds import OrderKind
from gongfu.tree.orders.plugins import Driver, Probe

__all__ = ["DriverContext", "builtin_kinds", "drivers", "probes"]

_AT_ONCE = 4
_SECONDS = 60.0
_LOOKS_AT_ONCE = 8
_LOOK_SECONDS = 15.0


def builtin_kinds() -> tuple[OrderKind, ...]:
    """Return the declarations; only ``notice`` is obeyed unless the node allows more."""
    return (notice.KIND, device_block.KIND, alarm_rule.KIND, point_write.KIND, node_upgrade.KIND)


def drivers(context: DriverContext) -> dict[str, Driver]:
    """Return the drivers by name. Reads the key of device secrets from the data directory."""
    device_key = load_device_key(context.runtime.data_dir)
    return {
        notice.KIND.driver: notice.NoticeDriver(),
        device_block.KIND.driver: BoundedDriver(
            device_block.DeviceBlockDriver(context, device_key), at_once=1, seconds=_SECONDS
        ),
        # One after the other: orders about one name must not overtake each other.
        alarm_rule.KIND.driver: BoundedDriver(alarm_rule.AlarmRuleDriver(context), at_once=1, seconds=_SECONDS),
        point_write.KIND.driver: BoundedDriver(
            point_write.PointWriteDriver(context), at_once=_AT_ONCE, seconds=_SECONDS
        ),
        node_upgrade.KIND.driver: BoundedDriver(
            node_upgrade.NodeUpgradeDriver(context), at_once=1, seconds=node_upgrade.SECONDS
        ),
    }


def probes(context: DriverContext) -> dict[str, Probe]:
    """Return the probes by name."""
    return {
        name: BoundedProbe(probe, _LOOKS_AT_ONCE, _LOOK_SECONDS)
        for name, probe in (
            ("notice", notice.NoticeProbe(context)),
            ("device-block", device_block.DeviceBlockProbe(context)),
            ("alarm-rule", alarm_rule.AlarmRuleProbe(context)),
            ("point-write", point_write.PointWriteProbe(context)),
            ("node-upgrade", node_upgrade.NodeUpgradeProbe(context)),
        )
    }
