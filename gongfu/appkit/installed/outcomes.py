"""What is said of the steps of an app's life: in the audit, in the log, in problems."""

import logging

from gongfu.appkit.context.records import MigrationFailed
from gongfu.appkit.contract import AppError
from gongfu.appkit.host.process import AppFailure
from gongfu.appkit.installed.restoring import INSTALLED
from gongfu.appkit.installed.types import InstalledApp, InstalledVersion
from gongfu.appkit.permissions import refused_names
from gongfu.kernel.errors import Problem, conflict

logger = logging.getLogger("gongfu.apps")

# What an app may do wrong; anything else is a fault of the node.
_EXPECTED = (AppFailure, AppError, Problem, OSError, MigrationFailed)


def origin_words(version: InstalledVersion) -> str:
    """Return a version as the audit names it: whose it is, which package, and what it may not do."""
    refused = refused_names(version.manifest.needs, version.granted)
    less = f" without {', '.join(refused)}" if refused else ""
    return f"{version.version} by {version.publisher or 'nobody (unsigned)'} {version.sha256[:12]}{less}"


def check_settled(app: InstalledApp) -> None:
    """Check that nothing is under way with an app.

    Raises:
        Problem: 409, with what is.
    """
    if app.status != INSTALLED or app.pending is not None:
        raise conflict(f"{app.app} is {app.status if app.status != INSTALLED else 'being tidied up'}: {app.trouble}")


def not_granted(absent: list[str]) -> Problem:
    """Return the problem for what an app needs and was not granted (403)."""
    return Problem(403, "not-granted", "Not everything was granted", "; ".join(absent), {"missing": absent})


def note_fault(app_id: str, error: Exception) -> None:
    """Log an error that is a fault of the node, not of the app."""
    if not isinstance(error, _EXPECTED):
        logger.error("%s: the node failed while it installed it", app_id, exc_info=error)


def failed_problem(app_id: str, version: str, error: Exception) -> Problem:
    """Return the problem for a version that cannot be put in place (422)."""
    detail = error.detail or error.title if isinstance(error, Problem) else str(error)
    return Problem(422, "app-failed", "The app cannot be installed", f"{app_id} {version}: {detail}"[:2000])
