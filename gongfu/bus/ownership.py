"""Who may act for a partition of the block log (docs/cluster.md)."""

from typing import Protocol


class OwnershipLostError(Exception):
    """Another worker has the partition: nothing more may be written for it."""


class Ownership(Protocol):
    """Whether this process may still act for a partition."""

    async def valid(self) -> None:
        """Return while the partition is this process's; wait as long as nobody can tell.

        Raises:
            OwnershipLostError: another process has it.
        """
        ...


class Sole:
    """The only worker of a node has every partition."""

    async def valid(self) -> None:
        """See ``Ownership``."""
