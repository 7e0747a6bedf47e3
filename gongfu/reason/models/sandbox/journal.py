"""What a model's process was given since its states were last taken out, so that they can be come to again. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from gongfu.reason.models.sandbox.types import HELD, Rows

MOST_BYTES = 32 << 20
MOST_CALLS = 1_000


class Journal:
    """The state of each held asset when states were last taken out, and the calls since, in order.

    Given to a new process one after another, the calls come to the same states. The journal also knows which states
    the process at hand holds: those need not be sent.
    """

    def __init__(self) -> None:
        self._before: dict[int, bytes] = {}
        self._calls: list[Rows] = []
        self._called: set[int] = set()
        self._held: set[int] = set()
        self._there: set[int] = set()
        self._size = 0

    def write(self, rows: Rows, lost: Iterable[int] = ()) -> None:
        """Write a call that was answered and whose states the process holds, but for those of ``lost`` assets."""
        self._calls.append(rows)
        self._size += 8 * len(rows.times) * (2 + len(rows.columns))
        assets = rows.assets.tolist()
        self._called.update(assets)
        self._held.update(assets)
        self._there.update(assets)
        self.release(lost)

    def release(self, assets: Iterable[int]) -> None:
        """States of these assets are not held any more."""
        gone = list(assets)
        self._held.difference_update(gone)
        self._there.difference_update(gone)

    @property
    def full(self) -> bool:
        """Whether it is time to take the states out."""
        return self._size > MOST_BYTES or len(self._calls) > MOST_CALLS

    def held(self) -> set[int]:
        """Return the assets whose states are held."""
        return set(self._held)

    def called(self) -> list[int]:
        """Return the held assets that had a call since states were taken out: only a process knows their states."""
        return sorted(self._held & self._called)

    def rest_bytes(self) -> int:
        """Return the bytes of the states of held assets that had no call since states were taken out."""
        quiet = self._held - self._called
        return sum(len(state) for asset, state in self._before.items() if asset in quiet)

    def rebase(self, found: Mapping[int, bytes]) -> dict[int, bytes]:
        """Begin anew with the states that were taken out, of all :meth:`called`; return those of all held assets."""
        states = {asset: state for asset, state in self._before.items() if asset in self._held} | dict(found)
        self._before = states
        self._calls.clear()
        self._called.clear()
        self._held = set(states)
        self._there &= self._held
        self._size = 0
        return dict(states)

    def spelt(self, rows: Rows) -> Rows:
        """Return rows with states instead of HELD where the process at hand does not hold them.

        Raises:
            KeyError: HELD is given for an asset whose state is not held.
        """
        states: list[bytes | None] = []
        for asset, state in zip(rows.assets.tolist(), rows.states, strict=True):
            if state == HELD:
                if asset not in self._held:
                    raise KeyError(asset)
                state = HELD if asset in self._there else self._before[asset]
            states.append(state)
        return rows._replace(states=states)

    def replay(self) -> Iterator[Rows]:
        """Return the calls for a process that holds nothing; after them it holds what was called."""
        self._there.clear()
        met: set[int] = set()
        for call in list(self._calls):
            assets = call.assets.tolist()
            yield call._replace(
                states=[
                    self._before[asset] if state == HELD and asset not in met else state
                    for asset, state in zip(assets, call.states, strict=True)
                ]
            )
            met.update(assets)
        self._there = met & self._held
