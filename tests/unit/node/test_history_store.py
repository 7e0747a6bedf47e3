"""Which history the processes of a node use."""

from pathlib import Path

import msgspec

from gongfu.node.configuration import load_configuration
from gongfu.node.data_directory import DataDirectory
from gongfu.node.history_store import open_history
from gongfu.node.plan import make_plan
from gongfu.node.runtime import Runtime
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.sharded import ShardedHistory


def _runtime(folder: Path, text: str) -> Runtime:
    (folder / "gongfu.toml").write_text(text)
    configuration = load_configuration(folder / "gongfu.toml", environ={"HOME": str(folder)})
    directory = DataDirectory(folder / "data")
    directory.create()
    make_plan(configuration, directory)
    return msgspec.json.decode(directory.runtime.read_bytes(), type=Runtime)


async def test_several_addresses_share_the_series_in_their_order(tmp_path: Path) -> None:
    runtime = _runtime(tmp_path, "[history]\nurls = ['http://b:1', 'http://a:2/']\nuser = 'u'\npassword = 'p'\n")
    assert "history" not in runtime.embedded
    assert (runtime.history_user, runtime.history_password) == ("u", "p")
    store = open_history(runtime)
    assert isinstance(store, ShardedHistory)
    assert [shard.address for shard in store.shards] == ["http://b:1", "http://a:2"]
    assert store.owner(3).address == "http://a:2"
    await store.close()


async def test_one_address_is_one_history(tmp_path: Path) -> None:
    for text, address in (
        ("[history]\nurls = ['http://b:1']\n", "http://b:1"),
        ("[history]\nurl = 'http://c:1'\n", "http://c:1"),
    ):
        store = open_history(_runtime(tmp_path, text))
        assert isinstance(store, ClickHouseHistory)
        assert store.address == address
        await store.close()


async def test_without_an_address_it_is_the_nodes_own(tmp_path: Path) -> None:
    runtime = _runtime(tmp_path, "")
    assert "history" in runtime.embedded
    store = open_history(runtime)
    assert isinstance(store, ClickHouseHistory)
    assert store.address == runtime.history_url
    await store.close()
