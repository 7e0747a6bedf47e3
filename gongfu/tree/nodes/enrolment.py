"""A node becomes a root, a child, or the child of another: its own side, with files, records and network.

What is done here is done in the caller's thread; a running tree role stores what ``seek_parent`` returns in a turn of
its own, everybody else with ``join``.
"""

import secrets
from dataclasses import dataclass

from sqlalchemy import Engine

from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Subject
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing
from gongfu.tree.membership.certificates import CertificateAuthority, make_authority, make_request
from gongfu.tree.membership.chain import root_membership, sign_membership, verify_chain
from gongfu.tree.membership.join import accept_answer, sign_request
from gongfu.tree.membership.join_documents import NONCE_BYTES, Former, JoinRequest
from gongfu.tree.membership.keys import NodeKey
from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.membership.token import decode_token
from gongfu.tree.membership.transitions import AuditNote, note
from gongfu.tree.nodes.identity import Identity, load_identity, store_identity
from gongfu.tree.nodes.join_client import exchange
from gongfu.tree.nodes.key_files import KeyFiles, new_serial
from gongfu.tree.nodes.requests import Founding, Joining
from gongfu.tree.nodes.validity import AUTHORITY, MEMBERSHIP


@dataclass(frozen=True, slots=True)
class FoundParent:
    """What becomes of a node that its new parent has taken: to be stored, and to be audited."""

    identity: Identity
    audit: AuditNote


def already_in_a_tree(node: str) -> Problem:
    """Return the problem of a node that has a place already."""
    return Problem(409, "already-in-a-tree", "This node is in a tree", f"it is node {node}; re-home it to move it")


def found(engine: Engine, files: KeyFiles, founding: Founding, now: int, subject: Subject) -> Identity:
    """Make this node the root of a new tree and return its identity.

    Args:
        engine: migrated records.
        files: keys of the node; made when there are none.
        founding: name, tier, prefix.
        now: UTC ns.
        subject: who does it.

    Raises:
        Problem: 409 ``already-in-a-tree``.
        OSError: the files cannot be written.
    """
    key = files.node_key()
    membership = root_membership(
        key,
        name=founding.name,
        tier=founding.tier,
        prefix=founding.prefix,
        attributes=founding.attributes,
        valid_from=now,
        valid_until=now + MEMBERSHIP,
    )
    chain = verify_chain([sign_membership(key, membership)], key.public_key, now, key.id)
    identity = Identity(chain=chain, authority=own_authority(files, key, now).pem)
    _store(engine, files, identity, now, subject, note("found", key.id, f"{founding.tier} {founding.name}"))
    return identity


def join(engine: Engine, files: KeyFiles, joining: Joining, now: int, subject: Subject) -> Identity:
    """Become a child of the node that made the token; return the new identity. May be repeated.

    Arguments as ``found``.

    Raises:
        Refused: the token is not good, or the parent does not take this node.
        Problem: 409 ``already-in-a-tree``, under another parent or as a root; 503 ``parent-unreachable``.
        OSError: the files cannot be written.
    """
    with reading(engine) as connection:
        current = load_identity(connection)
    taken = seek_parent(files, joining, current, now)
    _store(engine, files, taken.identity, now, subject, taken.audit, current)
    return taken.identity


def seek_parent(
    files: KeyFiles, joining: Joining, current: Identity | None, now: int, former: Former | None = None
) -> FoundParent:
    """Ask the node that made the token to be the parent, and return what this node is then; nothing is stored.

    Args:
        files: keys of the node.
        joining: the token and what the node says of itself.
        current: what it is now; None when it is in no tree.
        now: UTC ns.
        former: release of the present parent, when it is another.

    Raises:
        Refused, Problem, OSError: as ``join``.
    """
    token = decode_token(joining.token)
    key = files.node_key()
    if token.parent == key.id:
        raise Refused(Reason.TOKEN_WRONG_PARENT, "it is this node's own token")
    if current is not None and former is None and current.chain.membership.parent != token.parent:
        raise already_in_a_tree(current.node)
    request = JoinRequest(
        public_key=key.public_key,
        name=joining.name,
        tier=joining.tier or token.tier,
        attributes=joining.attributes,
        csr=make_request(files.tls_key(files.link_key), key.id),
        token=joining.token.strip(),
        nonce=secrets.token_bytes(NONCE_BYTES),
        time=now,
        revision=current.chain.membership.revision if current else 0,
    )
    answer = exchange(token, sign_request(key, request, former))
    joined = accept_answer(
        answer, request, current=current.chain if current else None, release=former.release if former else None
    )
    identity = Identity(
        chain=joined.chain,
        authority=current.authority if current else own_authority(files, key, joined.answer.time).pem,
        parent_address=token.address,
        leaf_address=joined.answer.leaf_address,
        parent_authorities="".join(joined.answer.authorities),
        certificate=joined.answer.certificate,
    )
    member = joined.chain.membership
    return FoundParent(identity, joined.audit or note("joined", key.id, f"{member.tier} under {member.parent}"))


def own_authority(files: KeyFiles, key: NodeKey, now: int) -> CertificateAuthority:
    """Return a certificate authority of this node, made now; its key stays the same.

    Raises:
        OSError: the files cannot be written.
    """
    seed = files.authority_key().seed
    return make_authority(seed, key.id, serial=new_serial(), now=now, valid_until=now + AUTHORITY)


def _store(
    engine: Engine,
    files: KeyFiles,
    identity: Identity,
    now: int,
    subject: Subject,
    entry: AuditNote,
    before: Identity | None = None,
) -> None:
    with writing(engine) as connection:
        there = load_identity(connection)
        if there is not None and (before is None or there.chain.signed != before.chain.signed):
            # Another was first; or the last one crashed after its commit.
            files.write(files.joined, there.node.encode())
            raise already_in_a_tree(there.node)
        store_identity(connection, identity, now)
        audit.record(connection, subject, entry.action, entry.resource, now, entry.detail)
    files.write(files.joined, identity.node.encode())
