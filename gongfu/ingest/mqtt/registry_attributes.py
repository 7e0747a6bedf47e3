"""Attributes of assets in the registry, for devices that ask for them."""

import asyncio
from concurrent.futures import Executor
from typing import Any

from sqlalchemy import Engine

from gongfu.ingest.types import Writer
from gongfu.registry import asset_records
from gongfu.store.records.engine import reading


class RegistryAttributes:
    """Reads attributes in a thread."""

    def __init__(self, engine: Engine, executor: Executor) -> None:
        self._engine = engine
        self._executor = executor

    async def of(self, writer: Writer, child: str) -> dict[str, Any]:
        """Return the attributes of the asset of a device, or of one below it; none where there is no asset.

        Args:
            writer: the device.
            child: path below its own asset, empty for its own.

        Raises:
            SQLAlchemyError: the records cannot be read.
        """
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._read, writer, child)

    def _read(self, writer: Writer, child: str) -> dict[str, Any]:
        with reading(self._engine) as connection:
            row = asset_records.by_id(connection, writer.tenant, writer.asset)
            if child and row is not None:
                row = asset_records.by_path(connection, writer.tenant, f"{row.path}/{child}")
        return dict(row.attributes) if row is not None else {}
