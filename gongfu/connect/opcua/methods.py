"""Calling methods: what they take, values of the declared types, what they gave back.

Source: OPC 10000-4 §5.12.2 (Call), OPC 10000-3 §8.6 (Argument).
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from asyncua.ua.ua_binary import nodeid_to_binary

from gongfu.connect.kit.methods import Argument, Output, Signature, in_order
from gongfu.connect.kit.types import DriverError, Reason, Value
from gongfu.connect.opcua import failures
from gongfu.connect.opcua.addressing import resolve
from gongfu.connect.opcua.bulk_read import read_once, to_node_id
from gongfu.connect.opcua.data_types import BUILT_IN, to_machine
from gongfu.connect.opcua.library import ua
from gongfu.connect.opcua.session import Session
from gongfu.connect.opcua.targets import namespaces_of
from gongfu.kernel.times import parse_rfc3339

_NODE_CLASS, _BROWSE_NAME, _METHOD = 2, 3, 4
_ADVICE = "Give a value of the type that browsing shows for this argument."


async def signature(session: Session, method: str) -> Signature:
    """Return what a method takes and gives.

    Raises:
        DriverError: it is no node of the server, or the connection failed.
    """
    found, _ = await _declared(session, to_node_id(resolve(method, await namespaces_of(session))), method)
    return found


async def call(session: Session, owner: str, method: str, arguments: Sequence[Value]) -> list[Output]:
    """Call a method and return its outputs.

    Args:
        session: an open session.
        owner: NodeId text of the object; ``""`` is the first object that has the method.
        method: NodeId text of the method.
        arguments: inputs in order; their types are those the method declares.

    Raises:
        DriverError: there is no such method, an argument does not fit, or the call failed.
    """
    namespaces = await namespaces_of(session)
    wanted = to_node_id(resolve(method, namespaces))
    what = f"Calling {method} at {session.url}"
    declared, kinds = await _declared(session, wanted, method)
    values = in_order(arguments, declared, method)
    request = ua.CallMethodRequest()
    request.ObjectId = to_node_id(resolve(owner, namespaces)) if owner else await _owner(session, wanted, method)
    request.MethodId = wanted
    request.InputArguments = [
        variant_of(value, kind, argument, method)
        for value, kind, argument in zip(values, kinds, declared.inputs, strict=True)
    ]
    result: Any = (await session.guard(what, session.client.uaclient.session.call([request])))[0]
    status = result.StatusCode.value
    if status & 0x8000_0000:
        for argument, one in zip(declared.inputs, result.InputArgumentResults or [], strict=False):
            if one.value & 0x8000_0000:  # it says which
                raise failures.of_status(one.value, f"{what}, argument {argument},")
        raise failures.of_status(status, what)
    outputs = result.OutputArguments or []
    names = [*declared.outputs, *(Argument(name=f"output {n + 1}") for n in range(len(declared.outputs), len(outputs)))]
    return [
        Output(name=argument.name, type_name=argument.type_name, value=_shown(output.Value))
        for argument, output in zip(names, outputs, strict=False)
    ]


def variant_of(value: Value, kind: int, argument: Argument, method: str) -> Any:
    """Return an argument as the server takes it.

    Args:
        value: as given: JSON.
        kind: built-in type (OPC 10000-6 §5.1.2).
        argument, method: for the message.

    Raises:
        DriverError: it does not fit.
    """
    where = f"argument {argument} of {method}"
    if argument.array != isinstance(value, list):
        raise DriverError(
            Reason.TYPE_MISMATCH,
            f"{where} takes {'a list' if argument.array else 'one value'}, not {value!r}.",
            _ADVICE,
        )
    if kind == 0:
        raise DriverError(
            Reason.UNSUPPORTED, f"{where} is of a type that is not a basic one.", "Call it by a client of its maker."
        )
    made = [_one(item, kind, where) for item in value] if isinstance(value, list) else _one(value, kind, where)
    return ua.Variant(made, ua.VariantType(kind), is_array=argument.array)


def _one(value: Value, kind: int, where: str) -> Any:
    wrong = DriverError(Reason.TYPE_MISMATCH, f"{where} does not take {value!r}.", _ADVICE)
    try:
        if kind == 13:  # DateTime
            return datetime.fromtimestamp(parse_rfc3339(str(value)) / 1e9, UTC)
        if kind == 14:
            return uuid.UUID(str(value))
        if kind == 17:
            return ua.NodeId.from_string(str(value))
        if kind == 15:
            return value if isinstance(value, bytes) else bytes.fromhex(str(value))
    except (ValueError, ua.UaError):
        raise wrong from None
    checked = to_machine(value, kind, where)
    return ua.LocalizedText(checked) if kind == 21 else checked


async def _declared(session: Session, method: Any, text: str) -> tuple[Signature, list[int]]:
    """Return what a method declares, and the built-in types of its inputs (0: none)."""
    what = f"Asking for the arguments of {text} at {session.url}"
    kind = await read_once(session, [nodeid_to_binary(method)], _NODE_CLASS, 0)
    if kind.status[0] & 0x8000_0000:
        raise failures.of_status(kind.status[0], what)
    if kind.values[0] != _METHOD:
        raise DriverError(
            Reason.ADDRESS_UNKNOWN, f"{text} of {session.url} is no method.", "Browsing shows which nodes are methods."
        )
    paths = await session.guard(
        what, session.client.translate_browsepaths(method, ["/0:InputArguments", "/0:OutputArguments"])
    )
    lists: list[list[Any]] = []
    for path in paths:
        status = path.StatusCode.value
        if status & 0x8000_0000 or not path.Targets:
            lists.append([])
            continue
        target = path.Targets[0].TargetId
        node = ua.NodeId(target.Identifier, target.NamespaceIndex, target.NodeIdType)
        work = session.client.uaclient.session.read_attributes([node], ua.AttributeIds.Value)
        found = (await session.guard(what, work))[0]
        lists.append(list(found.Value.Value or []) if found.Value is not None else [])
    inputs, outputs = lists
    shown = (await read_once(session, [nodeid_to_binary(method)], _BROWSE_NAME, 0)).values[0]
    name = shown if isinstance(shown, str) else ""
    kinds = [BUILT_IN.get(argument.DataType.to_string(), 0) for argument in inputs]
    return Signature(inputs=[_argument(a) for a in inputs], outputs=[_argument(a) for a in outputs], name=name), kinds


def _argument(declared: Any) -> Argument:
    kind = BUILT_IN.get(declared.DataType.to_string(), 0)
    return Argument(
        name=declared.Name or "",
        type_name=ua.VariantType(kind).name if kind else declared.DataType.to_string(),
        array=declared.ValueRank >= 0,
        description=(declared.Description.Text or "") if declared.Description else "",
    )


async def _owner(session: Session, method: Any, text: str) -> Any:
    """Return the object that has a method (HasComponent backwards)."""
    wanted = ua.BrowseDescription()
    wanted.NodeId = method
    wanted.BrowseDirection = ua.BrowseDirection.Inverse
    wanted.ReferenceTypeId = ua.NodeId(ua.ObjectIds.HasComponent)
    wanted.IncludeSubtypes = True
    wanted.NodeClassMask = ua.NodeClass.Object
    wanted.ResultMask = ua.BrowseResultMask.All
    parameters = ua.BrowseParameters()
    parameters.View = ua.ViewDescription()
    parameters.NodesToBrowse = [wanted]
    what = f"Looking for the object of {text} at {session.url}"
    result = (await session.guard(what, session.client.uaclient.session.browse(parameters)))[0]
    if not result.References:
        raise DriverError(
            Reason.ADDRESS_UNKNOWN, f"No object of {session.url} has the method {text}.", "Name the object as well."
        )
    node = result.References[0].NodeId
    return ua.NodeId(node.Identifier, node.NamespaceIndex, node.NodeIdType)


def _shown(value: Any) -> Value:
    if isinstance(value, ua.LocalizedText):
        return value.Text
    if isinstance(value, list | tuple):
        return [_shown(element) for element in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, ua.NodeId):
        return value.to_string()
    return value if value is None or isinstance(value, float | int | bool | str) else str(value)
