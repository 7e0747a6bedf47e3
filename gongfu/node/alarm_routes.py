"""The API about alarms on this node: suppression, rationalisation, key figures, notifications."""

from pathlib import Path

from sqlalchemy import Engine

from gongfu.kernel.times import Clock
from gongfu.node.data_directory import DataDirectory
from gongfu.node.event_publisher import EventPublisher
from gongfu.node.runtime import Runtime
from gongfu.node.shared_files.secrets import notify_folder, notify_link_key, secrets_in
from gongfu.reason.alarms.kpi import api as kpi
from gongfu.reason.alarms.kpi.service import KpiService
from gongfu.reason.alarms.operations import api as operations
from gongfu.reason.alarms.operations.service import SuppressionService
from gongfu.reason.alarms.rationalisation import api as rationalisation
from gongfu.reason.alarms.rationalisation.service import RationalisationService
from gongfu.reason.alarms.service import AlarmService
from gongfu.reason.notify import api as notify
from gongfu.reason.notify.channels.destinations import Destinations
from gongfu.reason.notify.service import NotificationService
from gongfu.rest.routing import Route


def alarm_routes(
    runtime: Runtime, engine: Engine, clock: Clock, publisher: EventPublisher, alarms: AlarmService
) -> list[Route]:
    """Return the routes.

    Args:
        runtime: the data directory.
        engine: migrated records.
        clock: present time.
        publisher: announces changed alarms.
        alarms: acknowledges what a link of a notification does.
    """
    directory = DataDirectory(Path(runtime.data_dir))
    shared = notify_folder(runtime, engine)
    if shared is not None:
        shared.start()
    secrets = secrets_in(directory.notify_secrets, shared)
    destinations = Destinations.of(runtime.notify.allow)
    notifications = NotificationService(engine, clock, secrets, alarms, directory.want_notify, destinations)
    link_key = notify_link_key(runtime)
    suppressions = SuppressionService(engine, clock, lambda event: publisher.publish("alarm", event))
    return [
        *operations.routes(suppressions),
        *rationalisation.routes(RationalisationService(engine, clock)),
        *kpi.routes(KpiService(engine, clock), engine, clock),
        *notify.routes(notifications, link_key),
    ]
