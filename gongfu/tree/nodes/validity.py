"""How long memberships, certificates, tokens and releases are good, and when they are renewed. UTC ns."""

from gongfu.kernel.times import SECOND

DAY = 86_400 * SECOND

MEMBERSHIP = 365 * DAY
CERTIFICATE = 365 * DAY
AUTHORITY = 3650 * DAY
RELEASE = 7 * DAY
# A token may be of any length up to this, and is forgotten so long after its end.
TOKEN_LIMIT = 90 * DAY
TOKEN_KEPT = 30 * DAY


def is_due(valid_until: int, now: int, length: int) -> bool:
    """Return whether something that was good for ``length`` is to be renewed: half of it has passed."""
    return valid_until - now < length // 2
