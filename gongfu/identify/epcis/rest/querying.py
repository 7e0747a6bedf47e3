"""/queries: named queries, their results, and subscriptions to them."""

import secrets
from typing import Any

import msgspec

from gongfu.identify.epcis.delivery import check_destination
from gongfu.identify.epcis.findings import errors
from gongfu.identify.epcis.named_queries import (
    MAX_QUERIES,
    MAX_SUBSCRIPTIONS,
    SIMPLE_EVENT_QUERY,
    NamedQuery,
    Subscription,
    check_name,
    find_query,
    find_subscription,
    queries_after,
    remove_query,
    remove_subscription,
    save_query,
    save_subscription,
    subscribable,
    subscriptions_of,
)
from gongfu.identify.epcis.query_rules import query as check_query
from gongfu.identify.epcis.rest.pages import Call, Reading, answer, empty, json_body
from gongfu.identify.epcis.rest.parameters import definition, namespaces, per_page
from gongfu.identify.epcis.rest.problems import EpcisProblem, Kind, no_name
from gongfu.identify.epcis.schedule import Schedule
from gongfu.identify.epcis.subscriptions import Subscriptions, resume
from gongfu.identify.epcis.uris import Namespaces, time_ns
from gongfu.identify.http.types import Response
from gongfu.kernel.times import MILLISECOND, format_rfc3339


class Querying:
    """Keeps queries, answers them, and takes subscriptions."""

    def __init__(self, reading: Reading, subscriptions: Subscriptions | None) -> None:
        self._reading = reading
        self._store = reading.store
        self._subscriptions = subscriptions

    async def queries(self, call: Call) -> Response:
        """GET /queries."""
        given = definition(call.request.query)
        size, after = per_page(given), str(given.pop("nextPageToken", ""))
        if given:
            raise EpcisProblem(Kind.PARAMETER, 400, f"no parameter {next(iter(given))!r} here")
        found = await self._reading(self._queries, after, size + 1)
        token = found[size - 1].name if len(found) > size else ""
        return answer(call, [_shown(query) for query in found[:size]], self._reading.next_link(call, size, token))

    def _queries(self, after: str, count: int) -> list[NamedQuery]:
        return [query for query, _ in zip(queries_after(self._store, after), range(count), strict=False)]

    async def create(self, call: Call) -> Response:
        """POST /queries: 201; a query without a name is answered and not kept."""
        body = json_body(call)
        given = body.get("query")
        if not isinstance(given, dict):
            raise EpcisProblem(Kind.QUERY, 400, "query is missing: an object of parameters")
        declared = namespaces(call.request.headers)
        if wrong := errors(check_query(given)):
            detail = "; ".join(f"{path}: {reason}" for path, reason, _ in wrong[:10])
            raise EpcisProblem(Kind.QUERY, 400, detail, findings=wrong)
        if body.get("name") in (None, SIMPLE_EVENT_QUERY):
            return await self._answer_once(call, given)
        try:
            name = check_name(body["name"])
        except ValueError as error:
            raise EpcisProblem(Kind.QUERY, 400, f"name: {error}") from None
        given = {key: value for key, value in given.items() if key not in ("perPage", "nextPageToken")}
        query = NamedQuery(name, self._now(), _with_context(given, declared), call.owner)
        await self._reading(self._create, query)
        return answer(call, _shown(query), (("Location", self._reading.path("queries", name)),), 201)

    async def _answer_once(self, call: Call, given: dict[str, Any]) -> Response:
        given = dict(given)
        size, token = per_page(given), str(given.pop("nextPageToken", ""))
        query = self._reading.query(given, call.request.headers)
        return await self._reading.page(call, query, size, token, SIMPLE_EVENT_QUERY)

    def _create(self, query: NamedQuery) -> None:
        with self._store.turn:
            if find_query(self._store, query.name) is not None:
                raise EpcisProblem(Kind.NAME_TAKEN, 409, f"there is a query {query.name} already")
            if sum(1 for _ in queries_after(self._store)) >= MAX_QUERIES:
                raise EpcisProblem(Kind.IMPLEMENTATION, 507, f"there are {MAX_QUERIES} queries; remove some")
            save_query(self._store, query)

    async def _named(self, call: Call) -> NamedQuery:
        if call.parts[1] == SIMPLE_EVENT_QUERY:
            return NamedQuery(SIMPLE_EVENT_QUERY, "1970-01-01T00:00:00Z", {})
        query = await self._reading(find_query, self._store, call.parts[1])
        if query is None:
            raise no_name(f"there is no query {call.parts[1][:100]}")
        return query

    async def show(self, call: Call) -> Response:
        """GET /queries/{queryName}."""
        return answer(call, _shown(await self._named(call)))

    async def remove(self, call: Call) -> Response:
        """DELETE /queries/{queryName}: with its subscriptions."""
        query = await self._named(call)
        if query.name == SIMPLE_EVENT_QUERY:
            raise EpcisProblem(Kind.SECURITY, 403, f"{SIMPLE_EVENT_QUERY} is the standard's own")
        if self._subscriptions is not None:
            await self._subscriptions.stop(query.name)
        await self._reading(remove_query, self._store, query.name)
        return empty(204)

    async def events(self, call: Call) -> Response:
        """GET /queries/{queryName}/events."""
        named = await self._named(call)
        if named.name == SIMPLE_EVENT_QUERY:
            return await self._reading.events(call, {})
        given = definition(call.request.query)
        size, token = per_page(given), str(given.pop("nextPageToken", ""))
        if given:
            raise EpcisProblem(Kind.PARAMETER, 400, f"{next(iter(given))!r}: a named query has its own parameters")
        query = self._reading.query(named.query, call.request.headers)
        return await self._reading.page(call, query, size, token, named.name)

    async def subscriptions(self, call: Call) -> Response:
        """GET /queries/{queryName}/subscriptions."""
        named = await self._named(call)
        found = await self._reading(lambda: list(subscriptions_of(self._store, named.name)))
        return answer(call, [item.document() for item in found])

    async def subscribe(self, call: Call) -> Response:
        """POST /queries/{queryName}/subscriptions: 201."""
        named = await self._named(call)
        if self._subscriptions is None or named.name == SIMPLE_EVENT_QUERY:
            raise EpcisProblem(Kind.SUBSCRIBE, 400, "only named queries can be subscribed to, where the node delivers")
        body = json_body(call)
        try:
            subscribable(named)
        except ValueError as error:
            raise EpcisProblem(Kind.SUBSCRIBE, 400, str(error)) from None
        try:
            check_destination(body.get("dest"))
        except ValueError as error:
            raise EpcisProblem(Kind.DESTINATION, 400, str(error)) from None
        subscription = self._subscription(call, named, body)
        await self._reading(self._save_new, subscription)
        self._subscriptions.serve(named.name, subscription.name)
        location = self._reading.path("queries", named.name, "subscriptions", subscription.name)
        return answer(call, subscription.document(), (("Location", location),), 201)

    def _subscription(self, call: Call, named: NamedQuery, body: dict[str, Any]) -> Subscription:
        known = ("dest", "signatureToken", "reportIfEmpty", "initialRecordTime", "stream", "schedule")
        for key in body:
            if key not in known:
                raise EpcisProblem(Kind.CONTROLS, 400, f"{key!r} is no control of a subscription")
        stream, schedule = body.get("stream", False), body.get("schedule")
        token, empty_too = body.get("signatureToken", ""), body.get("reportIfEmpty", False)
        if not isinstance(stream, bool) or not isinstance(empty_too, bool):
            raise EpcisProblem(Kind.CONTROLS, 400, "stream and reportIfEmpty are true or false")
        if stream == (schedule is not None):
            raise EpcisProblem(Kind.CONTROLS, 400, "either stream is true or there is a schedule")
        if not isinstance(token, str) or len(token) > 1024:
            raise EpcisProblem(Kind.CONTROLS, 400, "signatureToken is a text of at most 1024 characters")
        try:
            if schedule is not None:
                Schedule(schedule)
            since = time_ns(body["initialRecordTime"]) if "initialRecordTime" in body else None
        except (ValueError, TypeError) as error:
            raise EpcisProblem(Kind.CONTROLS, 400, str(error)) from None
        if since is not None and since > self._reading.clock.now_ns():
            raise EpcisProblem(Kind.CONTROLS, 400, "initialRecordTime lies in the future")
        head = self._store.head
        return Subscription(
            name=secrets.token_hex(12),
            query_name=named.name,
            created_at=self._now(),
            dest=body["dest"],
            signature_token=token,
            report_if_empty=empty_too,
            schedule=schedule,
            # Old events are no news: only later ones are sent, unless a time is given.
            position=head if since is None else self._store.first_recorded_from(since) - 1,
            owner=call.owner,
        )

    def _save_new(self, subscription: Subscription) -> None:
        with self._store.turn:
            if find_query(self._store, subscription.query_name) is None:
                raise no_name(f"there is no query {subscription.query_name} any more")
            if sum(1 for _ in subscriptions_of(self._store)) >= MAX_SUBSCRIPTIONS:
                raise EpcisProblem(Kind.SUBSCRIBE, 507, f"there are {MAX_SUBSCRIPTIONS} subscriptions; remove some")
            save_subscription(self._store, subscription)

    async def _subscribed(self, call: Call) -> Subscription:
        found = await self._reading(find_subscription, self._store, call.parts[1], call.parts[3])
        if found is None:
            raise no_name(f"the query {call.parts[1][:100]} has no such subscription")
        return found

    async def subscription(self, call: Call) -> Response:
        """GET /queries/{queryName}/subscriptions/{subscriptionID}."""
        return answer(call, (await self._subscribed(call)).document())

    async def unsubscribe(self, call: Call) -> Response:
        """DELETE /queries/{queryName}/subscriptions/{subscriptionID}."""
        found = await self._subscribed(call)
        if self._subscriptions is not None:
            await self._subscriptions.stop(found.query_name, found.name)
        await self._reading(remove_subscription, self._store, found.query_name, found.name)
        return empty(204)

    async def resume(self, call: Call) -> Response:
        """POST /queries/{queryName}/subscriptions/{subscriptionID}/resume: our own, after a failure."""
        found = await self._subscribed(call)
        if found.state != "failed" or self._subscriptions is None:
            raise EpcisProblem(Kind.SUBSCRIBE, 409, "only a subscription that has failed is resumed")
        active = await self._reading(resume, self._store, found)
        self._subscriptions.serve(active.query_name, active.name)
        return answer(call, active.document())

    def _now(self) -> str:
        return format_rfc3339(self._reading.clock.now_ns() // MILLISECOND * MILLISECOND)


def _shown(query: NamedQuery) -> dict[str, Any]:
    shown = msgspec.to_builtins(query)
    del shown["owner"]
    return shown


def _with_context(given: dict[str, Any], declared: Namespaces) -> dict[str, Any]:
    """Return parameters with the prefixes that a header declared: a stored query stands on its own."""
    own = declared.own()
    if not own:
        return given
    context = given.get("@context", [])
    return {**given, "@context": [own, *(context if isinstance(context, list) else [context])]}
