"""Tenant and asset of every device in arrays by device id: 8 bytes a device, for counts and filters over all."""

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, select

from gongfu.registry.integer_rows import integer_rows
from gongfu.registry.tables import device
from gongfu.store.records.engine import reading

_PAGE = 100_000


class DeviceDirectory:
    """Read from the records page by page; ``refresh`` adds new devices, ``reload`` reads all anew. Both block.

    Attributes:
        tenant: ``int32[n]`` tenant by device id, 0 for none.
        asset: ``int32[n]`` own asset by device id.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._highest = 0
        self.tenant: NDArray[np.int32] = np.zeros(1, dtype=np.int32)
        self.asset: NDArray[np.int32] = np.zeros(1, dtype=np.int32)

    def refresh(self) -> None:
        """Read devices that are new."""
        self._read(self._highest, self.tenant, self.asset)

    def reload(self) -> None:
        """Read all devices: some have gone or report for another asset."""
        nothing: NDArray[np.int32] = np.zeros(1, dtype=np.int32)
        self._read(0, nothing, nothing)

    def count(self, tenant: int) -> int:
        """Return the number of devices of a tenant."""
        return int(np.count_nonzero(self.tenant == tenant))

    def _read(self, after: int, tenant: NDArray[np.int32], asset: NDArray[np.int32]) -> None:
        while True:
            query = select(device.c.id, device.c.tenant_id, device.c.asset_id).where(device.c.id > after)
            with reading(self._engine) as connection:
                table = integer_rows(connection, query.order_by(device.c.id).limit(_PAGE), 3)
            if len(table):
                after = int(table[-1, 0])
                tenant, asset = _longer(tenant, after + 1), _longer(asset, after + 1)
                tenant[table[:, 0]], asset[table[:, 0]] = table[:, 1], table[:, 2]
            if len(table) < _PAGE:
                break
        # Replaced, not changed: another thread may be looking at the old ones.
        self.tenant, self.asset, self._highest = tenant, asset, after


def _longer(column: NDArray[np.int32], size: int) -> NDArray[np.int32]:
    return np.concatenate([column, np.zeros(max(size - len(column), 0), dtype=np.int32)])
