import stat
from pathlib import Path

import pytest
from sqlalchemy import text

from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import NODE_TENANT, Role
from gongfu.registry.sessions import SESSION_SECONDS, ensure_cli_token
from gongfu.registry.tokens import hash_token
from gongfu.registry.users import NewUser, UserPatch, ensure_first_admin
from gongfu.store.records.engine import reading
from tests.contract.records.conftest import Node

ADDRESS = "192.0.2.1"


def sign_in(node: Node, name: str, password: str) -> str:
    return node.registry.sessions.sign_in(name, password, ADDRESS)[0]


def test_first_admin_is_made_once_in_the_node_tenant(node: Node) -> None:
    assert node.admin.tenant == NODE_TENANT
    assert ensure_first_admin(node.engine) is None


def test_next_tenant_gets_an_id_after_the_node_tenant(node: Node) -> None:
    # PostgreSQL's sequence must know of the id that was set by hand.
    assert node.other.tenant == NODE_TENANT + 1


def test_one_time_password_signs_in_and_must_be_changed(node: Node) -> None:
    sessions = node.registry.sessions
    token = sign_in(node, "admin", node.password)
    identity = sessions.identify(token)
    assert identity is not None
    assert identity.must_change_password
    sessions.change_password(identity.subject, identity.token_hash, node.password, "correct horse", ADDRESS)
    identity = sessions.identify(token)
    assert identity is not None
    assert not identity.must_change_password
    with pytest.raises(Problem, match="wrong"):
        sign_in(node, "admin", node.password)


def test_password_change_ends_the_other_sessions(node: Node) -> None:
    sessions = node.registry.sessions
    first, second = sign_in(node, "admin", node.password), sign_in(node, "admin", node.password)
    sessions.change_password(node.admin, hash_token(second), node.password, "correct horse", ADDRESS)
    assert sessions.identify(first) is None
    assert sessions.identify(second) is not None


def test_password_change_leaves_the_local_command_line(node: Node, tmp_path: Path) -> None:
    token = ensure_cli_token(tmp_path, node.engine, node.clock).read_text().strip()
    session = sign_in(node, "admin", node.password)
    node.registry.sessions.change_password(node.admin, hash_token(session), node.password, "correct horse", ADDRESS)
    assert node.registry.sessions.identify(token) is not None
    node.registry.users.change(node.admin, node.admin.user, UserPatch(reset_password=True))
    assert node.registry.sessions.identify(session) is None
    assert node.registry.sessions.identify(token) is not None


def test_token_is_not_stored(node: Node) -> None:
    token = sign_in(node, "admin", node.password)
    with reading(node.engine) as connection:
        rows = connection.execute(text("SELECT * FROM access_token")).all()
        users = connection.execute(text("SELECT password_hash FROM app_user")).scalars().all()
    assert len(rows) == 1
    assert all(token not in str(value) for value in rows[0])
    assert all(value.startswith("$argon2id$") for value in users)


def test_session_ends_after_its_idle_time_and_is_extended_by_use(node: Node) -> None:
    sessions = node.registry.sessions
    token = sign_in(node, "admin", node.password)
    node.clock.advance(SESSION_SECONDS * 0.9)
    assert sessions.identify(token) is not None
    node.clock.advance(SESSION_SECONDS * 0.9)
    assert sessions.identify(token) is not None
    node.clock.advance(SESSION_SECONDS + 1)
    assert sessions.identify(token) is None


def test_sign_out_ends_the_session(node: Node) -> None:
    sessions = node.registry.sessions
    token = sign_in(node, "admin", node.password)
    sessions.sign_out(node.admin, hash_token(token))
    assert sessions.identify(token) is None


def test_disabled_user_is_out_at_once(node: Node) -> None:
    users = node.registry.users
    added = users.create(node.admin, NewUser("vi", Role.VIEWER))
    assert added.password is not None
    token = sign_in(node, "vi", added.password)
    users.change(node.admin, added.user.id, UserPatch(enabled=False))
    assert node.registry.sessions.identify(token) is None
    with pytest.raises(Problem) as raised:
        sign_in(node, "vi", added.password)
    assert raised.value.status == 401
    users.change(node.admin, added.user.id, UserPatch(enabled=True))
    assert node.registry.sessions.identify(token) is None, "a new session is needed"
    sign_in(node, "vi", added.password)


def test_role_change_takes_effect_on_open_sessions(node: Node) -> None:
    users = node.registry.users
    added = users.create(node.admin, NewUser("vi", Role.ENGINEER))
    assert added.password is not None
    token = sign_in(node, "vi", added.password)
    users.change(node.admin, added.user.id, UserPatch(role=Role.VIEWER))
    identity = node.registry.sessions.identify(token)
    assert identity is not None
    assert identity.subject.role is Role.VIEWER


def test_last_admin_cannot_go(node: Node) -> None:
    users = node.registry.users
    for attempt in (
        lambda: users.delete(node.admin, node.admin.user),
        lambda: users.change(node.admin, node.admin.user, UserPatch(role=Role.ENGINEER)),
        lambda: users.change(node.admin, node.admin.user, UserPatch(enabled=False)),
        lambda: users.delete(node.other, node.other.user),
    ):
        with pytest.raises(Problem) as raised:
            attempt()
        assert raised.value.status == 409
    second = users.create(node.admin, NewUser("second", Role.ADMIN))
    users.change(node.admin, second.user.id, UserPatch(enabled=False))
    with pytest.raises(Problem, match="last enabled"):
        users.delete(node.admin, node.admin.user)
    users.change(node.admin, second.user.id, UserPatch(enabled=True))
    users.delete(node.admin, node.admin.user)


def test_two_admins_cannot_remove_each_other_at_once(node: Node) -> None:
    from concurrent.futures import ThreadPoolExecutor

    users = node.registry.users
    second = users.create(node.admin, NewUser("second", Role.ADMIN))

    def delete(key: int) -> bool:
        try:
            users.delete(node.admin, key)
        except Problem:
            return False
        return True

    with ThreadPoolExecutor(2) as executor:
        gone = list(executor.map(delete, [node.admin.user, second.user.id]))
    assert sorted(gone) == [False, True]


def test_names_are_unique_on_the_node(node: Node) -> None:
    with pytest.raises(Problem) as raised:
        node.registry.users.create(node.other, NewUser("admin", Role.VIEWER))
    assert raised.value.status == 409


def test_users_of_other_tenants(node: Node) -> None:
    users = node.registry.users
    # The node's admins write users of other tenants; admins of tenants see only their own.
    assert [user.name for user in users.page(node.admin, node.other.tenant, None, 10)] == ["other-admin"]
    with pytest.raises(Problem) as raised:
        users.page(node.other, NODE_TENANT, None, 10)
    assert raised.value.status == 403
    with pytest.raises(Problem) as raised:
        users.change(node.other, node.admin.user, UserPatch(reset_password=True))
    assert raised.value.status == 404


def test_users_are_paged_by_name(node: Node) -> None:
    for name in ("zoë", "bo", "Al", "李"):
        node.registry.users.create(node.admin, NewUser(name, Role.VIEWER))
    names: list[str] = []
    while page := node.registry.users.page(node.admin, None, names[-1] if names else None, 2):
        names += [user.name for user in page]
    assert names == sorted(["admin", "zoë", "bo", "Al", "李"])


def test_reset_password_ends_sessions_and_is_one_time(node: Node) -> None:
    users = node.registry.users
    added = users.create(node.admin, NewUser("vi", Role.VIEWER, "a long password"))
    assert added.password is None
    token = sign_in(node, "vi", "a long password")
    reset = users.change(node.admin, added.user.id, UserPatch(reset_password=True))
    assert reset.password is not None
    assert node.registry.sessions.identify(token) is None
    identity = node.registry.sessions.identify(sign_in(node, "vi", reset.password))
    assert identity is not None
    assert identity.must_change_password


def test_sign_in_is_limited_per_name_and_address(node: Node) -> None:
    sessions = node.registry.sessions
    for _ in range(5):
        with pytest.raises(Problem) as raised:
            sessions.sign_in("admin", "wrong", ADDRESS)
        assert raised.value.status == 401
    with pytest.raises(Problem) as raised:
        sessions.sign_in("admin", node.password, ADDRESS)
    assert raised.value.status == 429
    assert 0 < raised.value.extra["retry_after"] <= 301
    # Nobody locks a user out from elsewhere.
    sessions.sign_in("admin", node.password, "198.51.100.7")
    node.clock.advance(301)
    sessions.sign_in("admin", node.password, ADDRESS)


def test_wrong_name_and_wrong_password_look_the_same(node: Node) -> None:
    documents = []
    for name in ("admin", "nobody"):
        with pytest.raises(Problem) as raised:
            node.registry.sessions.sign_in(name, "wrong", ADDRESS)
        documents.append(raised.value.document())
    assert documents[0] == documents[1]


def test_cli_token_is_private_valid_and_kept(node: Node, tmp_path: Path) -> None:
    path = ensure_cli_token(tmp_path, node.engine, node.clock)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    token = path.read_text().strip()
    identity = node.registry.sessions.identify(token)
    assert identity is not None
    assert identity.subject.role is Role.ADMIN
    assert not identity.must_change_password
    assert ensure_cli_token(tmp_path, node.engine, node.clock).read_text().strip() == token
    node.clock.advance(366 * 24 * 3600)
    assert ensure_cli_token(tmp_path, node.engine, node.clock).read_text().strip() != token
    path.write_text("damaged")
    ensure_cli_token(tmp_path, node.engine, node.clock)
    assert node.registry.sessions.identify(path.read_text().strip()) is not None


def test_writes_are_audited_without_secrets(node: Node) -> None:
    from gongfu.registry import audit

    added = node.registry.users.create(node.admin, NewUser("vi", Role.VIEWER))
    node.registry.users.change(node.admin, added.user.id, UserPatch(reset_password=True))
    entries, _ = audit.entries(node.engine, NODE_TENANT, None, 50)
    assert [(entry.user, entry.action, entry.resource) for entry in entries[:2]] == [
        ("admin", "user.update", "user/vi"),
        ("admin", "user.create", "user/vi"),
    ]
    assert all(str(added.password) not in entry.detail for entry in entries)
    # What the node's admin did in another tenant is in that tenant's audit.
    theirs, _ = audit.entries(node.engine, node.other.tenant, None, 50)
    assert [entry.resource for entry in theirs] == ["user/other-admin"]
    first, key = audit.entries(node.engine, NODE_TENANT, None, 1)
    second, _ = audit.entries(node.engine, NODE_TENANT, key, 1)
    assert [first[0].id, second[0].id] == [entries[0].id, entries[1].id]
