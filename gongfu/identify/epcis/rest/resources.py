"""Events, and the top-level resources: /eventTypes, /epcs, /bizSteps, /bizLocations, /readPoints, /dispositions."""

import base64
import binascii
from typing import Any, Final, NamedTuple

from gongfu.identify.epcis import rows
from gongfu.identify.epcis.answers import one_event
from gongfu.identify.epcis.rest.pages import Call, Reading, answer
from gongfu.identify.epcis.rest.parameters import definition, per_page
from gongfu.identify.epcis.rest.problems import EpcisProblem, Kind, no_resource
from gongfu.identify.epcis.rows import Field
from gongfu.identify.epcis.things import canonical, is_class
from gongfu.identify.epcis.uris import is_uri
from gongfu.identify.epcis.vocabulary import CONTEXT, EVENT_TYPES, TERMS, bare, term
from gongfu.identify.http.types import Response


class _TopLevel(NamedTuple):
    field: Field | None
    parameter: str
    terms: str = ""


TOP_LEVEL: Final = {
    "eventTypes": _TopLevel(Field.KIND, "eventType"),
    "epcs": _TopLevel(None, "MATCH_anyEPC"),
    "bizSteps": _TopLevel(Field.BIZ_STEP, "EQ_bizStep", "bizStep"),
    "dispositions": _TopLevel(Field.DISPOSITION, "EQ_disposition", "disposition"),
    "bizLocations": _TopLevel(Field.BIZ_LOCATION, "EQ_bizLocation"),
    "readPoints": _TopLevel(Field.READ_POINT, "EQ_readPoint"),
}


class Resources:
    """Shows events, and what there are events of."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    async def events(self, call: Call) -> Response:
        """GET /events: those that the parameters ask for."""
        return await self._reading.events(call, {})

    async def event(self, call: Call) -> Response:
        """GET /events/{eventID}: one event; of one that was declared in error, the declaration."""
        body = await self._reading(self._event, call.parts[1])
        if body is None:
            raise no_resource("no event has this ID")
        return answer(call, body)

    def _event(self, event_id: str) -> bytes | None:
        store = self._reading.store
        for known in store.known([(event_id, True), (event_id, False)]):
            stored = store.event(known[0]) if known is not None else None
            if stored is not None:
                return one_event(store, stored)
        return None

    async def values(self, call: Call) -> Response:
        """GET /epcs and the like: of what there are events."""
        given = definition(call.request.query)
        size, token = per_page(given), str(given.pop("nextPageToken", ""))
        if given:
            raise EpcisProblem(Kind.PARAMETER, 400, f"no parameter {next(iter(given))!r} here")
        try:
            after = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except binascii.Error:
            raise EpcisProblem(Kind.PARAMETER, 400, "nextPageToken is not one") from None
        of = TOP_LEVEL[call.parts[0]]
        start = rows.THING if of.field is None else rows.FIELD + bytes((of.field,))
        if after and not after.startswith(start):
            raise EpcisProblem(Kind.PARAMETER, 400, "nextPageToken belongs to another resource")
        # The key's end: NUL and time, number, role of a thing; NUL and number of a field's value.
        end = 17 if of.field is None else 8
        found = await self._reading(self._reading.store.distinct, start, after, size + 1, end)
        values = [key[len(start) :].decode() for key in found[:size]]
        following = base64.urlsafe_b64encode(found[size - 1]).decode().rstrip("=") if len(found) > size else ""
        if call.parts[0] == "eventTypes" and not after:
            values = [*EVENT_TYPES, *(value for value in values if value not in EVENT_TYPES)]
        elif of.terms:
            values = [bare(of.terms, value) for value in values]
        return _collection(call, values, self._reading.next_link(call, size, following))

    async def value(self, call: Call) -> Response:
        """GET /epcs/{epc} and the like: what there is below."""
        await self._known(call)
        return _collection(call, ["events"], ())

    async def events_of(self, call: Call) -> Response:
        """GET /epcs/{epc}/events and the like."""
        value = await self._known(call)
        of = TOP_LEVEL[call.parts[0]]
        parameter = of.parameter
        if parameter == "MATCH_anyEPC" and is_class(canonical(value)):
            parameter = "MATCH_anyEPCClass"
        return await self._reading.events(call, {parameter: [value]})

    async def _known(self, call: Call) -> str:
        """Return the value that the path names, if there are events of it."""
        value, of = call.parts[1], TOP_LEVEL[call.parts[0]]
        if of.terms:
            uri = term(of.terms, value)
            known = value in TERMS[of.terms][1]
        elif call.parts[0] == "eventTypes":
            uri, known = value, value in EVENT_TYPES
        else:
            uri, known = canonical(value), False
        if not known:
            if not is_uri(uri):
                raise EpcisProblem(Kind.PARAMETER, 400, f"{value[:80]!r} is not a URI; percent-encode it in the path")
            start = rows.thing_start(uri) if of.field is None else rows.field_start(of.field, uri)
            if not await self._reading(self._any, start):
                raise no_resource(f"there are no events of {value[:200]}")
        return value if known else uri

    def _any(self, start: bytes) -> bool:
        return next(self._reading.store.keys_from(start), None) is not None


def _collection(call: Call, members: list[str], headers: Any) -> Response:
    return answer(call, {"@context": CONTEXT, "type": "Collection", "member": members}, headers)
