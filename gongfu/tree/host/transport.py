"""What carries frames between neighbours. It may lose, repeat, delay and reorder them."""

from collections.abc import Callable
from typing import Protocol


class Transport(Protocol):
    """Frames to and from neighbours. Everything happens on the event loop."""

    async def start(self, arrived: Callable[[str, bytes], None], reachable: Callable[[str, bool], None]) -> None:
        """Begin.

        Args:
            arrived: called with each frame and the neighbour that sent it, which the transport has authenticated.
            reachable: called when the way to an open neighbour is there (the host then says hello), and when it is
                known to be gone. It may be called often.
        """
        ...

    async def stop(self) -> None:
        """End."""
        ...

    def open(self, peer: str, parent: bool) -> None:
        """Carry frames for a neighbour from now on."""
        ...

    def close(self, peer: str) -> None:
        """No longer do."""
        ...

    def send(self, peer: str, frame: bytes) -> None:
        """Send a frame, if it can be."""
        ...
