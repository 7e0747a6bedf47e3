"""The registry as one object: what the web host mounts and what tests open."""

from dataclasses import dataclass

from sqlalchemy import Engine

from gongfu.kernel.times import Clock, SystemClock
from gongfu.registry.assets import Assets, CheckType, any_type
from gongfu.registry.changes import Announce, silent
from gongfu.registry.device_import import DeviceImport
from gongfu.registry.devices import Devices
from gongfu.registry.events import CheckEvent, Events, any_event
from gongfu.registry.points import Points
from gongfu.registry.sessions import Sessions
from gongfu.registry.sign_in_limit import SignInLimit
from gongfu.registry.source_units import SourceUnits
from gongfu.registry.users import Users


@dataclass(frozen=True, slots=True)
class Registry:
    """All services of the registry on one engine."""

    engine: Engine
    sessions: Sessions
    users: Users
    assets: Assets
    devices: Devices
    device_import: DeviceImport
    points: Points
    events: Events
    source_units: SourceUnits


def open_registry(
    engine: Engine,
    device_key: bytes,
    *,
    clock: Clock | None = None,
    announce: Announce = silent,
    fits_type: CheckType = any_type,
    fits_event: CheckEvent = any_event,
) -> Registry:
    """Return the registry on migrated records.

    Args:
        engine: the records.
        device_key: ``device_secrets.load_device_key(data_dir)``.
        clock: the clock, by default the machine's.
        announce: called after the commit of each change, on the thread that made it.
        fits_type: raises when an asset cannot be of a type.
        fits_event: raises when an event is not as the type of its asset says.
    """
    clock = clock or SystemClock()
    return Registry(
        engine=engine,
        sessions=Sessions(engine, clock, SignInLimit()),
        users=Users(engine, clock, announce),
        assets=Assets(engine, clock, announce, fits_type),
        devices=Devices(engine, clock, announce, device_key),
        device_import=DeviceImport(engine, clock, announce, device_key),
        points=Points(engine, clock, announce),
        events=Events(engine, clock, fits_event),
        source_units=SourceUnits(engine, clock, announce),
    )
