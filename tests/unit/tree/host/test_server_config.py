"""Configuration of tree-nats."""

import pytest

from gongfu.tree.host.server_config import ChildrenListen, Credentials, ParentRemote, render_tree_server

FILES = Credentials("/c.pem", "/k.pem", "/a.pem")


def test_a_server_without_a_password_or_an_id_is_not_started() -> None:
    with pytest.raises(ValueError, match="token"):
        render_tree_server(port=1, token="", name="n")
    with pytest.raises(ValueError, match="id"):
        render_tree_server(port=1, token="t", name="n", parent=ParentRemote("h:1", FILES))


def test_each_child_has_two_subjects() -> None:
    text = render_tree_server(
        port=1, token="t", name="n", children=ChildrenListen("127.0.0.1", 2, FILES, ("b", "a")), node="me"
    )
    assert '"urn:gongfu:node:a", allowed_connection_types: ["LEAFNODE"]' in text
    assert 'publish: { allow: ["tree.up.a"] }, subscribe: { allow: ["tree.down.a"] }' in text
    assert text.index("node:a") < text.index("node:b")
    assert "remotes" not in text
    # What is in a name stays in it.
    odd = render_tree_server(port=1, token='t"}\n', name='x" }')
    assert '"t\\"}\\n"' in odd
    assert '"x\\" }"' in odd
