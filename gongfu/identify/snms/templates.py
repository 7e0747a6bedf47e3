"""Data templates: use cases of ``/snms/api/v3/template`` and ``/snms/api/v5/template``."""

import asyncio

import msgspec

from gongfu.identify.authentication.authorization import Authorization
from gongfu.identify.authentication.types import Asker
from gongfu.identify.handle.codes import AdminPermission
from gongfu.identify.handle.resolution import Found
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.management.documents import NewTemplate, TemplateText
from gongfu.identify.management.templates import Templates
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import Operation, Write
from gongfu.identify.snms.answers import NOT_PERMITTED, SnmsError, Status, message_of, status_of
from gongfu.identify.snms.template_documents import (
    VALUE_INDEX,
    VALUE_TYPE,
    StoredTemplate,
    TemplateRequest,
    attributes_of,
    created,
    handle_of,
    industry_of,
    modified,
    name_of,
)
from gongfu.identify.templates.types import Attribute, Template, TemplateState
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import NODE_TENANT, Role, Subject

# A template that was deleted and made again with other items is another one of the node's.
_GENERATIONS = 20


class SnmsTemplates:
    """Reads and writes templates."""

    def __init__(self, identifiers: Identifiers, templates: Templates, authorization: Authorization) -> None:
        """Make it.

        Args:
            identifiers: where they are kept.
            templates: of the node.
            authorization: who may.
        """
        self._identifiers = identifiers
        self._templates = templates
        self._authorization = authorization
        self._turn = asyncio.Lock()

    def find(self, prefix: str, version: str) -> StoredTemplate | None:
        """Return a template, None if there is none. Any thread may ask."""
        found = self._identifiers.lookup(handle_of(prefix, version))
        for value in found.values if isinstance(found, Found) else ():
            if value.index == VALUE_INDEX and value.type == VALUE_TYPE:
                try:
                    return msgspec.json.decode(value.data, type=StoredTemplate)
                except msgspec.DecodeError:
                    return None
        return None

    def get(self, prefix: str, version: str) -> StoredTemplate:
        """Return a template.

        Raises:
            SnmsError: there is none.
        """
        found = self.find(prefix, version)
        if found is None:
            raise SnmsError(f"模板不存在：{prefix} {version}"[:300])
        return found

    async def create(self, asker: Asker, request: TemplateRequest) -> None:
        """Make a template.

        Raises:
            SnmsError: it contradicts itself, is there already, or the asker may not.
        """
        async with self._turn:
            self._check_right(asker, request.prefix)
            template = created(request)
            if self.find(request.prefix, request.version) is not None:
                raise SnmsError("模板已存在")
            await self._keep(asker, template, Operation.CREATE)

    async def modify(self, asker: Asker, request: TemplateRequest) -> None:
        """Change a template; records that were made by it stay as they are.

        Raises:
            SnmsError: it is not there, contradicts itself or what it was, or the asker may not.
        """
        async with self._turn:
            self._check_right(asker, request.prefix)
            template = modified(self.get(request.prefix, request.version), request)
            await self._keep(asker, template, Operation.ADD_VALUES)

    async def delete(self, asker: Asker, prefix: str, version: str) -> None:
        """Delete a template; records that were made by it stay as they are.

        Raises:
            SnmsError: it is not there, or the asker may not.
        """
        async with self._turn:
            self._check_right(asker, prefix)
            known = self.get(prefix, version)
            await self._write(asker, Write(operation=Operation.DELETE, handle=str(handle_of(prefix, version))))
            name, _, number = known.template.partition("@")
            if name:
                await self._withdraw(asker, name, int(number))

    def _check_right(self, asker: Asker, prefix: str) -> None:
        """Check that somebody may register below a prefix, before anything is made of a template."""
        if not self._authorization.prefix_rights(asker, prefix) & AdminPermission.ADD_HANDLE:
            raise SnmsError(NOT_PERMITTED, Status.NOT_PERMITTED)

    async def _keep(self, asker: Asker, template: StoredTemplate, operation: Operation) -> None:
        """Publish what the node needs of a template, then keep it whole: in this order a template that can be found can
        be used, and one that was left half made is taken up when it is made again."""
        try:
            published = await self._publish(asker, template)
        except Problem as problem:
            raise SnmsError(f"模板不符合要求：{problem.detail or problem.title}") from None
        data = msgspec.json.encode(msgspec.structs.replace(template, template=published))
        value = HandleValue(VALUE_INDEX, VALUE_TYPE, data)
        handle = str(handle_of(template.prefix, template.version))
        overwrite = operation is Operation.ADD_VALUES
        await self._write(asker, Write(operation=operation, handle=handle, values=(value,), overwrite=overwrite))

    async def _write(self, asker: Asker, write: Write) -> None:
        (outcome,) = await self._identifiers.write([write], allowed=self._authorization.allowed(asker))
        if not outcome.done:
            raise SnmsError(message_of(outcome), status_of(outcome))

    async def _publish(self, asker: Asker, template: StoredTemplate) -> str:
        attributes = attributes_of(template)
        if not attributes:
            return ""
        subject = _subject(asker)
        name, newest = await self._generation(template, attributes)
        title = {"zh": (template.description or template.version)[:200], "en": f"{template.prefix} {template.version}"}
        industry = industry_of(template)
        if newest is None:
            newest = await self._templates.create(subject, NewTemplate(name, attributes, title, industry))
        elif newest.state is TemplateState.PUBLISHED and newest.attributes == tuple(attributes):
            return f"{name}@{newest.version}"
        else:
            if newest.state is not TemplateState.DRAFT:
                newest = await self._templates.next_version(subject, name)
            text = TemplateText(attributes, title, industry)
            newest = await self._templates.write(subject, name, newest.version, text)
        await self._templates.become(subject, name, newest.version, TemplateState.PUBLISHED)
        return f"{name}@{newest.version}"

    async def _generation(self, template: StoredTemplate, attributes: list[Attribute]) -> tuple[str, Template | None]:
        """Return the name of the node's template and its newest version, of which the indexes mean what they are to
        mean now."""
        base = name_of(template.prefix, template.version)
        for number in range(1, _GENERATIONS + 1):
            name = base if number == 1 else f"{base}-{number}"
            try:
                versions = await self._templates.versions(name)
            except Problem:
                return name, None
            old = {item.index: item.name for version in versions for item in version.attributes}
            kinds = {kind: index for index, kind in old.items()}
            if all(
                old.get(item.index, item.name) == item.name and kinds.get(item.name, item.index) == item.index
                for item in attributes
            ):
                return name, versions[0]
        raise SnmsError("该模板已多次删除重建，请使用新的模板版本")

    async def _withdraw(self, asker: Asker, name: str, version: int) -> None:
        try:
            if (await self._templates.get(name, version)).state is TemplateState.PUBLISHED:
                await self._templates.become(_subject(asker), name, version, TemplateState.WITHDRAWN)
        except Problem:
            # Nothing to withdraw: somebody else has.
            return


def _subject(asker: Asker) -> Subject:
    """Return who it was, for the audit trail."""
    return Subject(0, f"snms {asker}"[:200], NODE_TENANT, Role.OPERATOR)
