"""What answers calls of peers: plug-ins, by kind of call. Two are built in."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from gongfu.tree.nodes.directory import Directory


class PeerCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was admitted, for its handler.

    Attributes:
        id: of the call; the same after a crash.
        contract: under which it was made.
        kind: what is asked.
        caller: node id.
        payload: JSON.
        deadline: by when the answer must be there, UTC ns in the parent's time.
    """

    id: str
    contract: str
    kind: str
    caller: str
    payload: msgspec.Raw
    deadline: int


class Handler(Protocol):
    """Answers calls of one kind."""

    @property
    def repeatable(self) -> bool:
        """Whether a call may be answered again, with the same id, after the node crashed while it was."""
        ...

    async def answer(self, call: PeerCall) -> Any:
        """Return the answer, anything that msgspec encodes as JSON.

        A ``ValueError`` is told to the caller with its text; of any other exception only that there was one.
        """
        ...


class Echo:
    """Answers with the payload; shows that a way is open."""

    repeatable = True

    async def answer(self, call: PeerCall) -> Any:
        """Return the payload."""
        return call.payload


class NodeSummary:
    """Answers with what this node is.

    Args:
        directory: who is around.
        more: further members of the answer, such as counts.
    """

    repeatable = True

    def __init__(self, directory: Directory, more: Callable[[], Mapping[str, Any]] = dict) -> None:
        self._directory = directory
        self._more = more

    async def answer(self, call: PeerCall) -> Any:
        """Return id, name, tier, prefix, how many nodes are below, and what the node adds."""
        own = self._directory.chain.membership
        return {
            **self._more(),
            "node": own.node,
            "name": own.name,
            "tier": own.tier,
            "prefix": own.prefix,
            "children": len(self._directory.children()),
            "descendants": len(self._directory.descendants()),
        }
