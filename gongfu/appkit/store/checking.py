"""The automatic checks, one version after the other, in a thread beside the event loop."""

import asyncio
import logging

from gongfu.appkit.store.publications import Publications
from gongfu.kernel.errors import Problem

_log = logging.getLogger(__name__)


class Checking:
    """Checks versions that were handed in."""

    def __init__(self, publications: Publications) -> None:
        self._publications = publications
        self._wanted: asyncio.Queue[int] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with what an earlier life left."""
        for key in await asyncio.to_thread(self._publications.to_check):
            self.soon(key)
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End; what is not checked is at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def soon(self, key: int) -> None:
        """Check a version when those before it are done."""
        self._wanted.put_nowait(key)

    async def _run(self) -> None:
        while True:
            key = await self._wanted.get()
            try:
                await asyncio.to_thread(self._publications.check, key)
            except Problem as problem:
                # It was withdrawn or refused meanwhile.
                _log.info("version %d of the store is not checked: %s", key, problem)
            except Exception:
                _log.exception("the checks of version %d of the store failed; a restart begins them again", key)
