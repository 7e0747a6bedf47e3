"""Which filters the sessions of this front door want, and what of it the others have been told."""

from gongfu.ingest.mqtt.broker.neighbour import GroupKey
from gongfu.ingest.mqtt.broker.routing import Router
from gongfu.ingest.mqtt.peers.wire import InterestRow


class OwnInterest:
    """Rows that were told, kept right by looking at what has been touched."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._told: dict[tuple[int, GroupKey], tuple[int, int]] = {}
        self._touched: set[tuple[int, GroupKey]] = set()

    def touch(self, tenant: int, key: GroupKey) -> None:
        """Something about a filter may have changed."""
        self._touched.add((tenant, key))

    @property
    def pending(self) -> bool:
        """True when something has been touched since the last look."""
        return bool(self._touched)

    def changes(self) -> list[InterestRow]:
        """Return the rows that differ from what was told before, and take them as told."""
        touched, self._touched = self._touched, set()
        rows: list[InterestRow] = []
        for place in touched:
            tenant, key = place
            count = self._router.tenant(tenant).trie.here(key)
            if self._told.get(place, (0, 0)) == count:
                continue
            if count == (0, 0):
                del self._told[place]
            else:
                self._told[place] = count
            rows.append((tenant, *key, *count))
        return rows

    def all(self) -> list[InterestRow]:
        """Return every row told so far."""
        return [(tenant, *key, *count) for (tenant, key), count in self._told.items()]
