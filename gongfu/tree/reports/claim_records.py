"""Rows of claims: at the home of identifiers, and at the nodes that claim. The only place with their SQL."""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, delete, insert, select, update

from gongfu.tree.reports.cell_records import numbers, set_numbers
from gongfu.tree.reports.claims import EPOCH_BITS, ClaimedDevice, ForeignDevices, Held, HomeClaims, Registration
from gongfu.tree.reports.identifiers import registered
from gongfu.tree.reports.tables import claim, claim_floor, claimed, foreign_device

_REVISION = "claim-revision"
# Epochs by the clock: those of a database that was restored are larger than what it said before.
_EPOCH_NS = 512_000_000_000
_EPOCH_BEGIN = 1_577_836_800_000_000_000


def next_revision(connection: Connection, wall: int) -> int:
    """Return a revision that no claim or answer of this node had yet."""
    stored = numbers(connection, _REVISION).get("", 0)
    return max(stored, max(1, (wall - _EPOCH_BEGIN) // _EPOCH_NS) << EPOCH_BITS)


def set_revision(connection: Connection, revision: int) -> None:
    """Store the last revision that was used."""
    set_numbers(connection, {_REVISION: revision})


# At the home


def home_of(connection: Connection, node: str, wall: int, names: Iterable[str], claimer: str = "") -> HomeClaims:
    """Return the claims of some devices, and of all that a claimer has."""
    wanted = set(names)
    if claimer:
        wanted |= set(claimed_by(connection, claimer))
    devices: dict[str, ClaimedDevice] = {}
    own: list[str] = []
    claimers: set[str] = {claimer} - {""}
    for name in sorted(wanted):
        entry = ClaimedDevice({})
        for row in connection.execute(select(claim).where(claim.c.device == name)):
            entry.claims[row.claimer] = Held(row.revision, bool(row.held), row.arrival)
            claimers.add(row.claimer)
        if entry.claims:
            who = connection.execute(select(claimed.c.counted).where(claimed.c.device == name)).scalar()
            entry.counted = who or None
            devices[name] = entry
        if registered(connection, name):
            own.append(name)
    floors = {
        row.claimer: row.revision
        for row in connection.execute(select(claim_floor).where(claim_floor.c.claimer.in_(claimers)))
    }
    home = HomeClaims(node)
    home.restore(next_revision(connection, wall), devices, own, floors)
    return home


def put_home(connection: Connection, home: HomeClaims, names: Iterable[str]) -> None:
    """Store what is known of some devices."""
    for name in names:
        connection.execute(delete(claim).where(claim.c.device == name))
        connection.execute(delete(claimed).where(claimed.c.device == name))
        entry = home.device(name)
        if entry is None:
            continue
        rows = [
            {"device": name, "claimer": who, "revision": held.revision, "held": int(held.held), "arrival": held.arrival}
            for who, held in entry.claims.items()
        ]
        if rows:
            connection.execute(insert(claim), rows)
        connection.execute(insert(claimed).values(device=name, counted=entry.counted or ""))
    set_revision(connection, home.revision)


def put_floor(connection: Connection, claimer: str, revision: int) -> None:
    """Store the revision of a claimer's last complete statement."""
    done = connection.execute(update(claim_floor).where(claim_floor.c.claimer == claimer).values(revision=revision))
    if not done.rowcount:
        connection.execute(insert(claim_floor).values(claimer=claimer, revision=revision))


def claimed_by(connection: Connection, claimer: str) -> list[str]:
    """Return the devices that a claimer claims here."""
    return list(connection.execute(select(claim.c.device).where(claim.c.claimer == claimer)).scalars())


def claimers_of(connection: Connection, nodes: Collection[str]) -> list[str]:
    """Return the claimers that some nodes are."""
    found = connection.execute(select(claim.c.claimer).distinct()).scalars()
    return [claimer for claimer in found if claimer.partition("/")[0] in nodes]


def counted_elsewhere(connection: Connection) -> list[tuple[str, str]]:
    """Return claimed devices and who counts them."""
    return [(row.device, row.counted) for row in connection.execute(select(claimed))]


# At the claimer


def foreign(connection: Connection, claimer: str, prefix: str, wall: int) -> ForeignDevices:
    """Return the devices of a prefix that are claimed."""
    rows = connection.execute(select(foreign_device).where(foreign_device.c.prefix == prefix))
    devices = {row.device: Registration(row.revision, row.answer, bool(row.counts)) for row in rows}
    found = ForeignDevices(claimer)
    found.restore(next_revision(connection, wall), devices)
    return found


def put_foreign(connection: Connection, devices: ForeignDevices, prefix: str, names: Iterable[str]) -> None:
    """Store what is known of some devices."""
    for name in names:
        connection.execute(delete(foreign_device).where(foreign_device.c.device == name))
        entry = devices.registration(name)
        if entry is not None:
            connection.execute(
                insert(foreign_device).values(
                    device=name,
                    prefix=prefix,
                    revision=entry.revision,
                    answer=entry.answer,
                    counts=int(entry.counts),
                )
            )
    set_revision(connection, devices.revision)


def foreign_names(connection: Connection) -> dict[str, tuple[str, bool]]:
    """Return prefix of every claimed device, and whether it counts here."""
    rows = connection.execute(select(foreign_device.c.device, foreign_device.c.prefix, foreign_device.c.counts))
    return {name: (prefix, bool(counts)) for name, prefix, counts in rows}
