"""All connections of a machine at work: started, changed and ended as the records say."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gongfu.connect.connections import records
from gongfu.connect.connections.secrets import ConnectionSecrets
from gongfu.connect.connections.types import Connection
from gongfu.connect.kit.loading import driver_of, make_driver
from gongfu.connect.kit.manifest import OptionsError, check_options
from gongfu.connect.kit.running import RunningConnection
from gongfu.connect.kit.sink import Figures, ReadingSink
from gongfu.connect.kit.status import Failure, State, Status
from gongfu.connect.kit.types import Context, Driver, DriverError, Reason, Timing
from gongfu.ingest.admission.account import Account
from gongfu.ingest.admission.admission import Admission
from gongfu.ingest.types import ColumnIntake, Writer
from gongfu.store.records.engine import reading

logger = logging.getLogger(__name__)

_STOP_S = 10.0

# Told of an event of a connection: the device it belongs to, the kind, the details.
OnEvent = Callable[[Writer, str, Mapping[str, Any]], None]


class _Member:
    """One connection and what it runs with."""

    __slots__ = ("account", "connection", "figures", "mark", "paused", "running", "task", "writer")

    def __init__(self, connection: Connection, figures: Figures, mark: tuple[Any, ...]) -> None:
        self.connection = connection
        self.figures = figures
        self.mark = mark
        self.running: RunningConnection | None = None
        self.task: asyncio.Task[None] | None = None
        self.account: Account | None = None
        self.paused: Status | None = None
        self.writer: Writer | None = None


class Fleet:
    """Runs connections. Use from one event loop; ``load`` starts them, ``close`` ends them."""

    def __init__(
        self,
        engine: Engine,
        executor: Executor,
        secrets: ConnectionSecrets,
        intake: ColumnIntake,
        admission: Admission,
        timing: Timing,
        random: Callable[[], float],
        on_status: Callable[[Status], None],
        on_event: OnEvent,
        instance: str = "",
    ) -> None:
        """Set up.

        Args:
            engine, executor: the records, and where they are read.
            secrets: passwords, keys and directories of drivers.
            intake: where points go.
            admission: quotas.
            timing, random: clocks and chance.
            on_status: told of changes of state.
            on_event: told of events.
            instance: which machine of a cluster this is.
        """
        self._engine = engine
        self._executor = executor
        self._secrets = secrets
        self._intake = intake
        self._admission = admission
        self._timing = timing
        self._random = random
        self._on_status = on_status
        self._on_event = on_event
        self._instance = instance
        self._members: dict[int, _Member] = {}
        self._lock = asyncio.Lock()

    def running(self, key: int, tenant: int) -> RunningConnection | None:
        """Return a connection of a tenant that runs."""
        member = self._members.get(key)
        return None if member is None or member.connection.tenant != tenant else member.running

    def named(self, name: str, tenant: int) -> RunningConnection | None:
        """Return a connection of a tenant that runs, by its name."""
        for member in self._members.values():
            if (member.connection.name, member.connection.tenant) == (name, tenant):
                return member.running
        return None

    def writer_of(self, name: str, tenant: int) -> Writer | None:
        """Return the device of a connection of a tenant, by the connection's name."""
        for member in self._members.values():
            if (member.connection.name, member.connection.tenant) == (name, tenant):
                return member.writer
        return None

    def name_of(self, key: int) -> str:
        """Return the name of a connection that is known here, ``""`` for others."""
        member = self._members.get(key)
        return "" if member is None else member.connection.name

    async def statuses(self, keys: list[int] | None = None) -> list[Status]:
        """Return the status of some connections, or of all."""
        chosen = self._members if keys is None else {key: self._members[key] for key in keys if key in self._members}
        found: list[Status] = []
        for member in list(chosen.values()):
            if member.running is not None:
                found.append(await member.running.refresh())
            elif member.paused is not None:
                found.append(member.paused)
        return found

    async def load(self, key: int = 0) -> None:
        """Bring the connection with a key, or all, to what the records say."""
        async with self._lock:
            try:
                rows, whole = await asyncio.get_running_loop().run_in_executor(self._executor, self._read, key)
            except SQLAlchemyError as error:
                logger.warning("connections cannot be read now: %s", type(error).__name__)
                return
            found = {row.id: row for row in rows}
            gone = [one for one in self._members if one not in found and (not key or one == key)]
            await asyncio.gather(*(self._end(one) for one in gone))
            for row in rows:
                if row.id not in whole:
                    continue
                member = self._members.get(row.id)
                if member is not None:
                    await self._end(row.id)
                figures = Figures() if member is None else member.figures
                self._begin(records.connection_of(whole[row.id]), row, figures)

    async def close(self) -> None:
        """End all connections; what they held back is handed over."""
        async with self._lock:
            await asyncio.gather(*(self._end(key) for key in list(self._members)))

    def _read(self, key: int) -> tuple[list[Any], dict[int, Any]]:
        """Return the marks of connections, and those whole that are new or have another mark."""
        with reading(self._engine) as transaction:
            rows = records.marks(transaction, self._instance, key)
            known = {row.id: self._members.get(row.id) for row in rows}
            other = [row.id for row in rows if (member := known[row.id]) is None or member.mark != _mark(row)]
            return rows, records.whole(transaction, other)

    def _begin(self, connection: Connection, row: Any, figures: Figures) -> None:
        member = self._members[connection.id] = _Member(connection, figures, _mark(row))
        now = self._timing.now_ns()
        if connection.paused or row.device_name is None or not row.enabled:
            member.paused = Status(connection=connection.id, tenant=connection.tenant, state=State.PAUSED, since=now)
            if not connection.paused:
                member.paused.state = State.UNUSABLE
                what = f"the device of connection {connection.name} is " + (
                    "deleted." if row.device_name is None else "disabled."
                )
                advice = "Enable it, or remove the connection and make it again."
                member.paused.last_error = Failure(Reason.REFUSED.value, what, advice, now)
            self._on_status(member.paused)
            return
        writer = Writer(connection.tenant, connection.device, row.device_name, row.asset_id, row.asset_path)
        member.writer = writer
        member.account = account = self._admission.join(writer)
        sink = ReadingSink(
            connection.addresses,
            writer,
            self._intake,
            lambda kind, detail: self._on_event(writer, kind, {"connection": connection.name, **detail}),
            figures=figures,
            admit=lambda n: self._admit(account, n),
        )
        member.running = RunningConnection(
            connection.id,
            connection.tenant,
            connection.name,
            lambda: self._make(connection),
            connection.addresses,
            sink,
            self._timing,
            self._random,
            self._on_status,
        )
        member.task = asyncio.create_task(member.running.run(), name=f"connection {connection.name}")

    async def _end(self, key: int) -> None:
        member = self._members.pop(key)
        if member.task is not None:
            member.task.cancel()
            done, _ = await asyncio.wait({member.task}, timeout=_STOP_S)
            if not done:
                logger.warning("connection %s did not end within %g s", member.connection.name, _STOP_S)
        if member.account is not None:
            self._admission.leave(member.account)

    def _make(self, connection: Connection) -> Driver:
        available = driver_of(connection.protocol)
        try:
            secrets = self._secrets.read(connection.id)
            options = check_options(available.manifest, {**connection.options, **secrets})
        except OptionsError as error:
            raise DriverError(Reason.UNSUPPORTED, f"{error}.", "Change the options of the connection.") from None
        except (OSError, ValueError) as error:
            raise DriverError(
                Reason.CREDENTIALS, f"its secrets cannot be read: {type(error).__name__}.", "Give them again."
            ) from None
        directory = self._secrets.directory(connection.id)
        return make_driver(available, Context(connection.url, options, connection.name, directory, self._timing))

    def _admit(self, account: Account, n: int) -> str:
        now = self._admission.now()
        reason = account.over_quota(now)
        if not reason:
            account.take(n, 1, 0, now)
        return reason or ""


def _mark(row: Any) -> tuple[Any, ...]:
    """Return what makes a connection begin anew when it changes: its own row, and where its device belongs."""
    return row.changed_at, row.device_name, row.enabled, row.asset_id, row.asset_path
