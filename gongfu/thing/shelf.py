"""Shelf: compiled models by (tenant, reference), read from the records when first asked for.

Published versions never change, so what was found is kept; a type that no published version stands for is asked for
again each time.
"""

from collections import OrderedDict

import msgspec
from sqlalchemy import Connection

from gongfu.thing import records
from gongfu.thing.compiled import CompiledModel
from gongfu.thing.inheritance import flatten
from gongfu.thing.types import MAX_DEPTH, Model, parse_reference

DRAFT, PUBLISHED, RETIRED = "draft", "published", "retired"
_KEPT = 10_000


class Shelf:
    """Use from one thread at a time."""

    def __init__(self) -> None:
        self._models: OrderedDict[tuple[int, str], CompiledModel] = OrderedDict()

    def find(self, connection: Connection, tenant: int, asset_type: str) -> CompiledModel | None:
        """Return the model that the type of an asset stands for, None when it is only a word."""
        key = (tenant, asset_type)
        known = self._models.get(key)
        if known is not None:
            return known
        name = parse_reference(asset_type)
        if name is None:
            return None
        chain = chain_of(connection, tenant, *name)
        if not chain:
            return None
        if len(self._models) >= _KEPT:
            self._models.popitem(last=False)
        compiled = self._models[key] = CompiledModel(asset_type, flatten(chain))
        return compiled


def chain_of(connection: Connection, tenant: int, name: str, number: int) -> list[Model]:
    """Return a version with what it extends, the one that extends nothing first; empty when one of them is missing,
    a draft, or when they are too many."""
    chain: list[Model] = []
    wanted: tuple[str, int] | None = (name, number)
    while wanted is not None:
        row = records.version(connection, tenant, *wanted)
        if row is None or row.state == DRAFT or len(chain) >= MAX_DEPTH:
            return []
        model = msgspec.convert(row.body, Model)
        chain.append(model)
        wanted = parse_reference(model.extends)
    return chain[::-1]
