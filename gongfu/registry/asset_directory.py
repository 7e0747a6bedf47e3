"""Tenant and parent of every asset in arrays by asset id: 8 bytes an asset, for what concerns whole subtrees."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, func, select

from gongfu.registry.integer_rows import integer_rows
from gongfu.registry.tables import asset
from gongfu.store.records.engine import reading

_PAGE = 100_000
_PATHS = 500


class AssetDirectory:
    """Read from the records page by page; ``refresh`` adds new assets, ``reload`` reads all anew. Both block.

    Attributes:
        tenant: ``int32[n]`` tenant by asset id, 0 for none.
        parent: ``int32[n]`` parent by asset id, 0 for roots.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.tenant: NDArray[np.int32] = np.zeros(1, dtype=np.int32)
        self.parent: NDArray[np.int32] = np.zeros(1, dtype=np.int32)

    def refresh(self) -> None:
        """Read assets that are new."""
        self._read(self.tenant, self.parent)

    def reload(self) -> None:
        """Read all assets: some have gone or moved."""
        nothing: NDArray[np.int32] = np.zeros(1, dtype=np.int32)
        self._read(nothing, nothing)

    def at(self, tenant: int, paths: Iterable[str]) -> list[int]:
        """Return the ids of the assets of a tenant at some paths; paths without an asset are left out. Blocks."""
        wanted, found = sorted(set(paths)), list[int]()
        for start in range(0, len(wanted), _PATHS):
            some = asset.c.path.in_(wanted[start : start + _PATHS])
            with reading(self._engine) as connection:
                found += connection.execute(select(asset.c.id).where(asset.c.tenant_id == tenant, some)).scalars()
        return found

    def below(self, roots: Iterable[int], barrier: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return ``bool[n]``: assets at or below ``roots``, without those at or below ``barrier`` (``bool[n]``)."""
        parent = self.parent
        flags = np.zeros(len(parent), dtype=np.bool_)
        ids = np.fromiter(roots, np.int64)
        flags[ids[(ids > 0) & (ids < len(flags))]] = True
        count = np.count_nonzero(flags)
        # One round for each level of the tree.
        while True:
            flags |= flags[parent] & ~barrier
            grown = np.count_nonzero(flags)
            if grown == count:
                return flags
            count = grown

    def _read(self, tenant: NDArray[np.int32], parent: NDArray[np.int32]) -> None:
        while True:
            columns = select(asset.c.id, asset.c.tenant_id, func.coalesce(asset.c.parent_id, 0))
            query = columns.where(asset.c.id >= len(tenant)).order_by(asset.c.id).limit(_PAGE)
            with reading(self._engine) as connection:
                table = integer_rows(connection, query, 3)
            if len(table):
                more = int(table[-1, 0]) + 1 - len(tenant)
                tenant, parent = (np.concatenate([one, np.zeros(more, dtype=np.int32)]) for one in (tenant, parent))
                tenant[table[:, 0]], parent[table[:, 0]] = table[:, 1], table[:, 2]
            if len(table) < _PAGE:
                break
        # Replaced, not changed: another thread may be looking at the old ones.
        self.tenant, self.parent = tenant, parent
