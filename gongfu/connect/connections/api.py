"""HTTP of connections."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from gongfu.connect.connections.calling import by_name, marked, outputs_of
from gongfu.connect.connections.checking import check_addresses, check_driver_options, check_url
from gongfu.connect.connections.models import ModelMaker
from gongfu.connect.connections.service import ConnectionService
from gongfu.connect.connections.types import (
    Ask,
    BrowseRequest,
    Called,
    CallRequest,
    Connection,
    ConnectionDetail,
    ConnectionDocument,
    ConnectionPatch,
    DriverList,
    FoundList,
    NewConnection,
    NodeList,
    PreviewRequest,
    ReadRequest,
    SignatureRequest,
    Target,
    TestAnswer,
    ValueList,
    WriteRequest,
    Written,
)
from gongfu.connect.kit.loading import available
from gongfu.connect.kit.methods import Signature
from gongfu.connect.kit.status import Status
from gongfu.connect.kit.types import Address
from gongfu.connect.kit.values import Conversion, Rejection
from gongfu.connect.preview.types import Proposal
from gongfu.kernel.errors import forbidden, invalid, not_found
from gongfu.kernel.permissions import Action, Subject
from gongfu.rest.paging import MAX_LIMIT, Page, cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Route
from gongfu.thing.conformity import Conformity

# Asks the role that runs connections; the answer is of the given type. Raises ``Problem``.
AskRole = Callable[[Ask, Any], Awaitable[Any]]
# Returns the status by id of those connections that are known to that role; empty while it does not answer.
StatusOf = Callable[[list[int]], Awaitable[dict[int, Status]]]
# Notes in the audit who wrote what to a machine: resource, detail, action.
NoteWrite = Callable[[Subject, str, str, str], None]

_PREVIEW_LIMIT = 20_000
_RECORD_LIMIT_S = 300.0
_ARGUMENTS = 100
_NODE_LIMIT = 2000
_AUDITED = 500


class ConnectionPage(msgspec.Struct, frozen=True):
    """A page of connections in order of name."""

    items: list[ConnectionDocument]
    next: str | None


def routes(
    service: ConnectionService,
    models: ModelMaker,
    ask: AskRole,
    status_of: StatusOf,
    note_write: NoteWrite,
    conformity: Conformity,
) -> list[Route]:
    """Return the operations.

    Args:
        service: connections as they are stored.
        models: makes thing models.
        ask: asks the role that runs them.
        status_of: how they are.
        note_write: called before a value is written to a machine; blocks.
        conformity: judges calls by the thing model of the asset.
    """

    async def with_status(detail: ConnectionDetail) -> ConnectionDetail:
        return msgspec.structs.replace(detail, status=(await status_of([detail.id])).get(detail.id))

    async def drivers(call: Call) -> DriverList:
        return DriverList([one.manifest for _, one in sorted((await asyncio.to_thread(available)).items())])

    async def list_connections(call: Call) -> Page:
        items, key = await asyncio.to_thread(service.page, call.subject, cursor_of(call, str), limit_of(call))
        known = await status_of([item.id for item in items])
        items = [msgspec.structs.replace(item, status=known.get(item.id)) for item in items]
        return Page(items, None if key is None else encode_cursor(key))

    async def get(call: Call) -> ConnectionDetail:
        return await with_status(await asyncio.to_thread(service.get, call.subject, call.integer("id")))

    async def create(call: Call) -> ConnectionDetail:
        return await asyncio.to_thread(service.create, call.subject, call.body)

    async def change(call: Call) -> ConnectionDetail:
        return await with_status(await asyncio.to_thread(service.change, call.subject, call.integer("id"), call.body))

    async def remove(call: Call) -> None:
        await asyncio.to_thread(service.remove, call.subject, call.integer("id"))

    async def checked(subject: Subject, target: Target) -> Target:
        """Return a target that is the caller's, with user and password out of the URL."""
        if target.connection:
            await asyncio.to_thread(service.connection, subject, target.connection)
            return Target(connection=target.connection)
        url, credentials, driver = check_url(target.url, target.protocol)
        options, secrets = check_driver_options(driver, target.options, credentials)
        return Target(url=url, protocol=driver.manifest.protocol, options={**options, **secrets})

    async def test(call: Call) -> TestAnswer:
        target = await checked(call.subject, call.body)
        return await ask(Ask(operation="test", tenant=call.subject.tenant, target=target), TestAnswer)

    async def discover(call: Call) -> FoundList:
        target = await checked(call.subject, call.body)
        return await ask(Ask(operation="discover", tenant=call.subject.tenant, target=target), FoundList)

    async def browse(call: Call) -> NodeList:
        body: BrowseRequest = call.body
        if not 1 <= body.limit <= MAX_LIMIT:
            raise invalid(f"limit must be 1 to {MAX_LIMIT}")
        target = await checked(call.subject, body.target)
        question = Ask(
            operation="browse",
            tenant=call.subject.tenant,
            target=target,
            parent=body.parent,
            limit=body.limit,
            cursor=body.cursor,
        )
        return await ask(question, NodeList)

    async def read(call: Call) -> ValueList:
        body: ReadRequest = call.body
        if len(body.addresses) > MAX_LIMIT:
            raise invalid(f"at most {MAX_LIMIT} addresses are read at once")
        check_addresses(body.addresses)
        target = await checked(call.subject, body.target)
        question = Ask(operation="read", tenant=call.subject.tenant, target=target, addresses=body.addresses)
        return await ask(question, ValueList)

    async def write(call: Call) -> Written:
        body: WriteRequest = call.body
        connection = await asyncio.to_thread(service.connection, call.subject, call.integer("id"))
        address = _writable(connection.addresses, body)
        try:
            value = Conversion(address).undo(body.value)
        except Rejection as rejection:
            raise invalid(f"value: {rejection}", reason=rejection.reason) from None
        stored = await asyncio.to_thread(service.get, call.subject, connection.id)
        path = f"{stored.asset_path}/{address.asset}" if address.asset else stored.asset_path
        told, values = conformity.check_writes, {address.point: body.value}
        await asyncio.to_thread(told, call.subject.tenant, connection.device, path, values)
        detail = f"{connection.name}: {address.point} ({address.where}) = {body.value!r}"
        await asyncio.to_thread(note_write, call.subject, f"connection/{connection.name}", detail, "connection.write")
        question = Ask(
            operation="write",
            tenant=call.subject.tenant,
            target=Target(connection=connection.id),
            addresses=[address],
            value=value,
        )
        return await ask(question, Written)

    async def signature(call: Call) -> Signature:
        body: SignatureRequest = call.body
        connection = await asyncio.to_thread(service.connection, call.subject, call.integer("id"))
        _check_node("method", body.method)
        question = Ask(
            operation="signature",
            tenant=call.subject.tenant,
            target=Target(connection=connection.id),
            method=body.method,
        )
        return await ask(question, Signature)

    async def judged(call: Call, body: CallRequest, connection: Connection) -> tuple[str, str]:
        """Return asset and name of the service that is called, "" when its model has none; refuse wrong inputs."""
        tenant = call.subject.tenant
        detail = await asyncio.to_thread(service.get, call.subject, connection.id)
        path = f"{detail.asset_path}/{body.asset}" if body.asset else detail.asset_path
        members = await asyncio.to_thread(conformity.members, tenant, path)
        if members is None or not members.has_services:
            return path, ""
        question = Ask(
            operation="signature", tenant=tenant, target=Target(connection=connection.id), method=body.method
        )
        known: Signature = await ask(question, Signature)
        wanted = body.service or known.name or body.method
        given = by_name(body.arguments, known)
        await asyncio.to_thread(conformity.check_inputs, tenant, connection.device, path, wanted, given)
        return path, wanted

    async def call_method(call: Call) -> Called:
        body: CallRequest = call.body
        connection = await asyncio.to_thread(service.connection, call.subject, call.integer("id"))
        _check_node("method", body.method)
        if body.object:
            _check_node("object", body.object)
        if len(body.arguments) > _ARGUMENTS:
            raise invalid(f"a method has at most {_ARGUMENTS} arguments")
        path, wanted = await judged(call, body, connection)
        resource, detail = f"connection/{connection.name}", f"{connection.name}: {body.method}"
        # The audit has that it was called before it is; the arguments are cut, they may be long.
        detail += f" of {body.object}" if body.object else ""
        detail += f" with {str(body.arguments)[:_AUDITED]}"
        await asyncio.to_thread(note_write, call.subject, resource, detail, "connection.call")
        question = Ask(
            operation="call",
            tenant=call.subject.tenant,
            target=Target(connection=connection.id),
            method=body.method,
            object=body.object,
            arguments=body.arguments,
        )
        called = await ask(question, Called)
        if not wanted:
            return called
        judge, given = conformity.judge_outputs, outputs_of(called)
        return marked(
            called, await asyncio.to_thread(judge, call.subject.tenant, connection.device, path, wanted, given)
        )

    async def preview(call: Call) -> Proposal:
        body: PreviewRequest = call.body
        if not 1 <= body.limit <= _PREVIEW_LIMIT:
            raise invalid(f"limit must be 1 to {_PREVIEW_LIMIT}")
        if not 0 <= body.record <= _RECORD_LIMIT_S:
            raise invalid(f"record must be 0 to {_RECORD_LIMIT_S:g} seconds")
        target = await checked(call.subject, body.target)
        question = Ask(
            operation="preview",
            tenant=call.subject.tenant,
            target=target,
            parent=body.parent,
            limit=body.limit,
            name=body.name,
            asset=body.asset,
            record=body.record,
        )
        return await ask(question, Proposal)

    async def apply(call: Call) -> ConnectionDetail:
        proposal: Proposal = call.body
        chosen = [point for point in proposal.points if point.include]
        request = NewConnection(
            name=proposal.name,
            url=proposal.url,
            protocol=proposal.protocol,
            asset=proposal.asset,
            options=proposal.options,
            addresses=[point.address for point in chosen],
        )

        def make() -> ConnectionDetail:
            service.check(call.subject, request)
            made = models.make(call.subject, proposal.model, chosen) if proposal.model else []
            detail = service.create(call.subject, request)
            models.bind(call.subject, detail.asset_path, made)
            return detail

        return await asyncio.to_thread(make)

    seen, made, sent = Action.READ, Action.DEVICE_WRITE, Action.DEVICE_SEND
    detail, value = ConnectionDetail, "Write a value to a writable point, and read it back"
    return [
        Route("GET", "/drivers", seen, drivers, "The drivers of this node", None, DriverList),
        Route("GET", "/connections", seen, list_connections, "List connections", None, ConnectionPage),
        Route("POST", "/connections", made, create, "Make a connection to a machine", NewConnection, detail, 201),
        Route("POST", "/connections:test", made, test, "Say whether a machine can be reached", Target, TestAnswer),
        Route("POST", "/connections:discover", made, discover, "What answers at a URL", Target, FoundList),
        Route("POST", "/connections:browse", made, browse, "What a machine has to show", BrowseRequest, NodeList),
        Route("POST", "/connections:read", made, read, "Read addresses once", ReadRequest, ValueList),
        Route("POST", "/connections:preview", made, preview, "Propose a connection", PreviewRequest, Proposal),
        Route("POST", "/connections:apply", made, apply, "Make what was proposed", Proposal, detail, 201),
        Route("GET", "/connections/{id}", seen, get, "A connection with its status", None, detail),
        Route("PATCH", "/connections/{id}", made, change, "Change a connection", ConnectionPatch, detail),
        Route("DELETE", "/connections/{id}", made, remove, "Remove a connection and its device", None, None, 204),
        Route("POST", "/connections/{id}:write", sent, write, value, WriteRequest, Written),
        Route(
            "POST",
            "/connections/{id}:signature",
            sent,
            signature,
            "What a method of a machine takes and gives",
            SignatureRequest,
            Signature,
        ),
        Route("POST", "/connections/{id}:call", sent, call_method, "Call a method of a machine", CallRequest, Called),
    ]


def _check_node(what: str, where: str) -> None:
    if not 1 <= len(where) <= _NODE_LIMIT or not where.isprintable():
        raise invalid(f"{what} must have 1 to {_NODE_LIMIT} printable characters")


def _writable(addresses: list[Address], body: WriteRequest) -> Address:
    for address in addresses:
        if (address.asset, address.point) == (body.asset, body.point):
            if not address.writable:
                raise forbidden(f"the connection does not say that {body.point!r} may be written (writable)")
            return address
    raise not_found(f"point {body.point!r} of this connection")
