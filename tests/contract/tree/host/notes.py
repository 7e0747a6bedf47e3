"""A section for tests of the host: it writes down what it takes, and says again what it has told."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, Engine, Integer, LargeBinary, MetaData, String, Table, func, insert, select

from gongfu.store.records.engine import reading
from gongfu.tree.host.section import Command, Host, Refusal, Turn

_metadata = MetaData()
_key = BigInteger().with_variant(Integer(), "sqlite")

taken = Table(
    "test_taken",
    _metadata,
    Column("id", _key, primary_key=True),
    Column("peer", String(64), nullable=False),
    Column("topic", String(20), nullable=False),
    Column("body", LargeBinary, nullable=False),
)
# What a neighbour must know: one value a name, each told with a revision.
told = Table(
    "test_told",
    _metadata,
    Column("peer", String(64), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)


class Notes:
    """Topics: ``note`` is kept; ``bad`` is refused after it was written; ``broken`` raises; ``echo`` is sent back."""

    def __init__(self, topics: Sequence[str] = ("note", "bad", "broken", "echo")) -> None:
        self.topics = topics
        self.changes: list[tuple[str, bool]] = []
        self.restated: list[str] = []
        self.attempts = 0
        self.mends_after = 1_000_000
        self.hook: Callable[[Turn, str, bytes], None] | None = None

    def received(self, turn: Turn, peer: str, topic: str, body: bytes) -> None:
        turn.connection.execute(insert(taken).values(peer=peer, topic=topic, body=body))
        if self.hook is not None:
            self.hook(turn, topic, body)
        if topic == "bad":
            turn.send(peer, "note", b"of a message that is refused")
            raise Refusal("not-liked", "as the test wants it")
        if topic == "broken":
            self.attempts += 1
            if self.attempts < self.mends_after:
                raise ZeroDivisionError
        if topic == "echo":
            turn.send(peer, "note", b"echo of " + body)

    def restate(self, turn: Turn, peer: str) -> None:
        self.restated.append(peer)
        rows = turn.connection.execute(select(told.c.body).where(told.c.peer == peer).order_by(told.c.name)).all()
        for (body,) in rows:
            turn.send(peer, "note", body)

    def link_changed(self, peer: str, up: bool) -> None:
        self.changes.append((peer, up))

    def commands(self) -> Sequence[Command]:
        return ()

    async def start(self, host: Host) -> None:
        await host.turn(lambda turn: _metadata.create_all(turn.connection))

    async def stop(self) -> None:
        return


def tell(turn: Turn, peer: str, name: str, body: bytes) -> None:
    """Tell a neighbour something that it must know."""
    turn.connection.execute(insert(told).values(peer=peer, name=name, body=body))
    turn.send(peer, "note", body)


def notes_of(engine: Engine | None, topic: str = "note") -> list[bytes]:
    """Return what was taken, in order."""
    assert engine is not None
    with reading(engine) as connection:
        query = select(taken.c.body).where(taken.c.topic == topic).order_by(taken.c.id)
        return list(connection.execute(query).scalars())


def count(engine: Engine, table: Any) -> int:
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar() or 0
