"""Which history a process reads and writes: one address, or several nodes that share the series."""

from gongfu.node.runtime import Runtime
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.sharded import ShardedHistory


def open_history(runtime: Runtime) -> ClickHouseHistory | ShardedHistory:
    """Return the history of the runtime; nothing is connected yet."""
    user, password = runtime.history_user, runtime.history_password
    if len(runtime.history_urls) > 1:
        return ShardedHistory([ClickHouseHistory(url, user, password) for url in runtime.history_urls])
    return ClickHouseHistory(runtime.history_url, user, password, cluster=runtime.history_cluster)
