"""A batch of registrations in columns: of those whose items all have the same values of one template, as batches of
applications have."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gongfu.identify.bulk.batch_taking import BatchTaking, NotPlainError
from gongfu.identify.bulk.preparing import CODES, Prepared, Wish, prepare
from gongfu.identify.bulk.reading import HANDLE, Part
from gongfu.identify.handle.names import MAX_BYTES
from gongfu.identify.service.contents import Contents
from gongfu.identify.service.deciding import Refused
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import Allowed, Outcome, Write
from gongfu.identify.snms.registrations import Registration
from gongfu.identify.snms.template_documents import MARK_NAME, StoredItem

_FORMAT = "string"
_layout, _text = attrgetter("index", "type", "data.format"), attrgetter("data.value")
_handle, _values, _version = attrgetter("handle"), attrgetter("value"), attrgetter("template_version")


class ColumnBatch:
    """Registrations of one prefix and template."""

    def __init__(
        self,
        items: Sequence[Registration],
        prefix: str,
        template: str,
        known: Mapping[int, StoredItem],
        required: frozenset[int],
        version: str,
    ) -> None:
        """Take them.

        Args:
            items: at least one.
            prefix: of the first.
            template: the node's.
            known: what the template has by index; all are attributes of the node's template.
            required: indexes that each item must have.
            version: of the template.
        """
        self._items = items
        self._prefix = prefix
        self._template = template
        self._known = known
        self._required = required
        self._version = version

    async def take(
        self,
        identifiers: Identifiers,
        key: bytes,
        digest: bytes,
        allowed: Allowed,
        writes_at: Callable[[Sequence[int]], list[Write | Outcome]],
    ) -> list[Outcome] | None:
        """Register them; None where they are to be written one by one, and nothing was done.

        Args:
            identifiers: of the node.
            key: of idempotency; b"" is none.
            digest: of the request.
            allowed: whether one may be created.
            writes_at: returns items by place as single writes.

        Raises:
            BatchError: nothing was done; after FAILED that is not known.
        """
        now = int(time.time())
        ready = await asyncio.to_thread(self._prepared, identifiers, now)
        if ready is None:
            return None
        wish, made = ready

        def act(contents: Contents) -> tuple[None, frozenset[str], frozenset[str]]:
            taking = BatchTaking(contents, made, wish, now, key, digest, writes_at, allowed)
            return None, taking.take(), frozenset()

        try:
            await identifiers.exclusively(act)
        except NotPlainError:
            return None
        plain = {number: Outcome(code) for number, code in enumerate(CODES)}
        return [
            Outcome(CODES[code], made.details[place]) if place in made.details else plain[code]
            for place, code in enumerate(made.codes.tolist())
        ]

    def _prepared(self, identifiers: Identifiers, now: int) -> tuple[Wish, Prepared] | None:
        part = self.part()
        try:
            form = identifiers.forms.published(self._template)
        except Refused:
            return None
        if part is None or form is None:
            return None
        wish = Wish(form=form)
        return wish, prepare(part, wish, identifiers.namespace, now)

    def part(self) -> Part | None:
        """Return handles and attributes; None where items differ in more than texts, or one is wrong."""
        items = self._items
        listed = list(map(_values, items))
        handles = _texts(list(map(_handle, items)))
        if handles is None or len(set(map(len, listed))) != 1 or set(map(_version, items)) != {self._version}:
            return None
        leads = pc.call_function("starts_with", [handles], pc.MatchSubstringOptions(f"{self._prefix}/"))
        longest = pc.call_function("max", [pc.call_function("binary_length", [handles])]).as_py()
        if longest > MAX_BYTES or not pc.call_function("all", [leads]).as_py():
            return None
        columns: dict[str, pa.Array] = {}
        indexes = set[int]()
        for values in zip(*listed, strict=True):
            layouts = set(map(_layout, values))
            if len(layouts) != 1:
                return None
            index, kind, form = layouts.pop()
            item = self._known.get(index)
            if item is None or kind != item.kind or form != _FORMAT or index in indexes:
                return None
            indexes.add(index)
            texts = _texts(list(map(_text, values)))
            if texts is None or not _within(texts, item.minimum, item.maximum):
                return None
            columns[item.kind] = texts
        if not self._required <= indexes:
            return None
        columns[MARK_NAME] = pa.array([self._version]).take(pa.array(np.zeros(len(items), np.int32)))
        return Part({HANDLE: handles, **columns}, range(len(items)), {})


def _texts(texts: list[str]) -> pa.Array | None:
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        return None


def _within(texts: pa.Array, least: int, most: int) -> bool:
    found = pc.call_function("min_max", [pc.call_function("utf8_length", [texts])]).as_py()
    return bool(least <= found["min"] and found["max"] <= most)
