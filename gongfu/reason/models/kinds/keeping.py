"""States of assets inside the model's process: given, held, taken out. Pure."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import numpy as np

from gongfu.reason.models.kinds.types import Computed, KindError
from gongfu.reason.models.sandbox.types import HELD, Column, Description, FailureReason, Rows

Live = TypeVar("Live")

# Live objects beyond this are stored and let go, oldest first.
_MOST_LIVE = 20_000
_MOST_STATE_BYTES = 16 << 20


class Keeping(ABC, Generic[Live]):
    """Evaluates asset by asset, and keeps the live object of each (an FMU instance, a state) between calls.

    A state that comes back as it went out finds its live object again, without the cost of restoring it.
    """

    description: Description
    most_live = _MOST_LIVE

    def __init__(self) -> None:
        self._live: dict[int, Live] = {}
        self._stored: dict[int, bytes] = {}
        self._notes: dict[int, str] = {}

    @abstractmethod
    def begin(self, asset: int) -> Live:
        """Return the live object of an asset without a state."""

    @abstractmethod
    def restore(self, asset: int, state: bytes) -> Live:
        """Return the live object of a state that :meth:`save` gave, maybe in another process."""

    @abstractmethod
    def save(self, live: Live) -> bytes:
        """Return the state of a live object."""

    @abstractmethod
    def open(self, rows: Rows) -> None:
        """Take the rows of a call, of all its assets; what can be done for all at once is done here."""

    @abstractmethod
    def run(self, live: Live, start: int, end: int) -> Live:
        """Compute the opened rows from ``start`` to ``end``, which are one asset's; return its live object then."""

    @abstractmethod
    def outputs(self) -> dict[str, Column]:
        """Return float64[n] by output for all opened rows; whatever stands where :meth:`run` raised."""

    def drop(self, live: Live) -> None:
        """Let go of a live object; nothing to do where the interpreter does."""
        del live

    def note(self, asset: int, text: str) -> None:
        """Tell people something about an asset with this call's answer."""
        self._notes[asset] = text

    def evaluate(self, rows: Rows, keep: bool) -> Computed:
        """Compute rows; see kinds.types.Evaluator."""
        try:
            return self._evaluate(rows, keep)
        except BaseException:
            # Some assets are a call further than others: nobody can say which state is whose.
            self.forget()
            raise

    def _evaluate(self, rows: Rows, keep: bool) -> Computed:
        self._notes = {}
        self.open(rows)
        states: list[bytes | None] = []
        failed: list[tuple[int, int]] = []
        failures: dict[int, str] = {}
        error: KindError | None = None
        offsets = rows.offsets.tolist()
        for index, (asset, given) in enumerate(zip(rows.assets.tolist(), rows.states, strict=True)):
            start, end = offsets[index], offsets[index + 1]
            try:
                self._live[asset] = self.run(self._find(asset, given), start, end)
                states.append(HELD if keep else self._store(asset))
            except KindError as caught:
                if caught.reason in (FailureReason.STATE, FailureReason.REFUSED):
                    raise
                error = caught
                failures[asset] = caught.detail
                failed.append((start, end))
                self._let_go(asset)
                states.append(None)
        if error is not None and len(failures) == len(rows.assets):
            raise error
        self._make_room(self.most_live)
        columns = self.outputs()
        for start, end in failed:
            for column in columns.values():
                column[start:end] = np.nan
        return Computed(columns, states, failures, self._notes)

    def states(self, assets: list[int]) -> list[bytes | None]:
        """Return the states that are held for assets, None where there is none."""
        return [self._store(asset) if asset in self._live else self._stored.get(asset) for asset in assets]

    def let_go(self, but: set[int]) -> None:
        """Let go of all assets but these."""
        for asset in (self._live.keys() | self._stored.keys()) - but:
            self._let_go(asset)

    def forget(self) -> None:
        """Let go of everything."""
        for asset in list(self._live):
            self._let_go(asset)
        self._stored.clear()

    def _find(self, asset: int, given: bytes | None) -> Live:
        stored = self._stored.pop(asset, None)
        if asset in self._live and given is not None and given in (HELD, stored):
            if len(self._live) < self.most_live // 2:
                return self._live[asset]
            # Its place is the newest now.
            return self._live.setdefault(asset, self._live.pop(asset))
        self._let_go(asset)
        self._make_room(self.most_live - 1)
        if given is None:
            return self.begin(asset)
        if given == HELD:
            if stored is None:
                raise KindError(FailureReason.STATE, f"no state of asset {asset} is held here any more")
            return self.restore(asset, stored)
        return self.restore(asset, given)

    def _store(self, asset: int) -> bytes:
        state = self.save(self._live[asset])
        if len(state) > _MOST_STATE_BYTES:
            raise KindError(FailureReason.SHAPE, f"a state of {len(state)} bytes is longer than {_MOST_STATE_BYTES}")
        self._stored[asset] = state
        return state

    def _let_go(self, asset: int) -> None:
        live = self._live.pop(asset, None)
        self._stored.pop(asset, None)
        if live is not None:
            self.drop(live)

    def _make_room(self, keep: int) -> None:
        while len(self._live) > keep:
            oldest = next(iter(self._live))
            state = self._store(oldest)
            self._let_go(oldest)
            self._stored[oldest] = state
