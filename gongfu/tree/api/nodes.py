"""HTTP of nodes: this node's place in the tree, the nodes below it, tokens to join."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from gongfu.bus.commands import Ask
from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action, Subject
from gongfu.kernel.times import Clock
from gongfu.rest.paging import cursor_of, limit_of
from gongfu.rest.routing import Call, Route
from gongfu.tree.membership.types import NodeState
from gongfu.tree.nodes.documents import (
    NewTokenDoc,
    NodeDoc,
    NodePage,
    OwnNodeDoc,
    ReleaseDoc,
    TokenDoc,
    TokenPage,
    enrolled_doc,
)
from gongfu.tree.nodes.joined import joined_file
from gongfu.tree.nodes.requests import (
    Change,
    ChangeNode,
    Founding,
    Joining,
    NodeQuery,
    OneNode,
    OneToken,
    Rehoming,
    ReleaseNode,
    Releasing,
    TokenQuery,
    TokenWanted,
)


@dataclass(frozen=True, slots=True)
class Outside:
    """What a node that is in no tree yet is enrolled with: the process that serves the API does it itself.

    Attributes:
        data_dir: data directory of the node.
        engine: migrated records.
        clock: own time.
        version: of the software.
    """

    data_dir: Path
    engine: Engine
    clock: Clock
    version: str

    def enrolled(self) -> bool:
        """Return whether the node is in a tree."""
        return joined_file(self.data_dir).exists()

    def found(self, subject: Subject, founding: Founding) -> OwnNodeDoc:
        """Make the node a root; see ``enrolment.found``."""
        # Imported when a node is enrolled, once in its life.
        from gongfu.tree.nodes.enrolment import found
        from gongfu.tree.nodes.key_files import key_files

        files = key_files(self.data_dir)
        return enrolled_doc(found(self.engine, files, founding, self.clock.now_ns(), subject), self.version)

    def join(self, subject: Subject, joining: Joining) -> OwnNodeDoc:
        """Make the node a child; see ``enrolment.join``."""
        from gongfu.tree.nodes.enrolment import join
        from gongfu.tree.nodes.key_files import key_files

        files = key_files(self.data_dir)
        return enrolled_doc(join(self.engine, files, joining, self.clock.now_ns(), subject), self.version)


def routes(ask: Ask, outside: Outside) -> list[Route]:
    """Return the operations.

    Args:
        ask: asks the tree role.
        outside: what enrols a node that is in no tree.
    """
    lock = asyncio.Lock()

    async def own(call: Call) -> OwnNodeDoc:
        if not outside.enrolled():
            return OwnNodeDoc(enrolled=False, version=outside.version)
        return await ask(call.subject, "node-show", None, OwnNodeDoc)

    async def found(call: Call) -> OwnNodeDoc:
        async with lock:
            return await asyncio.to_thread(outside.found, call.subject, call.body)

    async def join(call: Call) -> OwnNodeDoc:
        async with lock:
            if outside.enrolled():
                return await ask(call.subject, "node-join", call.body, OwnNodeDoc)
            return await asyncio.to_thread(outside.join, call.subject, call.body)

    async def rehome(call: Call) -> OwnNodeDoc:
        return await ask(call.subject, "node-rehome", call.body, OwnNodeDoc)

    async def list_nodes(call: Call) -> NodePage:
        query = NodeQuery(
            call.query.get("parent", "")[:24],
            call.query.get("search", "")[:200],
            _state_of(call),
            limit_of(call),
            cursor_of(call, tuple[str, str]),
        )
        return await ask(call.subject, "node-list", query, NodePage)

    async def get_node(call: Call) -> NodeDoc:
        return await ask(call.subject, "node-get", OneNode(call.path["id"]), NodeDoc)

    def change(verb: str) -> Callable[[Call], Awaitable[NodeDoc]]:
        async def answer(call: Call) -> NodeDoc:
            return await ask(call.subject, f"node-{verb}", ChangeNode(call.path["id"], call.body.reason), NodeDoc)

        return answer

    async def release(call: Call) -> ReleaseDoc:
        body: Releasing = call.body
        wanted = ReleaseNode(call.path["id"], body.to, body.keep_prefix, body.reason)
        return await ask(call.subject, "node-release", wanted, ReleaseDoc)

    async def issue_token(call: Call) -> NewTokenDoc:
        return await ask(call.subject, "token-issue", call.body, NewTokenDoc)

    async def list_tokens(call: Call) -> TokenPage:
        query = TokenQuery(limit_of(call), cursor_of(call, tuple[int, str]))
        return await ask(call.subject, "token-list", query, TokenPage)

    async def revoke_token(call: Call) -> TokenDoc:
        return await ask(call.subject, "token-revoke", OneToken(call.path["name"]), TokenDoc)

    read, write = Action.READ, Action.TREE_WRITE
    listing = "List nodes below (?parent, ?search, ?state, ?limit, ?cursor)"
    return [
        Route("GET", "/tree/node", read, own, "This node's place in the tree", None, OwnNodeDoc),
        Route("POST", "/tree:found", write, found, "Found a tree", Founding, OwnNodeDoc),
        Route("POST", "/tree:join", write, join, "Join a tree with a token", Joining, OwnNodeDoc),
        Route("POST", "/tree:rehome", write, rehome, "Go to another parent", Rehoming, OwnNodeDoc),
        Route("GET", "/tree/nodes", read, list_nodes, listing, None, NodePage),
        Route("GET", "/tree/nodes/{id}", read, get_node, "A node below, with its path", None, NodeDoc),
        Route("POST", "/tree/nodes/{id}:suspend", write, change("suspend"), "Suspend a child", Change, NodeDoc),
        Route("POST", "/tree/nodes/{id}:resume", write, change("resume"), "Resume a child", Change, NodeDoc),
        Route("POST", "/tree/nodes/{id}:retire", write, change("retire"), "Retire a child", Change, NodeDoc),
        Route("POST", "/tree/nodes/{id}:release", write, release, "Let a node go", Releasing, ReleaseDoc),
        Route("GET", "/tree/tokens", write, list_tokens, "List join tokens (?limit, ?cursor)", None, TokenPage),
        Route("POST", "/tree/tokens", write, issue_token, "Issue a join token", TokenWanted, NewTokenDoc, 201),
        Route("POST", "/tree/tokens/{name}:revoke", write, revoke_token, "Revoke a join token", None, TokenDoc),
    ]


def _state_of(call: Call) -> NodeState | None:
    text = call.query.get("state")
    if not text:
        return None
    try:
        return NodeState(text)
    except ValueError:
        raise invalid("state must be active, suspended or retired") from None
