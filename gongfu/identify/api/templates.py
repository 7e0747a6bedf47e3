"""HTTP of templates and classes."""

import msgspec

from gongfu.bus.commands import Ask
from gongfu.identify.management.documents import (
    ClassChange,
    ClassView,
    CopyTemplate,
    NewClass,
    NewTemplate,
    TemplateText,
)
from gongfu.identify.management.requests import (
    ChangeClass,
    ClassList,
    CopyOf,
    ListNumbers,
    ListTemplates,
    OneName,
    OneNumber,
    OneVersion,
    TemplateList,
    WriteTemplate,
)
from gongfu.identify.templates.types import Attribute, Template
from gongfu.kernel.permissions import Action
from gongfu.rest.paging import cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Handler, Route


class TemplateView(msgspec.Struct, frozen=True):
    """A version of a template; of attributes what is as it is by default is left out."""

    name: str
    version: int
    state: str
    title: dict[str, str]
    industry: str
    attributes: list[Attribute]


def view_of(template: Template) -> TemplateView:
    """Return the document of a version."""
    return TemplateView(
        template.name,
        template.version,
        template.state.value,
        template.title,
        template.industry,
        list(template.attributes),
    )


class TemplatePage(msgspec.Struct, frozen=True):
    """Versions of templates, by name, the newest of each first."""

    items: list[TemplateView]
    next: str | None = None


class ClassPage(msgspec.Struct, frozen=True):
    """A page of classes by number."""

    items: list[ClassView]
    next: str | None


def routes(ask: Ask) -> list[Route]:
    """Return the operations."""
    return [*_templates(ask), *_versions(ask), *_classes(ask)]


def _templates(ask: Ask) -> list[Route]:
    async def page(call: Call) -> TemplatePage:
        wish = ListTemplates(call.query.get("state", ""), call.query.get("search", ""))
        found = await ask(call.subject, "template-list", wish, TemplateList)
        return TemplatePage([view_of(one) for one in found.items])

    async def create(call: Call) -> TemplateView:
        return view_of(await ask(call.subject, "template-create", call.body, Template))

    async def versions(call: Call) -> TemplatePage:
        found = await ask(call.subject, "template-versions", OneName(call.path["name"]), TemplateList)
        return TemplatePage([view_of(one) for one in found.items])

    async def next_version(call: Call) -> TemplateView:
        return view_of(await ask(call.subject, "template-next-version", OneName(call.path["name"]), Template))

    async def copy(call: Call) -> TemplateView:
        return view_of(await ask(call.subject, "template-copy", CopyOf(call.path["name"], call.body), Template))

    read, write, all_, one = (
        Action.READ,
        Action.IDENTIFIER_WRITE,
        "/identifiers/templates",
        "/identifiers/templates/{name}",
    )
    return [
        Route("GET", all_, read, page, "List templates (?state, ?search)", None, TemplatePage),
        Route("POST", all_, write, create, "Draft a template", NewTemplate, TemplateView, 201),
        Route("GET", one, read, versions, "List the versions of a template, newest first", None, TemplatePage),
        Route("POST", f"{one}:nextVersion", write, next_version, "Draft its next version", None, TemplateView, 201),
        Route("POST", f"{one}:copy", write, copy, "Draft another from it", CopyTemplate, TemplateView, 201),
    ]


def _versions(ask: Ask) -> list[Route]:
    def version_of(call: Call) -> OneVersion:
        return OneVersion(call.path["name"], call.integer("version"))

    async def show(call: Call) -> TemplateView:
        return view_of(await ask(call.subject, "template-show", version_of(call), Template))

    async def rewrite(call: Call) -> TemplateView:
        wish = WriteTemplate(call.path["name"], call.integer("version"), call.body)
        return view_of(await ask(call.subject, "template-write", wish, Template))

    async def remove(call: Call) -> None:
        await ask(call.subject, "template-remove", version_of(call))

    def become(command: str) -> Handler:
        async def answer(call: Call) -> TemplateView:
            return view_of(await ask(call.subject, command, version_of(call), Template))

        return answer

    write, review, one = (
        Action.IDENTIFIER_WRITE,
        Action.IDENTIFIER_REVIEW,
        "/identifiers/templates/{name}/versions/{version}",
    )
    return [
        Route("GET", one, Action.READ, show, "Show a version of a template", None, TemplateView),
        Route("PUT", one, write, rewrite, "Replace what a draft says", TemplateText, TemplateView),
        Route("DELETE", one, write, remove, "Remove a draft", None, None, 204),
        Route("POST", f"{one}:publish", review, become("template-publish"), "Publish a version", None, TemplateView),
        Route(
            "POST", f"{one}:withdraw", review, become("template-withdraw"), "No new records of it", None, TemplateView
        ),
    ]


def _classes(ask: Ask) -> list[Route]:
    async def page(call: Call) -> ClassPage:
        wish = ListNumbers(cursor_of(call, int) or 0, limit_of(call))
        found = await ask(call.subject, "class-list", wish, ClassList)
        return ClassPage(found.items, None if found.next is None else encode_cursor(found.next))

    async def create(call: Call) -> ClassView:
        return await ask(call.subject, "class-create", call.body, ClassView)

    async def show(call: Call) -> ClassView:
        return await ask(call.subject, "class-show", OneNumber(call.integer("number")), ClassView)

    async def change(call: Call) -> ClassView:
        return await ask(call.subject, "class-change", ChangeClass(call.integer("number"), call.body), ClassView)

    read, write, all_, one = (
        Action.READ,
        Action.IDENTIFIER_WRITE,
        "/identifiers/classes",
        "/identifiers/classes/{number}",
    )
    return [
        Route("GET", all_, read, page, "List classes of ranges (?limit, ?cursor)", None, ClassPage),
        Route("POST", all_, write, create, "Make a class: what all members share", NewClass, ClassView, 201),
        Route("GET", one, read, show, "Show a class", None, ClassView),
        Route("PUT", one, write, change, "Change a class, and so all its members", ClassChange, ClassView),
    ]
