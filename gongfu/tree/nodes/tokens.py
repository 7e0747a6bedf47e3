"""The ledger of join tokens: issue, list, revoke."""

import secrets

from gongfu.kernel.errors import Problem, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import SECOND, format_rfc3339
from gongfu.rest.paging import encode_cursor
from gongfu.tree.host.section import Turn
from gongfu.tree.membership.certificates import fingerprint
from gongfu.tree.membership.join import BACKDATED
from gongfu.tree.membership.prefixes import extends, overlapping
from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.membership.token import TOKEN_ID_BYTES, JoinToken, encode_token, issue_record, revoke
from gongfu.tree.membership.types import DEPTH_LIMIT, NodeState
from gongfu.tree.nodes import records
from gongfu.tree.nodes.documents import NewTokenDoc, TokenDoc, TokenPage, token_doc
from gongfu.tree.nodes.place import Place
from gongfu.tree.nodes.records import Token
from gongfu.tree.nodes.requests import OneToken, TokenQuery, TokenWanted
from gongfu.tree.nodes.validity import TOKEN_KEPT


class Tokens:
    """The tokens of a node; ``join_address`` is where children join, ``host:port``, empty when nobody can."""

    def __init__(self, place: Place, join_address: str) -> None:
        self._place = place
        self._join_address = join_address

    async def issue(self, subject: Subject, wanted: TokenWanted) -> NewTokenDoc:
        """Return a new token.

        Raises:
            Problem: 403 ``prefix-wrong``, it cannot be delegated; 409 ``prefix-taken``, ``no-join-port``.
        """
        if not self._join_address:
            raise Problem(409, "no-join-port", "Children cannot join here", "[tree] join_port or leaf_port is 0")
        return await self._place.running.turn(lambda turn: self._issue(turn, subject, wanted))

    def _issue(self, turn: Turn, subject: Subject, wanted: TokenWanted) -> NewTokenDoc:
        place = self._place
        identity = place.stored(turn.connection)
        own = identity.chain
        if own.state is not NodeState.ACTIVE:
            raise Refused(Reason.NODE_SUSPENDED, "this node is not active")
        if len(own.nodes) >= DEPTH_LIMIT:
            raise Refused(Reason.CHAIN_TOO_LONG, f"more than {DEPTH_LIMIT} levels")
        self._check_prefix(turn, own.membership.prefix, own.node, wanted.prefix)
        records.forget_tokens(turn.connection, turn.now - TOKEN_KEPT)
        token = JoinToken(
            id=secrets.token_bytes(TOKEN_ID_BYTES),
            parent_key=place.key.public_key,
            address=self._join_address,
            authority=fingerprint(identity.authority),
            tier=wanted.tier,
            prefix=wanted.prefix,
            valid_from=max(turn.now - BACKDATED, 0),
            valid_until=turn.now + wanted.valid_seconds * SECOND,
        )
        text = encode_token(place.key, token)
        records.add_token(
            turn.connection,
            Token(issue_record(token, turn.now), wanted.tier, wanted.prefix, wanted.attributes, turn.now),
        )
        given = f"{wanted.tier} {wanted.prefix}".strip()
        turn.audit("node.token-issue", f"node-token/{token.name}", given, subject=subject)
        return NewTokenDoc(
            name=token.name,
            token=text,
            tier=token.tier,
            prefix=token.prefix,
            valid_until=format_rfc3339(token.valid_until),
        )

    def _check_prefix(self, turn: Turn, base: str, own: str, prefix: str) -> None:
        if not prefix:
            return
        if not extends(prefix, base):
            raise Refused(Reason.PREFIX_WRONG, f"{prefix!r} does not extend {base!r}, the prefix of this node")
        given = [token.prefix for token in records.open_tokens(turn.connection, turn.now)]
        given += [
            child.membership.prefix
            for child in records.children_of(turn.connection, own)
            if child.membership.state is not NodeState.RETIRED
        ]
        if taken := overlapping(prefix, given):
            raise Problem(409, "prefix-taken", "The prefix is taken", f"{prefix!r} overlaps with {taken[0]!r}")

    async def revoke(self, subject: Subject, request: OneToken) -> TokenDoc:
        """Let nobody use a token from now on; who has joined with it stays.

        Raises:
            Problem: 404.
        """

        def work(turn: Turn) -> TokenDoc:
            token = records.find_token(turn.connection, request.name)
            if token is None:
                raise not_found(f"token {request.name[:40]}")
            record = revoke(token.record, turn.now)
            records.change_token(turn.connection, token.record, record)
            turn.audit("node.token-revoke", f"node-token/{record.name}", subject=subject)
            return token_doc(Token(record, token.tier, token.prefix, token.attributes, token.created), turn.now)

        return await self._place.running.turn(work)

    async def page(self, _: Subject, query: TokenQuery) -> TokenPage:
        """Return a page of tokens, newest first."""
        host = self._place.running
        rows = await host.read(lambda connection: records.page_of_tokens(connection, query.cursor, query.limit + 1))
        shown, more = rows[: query.limit], len(rows) > query.limit
        key = encode_cursor((shown[-1].created, shown[-1].record.name)) if more else None
        return TokenPage([token_doc(token, host.now()) for token in shown], key)
