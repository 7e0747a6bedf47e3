"""Identifiers: use cases of ``/identityv2/data…``, one by one and in batches."""

import asyncio
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from gongfu.identify.authentication.authorization import Authorization
from gongfu.identify.authentication.types import Asker
from gongfu.identify.handle.codes import Permission
from gongfu.identify.handle.json_form import to_json
from gongfu.identify.handle.names import HandleName, parse_handle
from gongfu.identify.handle.predefined import HS_SECKEY
from gongfu.identify.handle.resolution import Found
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import (
    Allowed,
    BatchError,
    Operation,
    Outcome,
    Write,
    WriteCode,
    WriteReason,
)
from gongfu.identify.snms.answers import BUSY, NOT_FOUND, SnmsError, Status, message_of, status_of
from gongfu.identify.snms.registrations import Registration, Value, decoded, decoded_many
from gongfu.identify.snms.template_documents import MARK_INDEX, MARK_NAME, StoredItem, StoredTemplate
from gongfu.identify.snms.templates import SnmsTemplates

DEFAULT_BATCH = 2000
# The value that says by which template a record was made, as it is shown.
TEMPLATE_INDEX = 1001
TEMPLATE_TYPE = "TEMPLATE"
# More are read beside the event loop.
_AT_ONCE = 500
# Bytes of a batch from which on it is worth to be written in columns.
_COLUMNS_FROM = 64 << 10


_Prepared = Write | SnmsError


class _Form:
    """A template made ready to check many registrations.

    Attributes:
        items: in use, by index.
        attributes: indexes of those that are attributes of the node's template.
        required: indexes that each registration has.
        template: the node's; "" for none.
        version: of the template.
        mark: the value that says so.
    """

    def __init__(self, template: StoredTemplate) -> None:
        self.items = template.by_index()
        self.template = template.template
        used = self.items.items() if template.template else ()
        self.attributes = frozenset(index for index, item in used if item.is_attribute)
        self.required = frozenset(index for index, item in self.items.items() if item.required)
        self.version = template.version
        version = template.version.encode()
        if template.template:
            self.mark = HandleValue(MARK_INDEX, MARK_NAME, version)
        else:
            self.mark = HandleValue(TEMPLATE_INDEX, TEMPLATE_TYPE, version)


_Known = dict[tuple[str, str], _Form]


class SnmsRecords:
    """Reads and writes identifiers."""

    def __init__(
        self,
        identifiers: Identifiers,
        templates: SnmsTemplates,
        authorization: Authorization,
        *,
        batch: int = DEFAULT_BATCH,
    ) -> None:
        """Make it.

        Args:
            identifiers: the node's.
            templates: by which records are made.
            authorization: who may.
            batch: the most identifiers of one request; the interface says 2,000.
        """
        self._identifiers = identifiers
        self._templates = templates
        self._authorization = authorization
        self._batch = batch

    def detail(self, asker: Asker, handle: str) -> dict[str, Any]:
        """Return an identifier, as far as the asker may read it.

        Raises:
            SnmsError: it is not here.
        """
        name = _name(handle)
        found = self._identifiers.lookup(name)
        if not isinstance(found, Found):
            raise SnmsError(NOT_FOUND)
        readable = self._authorization.readable(asker, name, found.values)
        values = [
            value
            for value in found.values
            if value.type.upper() != HS_SECKEY and (value.permissions & Permission.PUBLIC_READ or readable(value))
        ]
        values = sorted(map(_shown, values), key=lambda value: value.index)
        version = next((v.data.decode(errors="replace") for v in values if v.index == TEMPLATE_INDEX), "")
        return {
            "code": "200",
            "prefix": name.prefix,
            "handle": str(name),
            "templateVersion": version,
            "value": [
                {
                    "data": to_json(value)["data"],
                    "auth": "1" if value.permissions & Permission.PUBLIC_READ else "0",
                    "index": value.index,
                    "type": value.type,
                }
                for value in values
            ],
        }

    async def create(self, asker: Asker, body: bytes, key: bytes) -> None:
        """Register an identifier.

        Raises:
            SnmsError: why not.
        """
        await self._do_one(asker, self._registered(decoded(body), {}), key)

    async def update(self, asker: Asker, body: bytes, key: bytes) -> None:
        """Change the values that a request has; others of the identifier stay.

        Raises:
            SnmsError: why not.
        """
        await self._do_one(asker, self._changed(decoded(body), {}), key)

    async def delete(self, asker: Asker, handle: str, key: bytes) -> None:
        """Delete an identifier.

        Raises:
            SnmsError: why not.
        """
        await self._do_one(asker, Write(operation=Operation.DELETE, handle=str(_name(handle))), key)

    async def _do_one(self, asker: Asker, write: Write, key: bytes) -> None:
        (outcome,) = await self._written(asker, [write], key)
        if outcome.code is WriteCode.NOT_FOUND:
            raise SnmsError(NOT_FOUND)
        if not outcome.done:
            raise SnmsError(message_of(outcome), status_of(outcome))

    async def create_many(self, asker: Asker, body: bytes, key: bytes) -> list[dict[str, Any]]:
        """Register identifiers; each is done or not by itself, in order.

        Raises:
            SnmsError: the request as a whole is refused.
        """
        if len(body) <= _COLUMNS_FROM:
            return await self._do_many(asker, body, self._registered, key)
        items = await asyncio.to_thread(decoded_many, body)
        self._check_size(len(items))
        taken = await self._take_columns(asker, items, key, digest_of(body))
        if taken is not None:
            return taken
        return await self._do_many(asker, body, self._registered, key, items)

    async def _take_columns(
        self, asker: Asker, items: Sequence[Registration | SnmsError], key: bytes, digest: bytes
    ) -> list[dict[str, Any]] | None:
        """Register identifiers in columns; None where that is not possible, and nothing was done."""
        # Late: few nodes get batches by this interface, and the library of columns is large.
        from gongfu.identify.snms.columns import ColumnBatch

        registrations = [item for item in items if isinstance(item, Registration)]
        if len(registrations) != len(items):
            return None
        try:
            name = _name(registrations[0].handle)
            form = _Form(self._templates.get(name.prefix, registrations[0].template_version))
        except SnmsError:
            return None
        if not form.template or not form.attributes >= form.required:
            return None
        known = {index: form.items[index] for index in form.attributes}
        batch = ColumnBatch(registrations, name.prefix, form.template, known, form.required, form.version)

        def writes_at(places: Sequence[int]) -> list[Write | Outcome]:
            return [self._registered(registrations[place], {}) for place in places]

        try:
            outcomes = await batch.take(self._identifiers, key, digest, self._allowed(asker), writes_at)
        except BatchError as error:
            raise _refused(error) from None
        if outcomes is None:
            return None
        return [
            {"handle": item.handle, "msg": message_of(outcome)}
            for item, outcome in zip(registrations, outcomes, strict=True)
        ]

    async def update_many(self, asker: Asker, body: bytes, key: bytes) -> list[dict[str, Any]]:
        """Change identifiers, as ``create_many``."""
        return await self._do_many(asker, body, self._changed, key)

    async def delete_many(self, asker: Asker, handles: Sequence[str], key: bytes) -> list[dict[str, Any]]:
        """Delete identifiers, as ``create_many``."""
        self._check_size(len(handles))
        prepared = [_deletion(handle) for handle in handles]
        outcomes = await self._outcomes(asker, prepared, key)
        return [
            {"handle": handle, "code": int(status), "msg": message}
            for handle, (status, message) in zip(handles, outcomes, strict=True)
        ]

    async def _do_many(
        self,
        asker: Asker,
        body: bytes,
        prepare: Callable[[Registration, _Known], Write],
        key: bytes,
        decoded: Sequence[Registration | SnmsError] | None = None,
    ) -> list[dict[str, Any]]:
        def read() -> list[tuple[str, _Prepared]]:
            known: _Known = {}
            items = decoded_many(body) if decoded is None else decoded
            self._check_size(len(items))
            prepared: list[tuple[str, _Prepared]] = []
            for item in items:
                if isinstance(item, SnmsError):
                    prepared.append(("", item))
                    continue
                try:
                    prepared.append((item.handle, prepare(item, known)))
                except SnmsError as error:
                    prepared.append((item.handle, error))
            return prepared

        prepared = await asyncio.to_thread(read) if len(body) > _AT_ONCE * 400 else read()
        outcomes = await self._outcomes(asker, [write for _, write in prepared], key, digest_of(body))
        return [
            {"handle": handle, "msg": message} for (handle, _), (_, message) in zip(prepared, outcomes, strict=True)
        ]

    def _check_size(self, count: int) -> None:
        if count > self._batch:
            raise SnmsError(f"批量操作最多支持{self._batch}条，本次{count}条")

    async def _outcomes(
        self, asker: Asker, prepared: Sequence[_Prepared], key: bytes, digest: bytes = b""
    ) -> list[tuple[Status, str]]:
        writes = [item for item in prepared if isinstance(item, Write)]
        done = iter(await self._written(asker, writes, key, digest) if writes else [])
        found: list[tuple[Status, str]] = []
        for item in prepared:
            if isinstance(item, SnmsError):
                found.append((item.status, item.message))
            else:
                outcome = next(done)
                found.append((status_of(outcome), message_of(outcome)))
        return found

    async def _written(self, asker: Asker, writes: Sequence[Write], key: bytes, digest: bytes = b"") -> list[Outcome]:
        try:
            return await self._identifiers.write(writes, key=key, digest=digest, allowed=self._allowed(asker))
        except BatchError as error:
            raise _refused(error) from None

    def _registered(self, item: Registration, known: _Known) -> Write:
        name, form, given = self._checked(item, known)
        if not form.required <= given.keys():
            missing = [form.items[index].kind for index in sorted(form.required - given.keys())]
            raise SnmsError(f"缺少必填属性：{'、'.join(missing)}")
        attributes = {value.type: value.data.value for index, value in given.items() if index in form.attributes}
        free = [_value(value) for index, value in given.items() if index not in form.attributes]
        if form.template:
            attributes[MARK_NAME] = form.version
        else:
            free.append(form.mark)
        return Write(
            operation=Operation.CREATE,
            handle=str(name),
            template=form.template,
            attributes=attributes,
            values=tuple(free),
        )

    def _changed(self, item: Registration, known: _Known) -> Write:
        name, form, given = self._checked(item, known)
        values = (form.mark, *map(_value, given.values()))
        return Write(operation=Operation.ADD_VALUES, handle=str(name), values=values, overwrite=True)

    def _checked(self, item: Registration, known: _Known) -> tuple[HandleName, _Form, dict[int, Value]]:
        """Return the parts of a registration after checking its values against its template.

        Raises:
            SnmsError: what is wrong.
        """
        name = _name(item.handle)
        key = name.prefix, item.template_version
        form = known.get(key)
        if form is None:
            form = known[key] = _Form(self._templates.get(*key))
        given: dict[int, Value] = {}
        for value in item.value:
            one = form.items.get(value.index)
            if one is None:
                if value.index == TEMPLATE_INDEX:
                    raise SnmsError(f"索引{TEMPLATE_INDEX}为预留索引，不可使用")
                raise SnmsError(f"非法操作，索引{value.index}在模板中不存在")
            if value.index in given:
                raise SnmsError(f"索引{value.index}重复")
            _check_value(one, value)
            given[value.index] = value
        return name, form, given

    def _allowed(self, asker: Asker) -> Allowed:
        """Return what the core asks before each write of a batch: the right to create is asked once a prefix."""
        whole = self._authorization.allowed(asker)
        known: dict[str, bool] = {}

        def may(name: HandleName, current: Sequence[HandleValue] | None, write: Write) -> bool:
            if write.operation is not Operation.CREATE:
                return whole(name, current, write)
            found = known.get(name.prefix)
            if found is None:
                found = known[name.prefix] = whole(name, None, write)
            return found

        return may


def _refused(error: BatchError) -> SnmsError:
    """Return what a request is answered that was refused as a whole."""
    if error.reason in (WriteReason.KEY_REUSED, WriteReason.KEY_TOO_LONG, WriteReason.TOO_MANY):
        return SnmsError(f"请求被拒绝：{error}")
    return SnmsError(BUSY, Status.INTERNAL)


def digest_of(body: bytes) -> bytes:
    """Return what tells a request from others that come with the same key."""
    return blake2b(body, digest_size=16).digest()


def _check_value(item: StoredItem, value: Value) -> None:
    if value.type != item.kind:
        raise SnmsError(f"非法操作，索引{value.index}的类型应为{item.kind}")
    if value.data.format != "string":
        raise SnmsError("标识属性内容格式只支持string")
    length = len(value.data.value)
    if not item.minimum <= length <= item.maximum:
        raise SnmsError(f"{item.kind}的长度应为{item.minimum}到{item.maximum}，实际为{length}")


def _value(value: Value) -> HandleValue:
    return HandleValue(value.index, value.type, value.data.value.encode())


def _shown(value: HandleValue) -> HandleValue:
    """Return a value as the interface shows it: the mark of the template has an index of its own there."""
    if value.index == MARK_INDEX and value.type == MARK_NAME:
        return msgspec.structs.replace(value, index=TEMPLATE_INDEX, type=TEMPLATE_TYPE)
    return value


def _name(handle: str) -> HandleName:
    try:
        return parse_handle(handle)
    except MalformedError:
        raise SnmsError(f"标识格式不正确：{handle[:100]}") from None


def _deletion(handle: str) -> _Prepared:
    try:
        return Write(operation=Operation.DELETE, handle=str(_name(handle)))
    except SnmsError as error:
        return error
