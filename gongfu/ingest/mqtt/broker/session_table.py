"""The sessions of a front door by device and client id, compact: there may be hundreds of thousands."""

from collections.abc import ItemsView, Iterator, MutableMapping, ValuesView

from gongfu.ingest.mqtt.broker.durability import Key
from gongfu.ingest.mqtt.broker.sessions import Session


class SessionTable(MutableMapping[Key, Session]):
    """Sessions by (device id, client id).

    Nearly every device has one session, which is kept under the number of the device: no tuple and no count a session,
    which took 100 bytes. Further sessions of a device make a dictionary of their own.
    """

    __slots__ = ("_count", "_of")

    def __init__(self) -> None:
        self._of: dict[int, Session | dict[str, Session]] = {}
        self._count = 0

    def __getitem__(self, key: Key) -> Session:
        found = self._of[key[0]]
        if type(found) is dict:
            return found[key[1]]
        if isinstance(found, Session) and found.client_id == key[1]:
            return found
        raise KeyError(key)

    def get(self, key: Key, default: Session | None = None) -> Session | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the session of a key, or None."""
        found = self._of.get(key[0])
        if isinstance(found, Session):
            return found if found.client_id == key[1] else default
        return default if found is None else found.get(key[1], default)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, tuple) and self.get((key[0], key[1])) is not None

    def __setitem__(self, key: Key, session: Session) -> None:
        device, client_id = key
        found = self._of.get(device)
        if found is None or (isinstance(found, Session) and found.client_id == client_id):
            self._of[device] = session
            self._count += found is None
            return
        if isinstance(found, Session):
            found = self._of[device] = {found.client_id: found}
        self._count += client_id not in found
        found[client_id] = session

    def __delitem__(self, key: Key) -> None:
        device, client_id = key
        found = self._of[device]
        if isinstance(found, Session):
            if found.client_id != client_id:
                raise KeyError(key)
            del self._of[device]
        else:
            del found[client_id]
            if len(found) == 1:
                (self._of[device],) = found.values()
        self._count -= 1

    def __iter__(self) -> Iterator[Key]:
        return (session.key for session in self._each())

    def __len__(self) -> int:
        return self._count

    def values(self) -> ValuesView[Session]:
        """Return the sessions."""
        return _Sessions(self)

    def items(self) -> ItemsView[Key, Session]:
        """Return the keys and sessions."""
        return _Items(self)

    def of_device(self, device: int) -> int:
        """Return how many sessions a device has."""
        found = self._of.get(device)
        return 0 if found is None else 1 if isinstance(found, Session) else len(found)

    def _each(self) -> Iterator[Session]:
        for found in self._of.values():
            if isinstance(found, Session):
                yield found
            else:
                yield from found.values()


class _Sessions(ValuesView[Session]):
    """Without a look-up for each."""

    def __init__(self, table: SessionTable) -> None:
        super().__init__(table)
        self._each = table._each

    def __iter__(self) -> Iterator[Session]:
        return self._each()


class _Items(ItemsView[Key, Session]):
    def __init__(self, table: SessionTable) -> None:
        super().__init__(table)
        self._each = table._each

    def __iter__(self) -> Iterator[tuple[Key, Session]]:
        return ((session.key, session) for session in self._each())
