"""Identifiers of devices, as the registry has them: attribute ``identifier`` (prefix/suffix) of the device's asset.

Few assets have one, and these are indexed (migration 0009): the expressions are those of the index.
"""

from sqlalchemy import ColumnElement, Connection, Text, func, literal_column, select

from gongfu.registry.tables import asset, device

_LENGTH = 256
_PREFIX_LENGTH = 64

_EXPRESSION = {
    "sqlite": "json_extract(asset.attributes, '$.identifier')",
    "postgresql": "(asset.attributes ->> 'identifier') COLLATE \"C\"",
}


def _identifier(connection: Connection) -> ColumnElement[str]:
    return literal_column(_EXPRESSION[connection.dialect.name], Text)


def prefix_of(identifier: str) -> str:
    """Return the prefix of an identifier; empty when the text is none."""
    prefix, _, suffix = identifier.partition("/")
    short = len(prefix) <= _PREFIX_LENGTH and len(identifier.encode()) <= _LENGTH
    return prefix.lower() if suffix and short and identifier.isprintable() else ""


def registered(connection: Connection, identifier: str) -> bool:
    """Whether a device with an identifier is registered here."""
    query = select(device.c.id).join(asset, asset.c.id == device.c.asset_id)
    return connection.execute(query.where(_identifier(connection) == identifier).limit(1)).first() is not None


def count(connection: Connection) -> int:
    """Return how many assets have an identifier."""
    query = select(func.count()).select_from(asset).where(_identifier(connection).is_not(None))
    return int(connection.execute(query).scalar_one())


def devices(connection: Connection, besides: str) -> list[tuple[str, int]]:
    """Return identifier and id of the devices that have one whose prefix is not ``besides``."""
    identifier = _identifier(connection)
    query = select(identifier, device.c.id).join(asset, asset.c.id == device.c.asset_id)
    # By ranges of the index around the own ones, which may be a million.
    ranges = (identifier < f"{besides}/", identifier >= f"{besides}0") if besides else (identifier.is_not(None),)
    found: list[tuple[str, int]] = []
    for part in ranges:
        for value, number in connection.execute(query.where(part)):
            name = str(value)
            prefix = prefix_of(name)
            if prefix and prefix != besides:
                found.append((name, int(number)))
    return found
