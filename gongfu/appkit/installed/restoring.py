"""Back to a whole state after something broke off: removed wholly, or as the version in force says.

What cannot be done now (records or models away, a disk that is full) leaves one of two states, ``removing`` and
``restoring``, with the reason; both are tried again until they succeed, and an app in them does not run.
"""

import asyncio
import logging

from gongfu.appkit.installed.executing import Provisions, Runner
from gongfu.appkit.installed.folders import Folders
from gongfu.appkit.installed.records import InstalledRecords
from gongfu.appkit.installed.types import InstalledApp
from gongfu.kernel.permissions import Subject

logger = logging.getLogger("gongfu.apps")

INSTALLED, REMOVING, RESTORING = "installed", "removing", "restoring"
# States of a step that was broken off, whose app is in no version yet, or is to go.
_TO_REMOVE = ("installing", REMOVING)


class Restoring:
    """Finishes or undoes; every method may be repeated."""

    def __init__(self, records: InstalledRecords, folders: Folders, runner: Runner, provisions: Provisions) -> None:
        self._records = records
        self._folders = folders
        self._runner = runner
        self._provisions = provisions

    async def settle(self, subject: Subject, app: InstalledApp) -> str:
        """Bring an app that is not ``installed`` into a whole state; return what was done, for the log."""
        if app.status in _TO_REMOVE:
            trouble = await self.remove(subject, app)
            done = f"cannot be removed, tried again later: {trouble}" if trouble else "it is removed"
        else:
            words = f"{app.status} was broken off; version {app.current.version} is in force"
            kept = app.status in (INSTALLED, RESTORING)
            trouble = await self.restore(subject, app, app.trouble if kept else words)
            done = (
                f"cannot be restored, tried again later: {trouble}" if trouble else "its version in force is restored"
            )
        return f"{app.app} was {app.status}, which was broken off; {done}"

    async def remove(self, subject: Subject, app: InstalledApp) -> str:
        """Take an app away with all that is its own; return why that is not possible now, empty when it is gone."""
        try:
            await self._runner.stop(app.app)
            await self._provisions.remove(subject, app)
            await asyncio.to_thread(self._folders.remove, app.app)
            await asyncio.to_thread(self._records.remove, None, app.app)
        except Exception as error:
            return await self._not_yet(app, REMOVING, error)
        return ""

    async def restore(self, subject: Subject, app: InstalledApp, trouble: str) -> str:
        """Let the version in force have what it brought, and let go of what another began to bring.

        Args:
            subject: who acts.
            app: the app as it is in the records.
            trouble: what is told of it then.

        Returns:
            Why that is not possible now; empty when it is done.
        """
        try:
            await self._provisions.apply(subject, app, app.current)
            await self._let_go(subject, app, trouble)
        except Exception as error:
            return await self._not_yet(app, RESTORING, error)
        return ""

    async def let_go(self, subject: Subject, app: InstalledApp) -> None:
        """Let go of what is of no version any more; where that is not possible now, it is done later."""
        try:
            await self._let_go(subject, app, app.trouble)
        except Exception as error:
            logger.error("%s: what it does not use any more is taken away later: %s", app.app, error)

    async def _let_go(self, subject: Subject, app: InstalledApp, trouble: str) -> None:
        versions = [app.current, *([app.previous] if app.previous else [])]
        if app.pending is not None:
            kept = {one for version in versions for one in version.thing_models}
            await self._provisions.retire(subject, frozenset(app.pending.thing_models) - kept)
        await asyncio.to_thread(self._folders.keep_only, app.app, {version.generation for version in versions})
        await asyncio.to_thread(
            lambda: self._records.change(None, app.app, status=INSTALLED, pending=None, trouble=trouble)
        )

    async def _not_yet(self, app: InstalledApp, status: str, error: Exception) -> str:
        why = str(error) or type(error).__name__
        logger.error("%s is %s: %s", app.app, status, why)
        told = f"{status}, tried again later: {why}"[:2000]
        try:
            await asyncio.to_thread(lambda: self._records.change(None, app.app, status=status, trouble=told))
        except Exception as lost:  # the records are away: the state before says the same, without the reason
            logger.error("%s: that it is %s cannot be noted: %s", app.app, status, lost)
        return why
