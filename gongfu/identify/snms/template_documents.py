"""Data templates as the interface has them (数据模板), and what of them is a template of the node.

A template is named by prefix and version (``99.1000.1``, ``1.0.1``). It is kept whole in the handle
``<prefix>/snms_template/<version>``. Those of its items whose English names and indexes fit are attributes of a
template of the node, which checks and stores them; the others are checked here and stored as they are.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import Meta

from gongfu.identify.handle.names import HandleName, folded
from gongfu.identify.snms.answers import SnmsError
from gongfu.identify.templates.types import FIRST_INDEX, LAST_INDEX, MAX_ATTRIBUTES, Attribute

# Indexes that the interface keeps for itself.
RESERVED = frozenset({1000, 1001, 1999})
VALUE_TYPE = "SNMS_TEMPLATE"
VALUE_INDEX = 1000
# The attribute of the node's template that says by which of these a record was made.
MARK_INDEX = LAST_INDEX
MARK_NAME = "snms_template"
# One attribute of the node's templates is the mark.
MAX_ITEMS = MAX_ATTRIBUTES - 1
_SUFFIX = "snms_template/"
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_INDUSTRY = re.compile(r"[A-T]\Z"), re.compile(r"[0-9]{2}\Z"), re.compile(r"[0-9]{3}\Z"), re.compile(r"[0-9]{4}\Z")
# Longer ones make the pattern of a minimum too large for RE2.
_LONGEST_COUNT = 200
_MOST = 65_536

Version = Annotated[str, Meta(min_length=1, max_length=128)]
Prefix = Annotated[str, Meta(min_length=1, max_length=64)]
_Name = Annotated[str, Meta(min_length=1, max_length=128)]
_Length = Annotated[int, Meta(ge=0, le=_MOST)]


class Metadata(msgspec.Struct, rename="camel", frozen=True):
    """Limits of an item.

    Attributes:
        type: ``string``; there is no other.
        min_length: least characters.
        max_length: most characters.
    """

    min_length: _Length
    max_length: _Length
    type: str = "string"


class Item(msgspec.Struct, rename="camel", frozen=True):
    """One item.

    Attributes:
        name: in Chinese.
        id_type: in English: the type of the handle value.
        id_index: its index; None where the node is to choose one.
        required: each identifier must have it.
        state: 1 in use, 0 not; None where it stays as it was.
        metadata: limits; some clients send a list of one.
    """

    name: _Name
    id_type: _Name
    metadata: Metadata | Annotated[list[Metadata], Meta(min_length=1, max_length=1)]
    id_index: int | str | None = None
    required: bool = False
    state: Annotated[int, Meta(ge=0, le=1)] | None = None


class TemplateRequest(msgspec.Struct, rename="camel", frozen=True):
    """A template as a client sends it."""

    prefix: Prefix
    version: Version
    industry_category: str
    industry_specific: str
    industry_trade: str
    industry_subclass: str
    type: Annotated[int, Meta(ge=1, le=2)]
    items: Annotated[list[Item], Meta(min_length=1, max_length=MAX_ITEMS)]
    description: Annotated[str, Meta(max_length=500)] = ""


class StoredItem(msgspec.Struct, frozen=True):
    """An item as it is kept; fields as of ``Item``."""

    name: str
    kind: str
    index: int
    minimum: int
    maximum: int
    required: bool = False
    enabled: bool = True

    @property
    def is_attribute(self) -> bool:
        """Whether an attribute of a node's template can be it."""
        return (
            bool(_ATTRIBUTE.match(self.kind))
            and self.kind != MARK_NAME
            and FIRST_INDEX <= self.index <= LAST_INDEX
            and self.index != MARK_INDEX
            and self.minimum <= _LONGEST_COUNT
            and self.maximum > 0
        )


class StoredTemplate(msgspec.Struct, frozen=True):
    """A template as it is kept.

    Attributes:
        prefix: as it was written.
        version: likewise.
        industry: section, division, group and class of GB/T 4754.
        type: 1 for active carriers, 2 for all else.
        description: for people.
        items: in the order in which they came.
        template: ``name@version`` of the node's template; "" where no item is an attribute.
    """

    prefix: str
    version: str
    industry: tuple[str, str, str, str]
    type: int
    description: str
    items: tuple[StoredItem, ...]
    template: str = ""

    def by_index(self) -> dict[int, StoredItem]:
        """Return the items in use, by index."""
        return {item.index: item for item in self.items if item.enabled}


def handle_of(prefix: str, version: str) -> HandleName:
    """Return the handle that keeps a template."""
    return HandleName(prefix, _SUFFIX + quote(version, safe=""))


def name_of(prefix: str, version: str) -> str:
    """Return the name of the node's template."""
    return "snms-" + hashlib.sha256(f"{folded(prefix)}\0{version}".encode()).hexdigest()[:24]


def created(request: TemplateRequest) -> StoredTemplate:
    """Return a new template.

    Raises:
        SnmsError: it contradicts itself.
    """
    items = _with_indexes([_stored(item, None) for item in request.items])
    return _checked(_of(request, items))


def modified(known: StoredTemplate, request: TemplateRequest) -> StoredTemplate:
    """Return a template with the items of a request changed or added; those that it does not name stay.

    Raises:
        SnmsError: it contradicts itself, or what it was.
    """
    by_index = {item.index: item for item in known.items}
    kinds = {item.kind for item in known.items}
    changed: dict[int, StoredItem] = {}
    added: list[StoredItem] = []
    for item in request.items:
        index = _index(item)
        old = by_index.get(index)
        if old is None:
            if item.id_type in kinds:
                raise SnmsError(f"idType {item.id_type} 已存在，请同时提供匹配的idIndex")
            added.append(_stored(item, None))
        elif old.kind != item.id_type:
            raise SnmsError(f"idIndex {index} 与 idType {item.id_type} 不匹配")
        elif index in changed:
            raise SnmsError(f"idIndex {index} 重复")
        else:
            changed[index] = _stored(item, old)
    kept = [changed.get(item.index, item) for item in known.items]
    return _checked(_of(request, _with_indexes([*kept, *added])))


def _of(request: TemplateRequest, items: tuple[StoredItem, ...]) -> StoredTemplate:
    industry = (
        request.industry_category,
        request.industry_specific,
        request.industry_trade,
        request.industry_subclass,
    )
    wrong = next((code for code, form in zip(industry, _INDUSTRY, strict=True) if not form.match(code)), None)
    if wrong is not None or not industry[3].startswith(industry[2]) or not industry[2].startswith(industry[1]):
        raise SnmsError("行业分类应符合GB/T 4754：门类、大类、中类、小类，如 A、01、011、0111")
    return StoredTemplate(request.prefix, request.version, industry, request.type, request.description, items)


def _index(item: Item) -> int:
    """Return the index that a client gives, 0 for none."""
    if item.id_index is None or item.id_index == "":
        return 0
    text = str(item.id_index)
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 2**31):
        raise SnmsError(f"idIndex {text[:40]} 不是有效的索引")
    if int(text) in RESERVED:
        raise SnmsError(f"idIndex {text} 为预留字段，不可使用")
    return int(text)


def _stored(item: Item, old: StoredItem | None) -> StoredItem:
    limits = item.metadata[0] if isinstance(item.metadata, list) else item.metadata
    if limits.type != "string":
        raise SnmsError("metadata.type 只支持 string")
    if limits.min_length > limits.max_length:
        raise SnmsError(f"{item.id_type}：minLength 大于 maxLength")
    if not item.id_type.isprintable() or item.id_type != item.id_type.strip():
        raise SnmsError("idType 含有不可用的字符")
    enabled = bool(item.state) if item.state is not None else (old.enabled if old is not None else True)
    return StoredItem(
        item.name, item.id_type, _index(item), limits.min_length, limits.max_length, item.required, enabled
    )


def _with_indexes(items: Sequence[StoredItem]) -> tuple[StoredItem, ...]:
    """Give the next free index to each item that has none."""
    taken = {item.index for item in items} | RESERVED
    found: list[StoredItem] = []
    free = FIRST_INDEX
    for item in items:
        if not item.index:
            while free in taken:
                free += 1
            taken.add(free)
            item = msgspec.structs.replace(item, index=free)
        found.append(item)
    return tuple(found)


def _checked(template: StoredTemplate) -> StoredTemplate:
    if len(template.items) > MAX_ITEMS:
        raise SnmsError(f"模板属性最多 {MAX_ITEMS} 个")
    for what, values in (("idIndex", [i.index for i in template.items]), ("idType", [i.kind for i in template.items])):
        twice = next((value for at, value in enumerate(values) if value in values[:at]), None)
        if twice is not None:
            raise SnmsError(f"{what} {twice} 重复")
    return template


def attributes_of(template: StoredTemplate) -> list[Attribute]:
    """Return the attributes of the node's template."""
    attributes = [
        Attribute(
            name=item.kind,
            title={"zh": item.name},
            index=item.index,
            required=item.required,
            max_length=item.maximum,
            # A minimum is a pattern: the node's templates have no other way to say it.
            pattern=f"(?s).{{{item.minimum},}}" if item.minimum > 0 else "",
        )
        for item in template.items
        if item.enabled and item.is_attribute
    ]
    mark = Attribute(name=MARK_NAME, title={"zh": "数据模板", "en": "Data template"}, index=MARK_INDEX, max_length=128)
    return [*attributes, mark] if attributes else []


def industry_of(template: StoredTemplate) -> str:
    """Return the industry as the node's templates have it: section and class."""
    return template.industry[0] + template.industry[3]


def to_answer(template: StoredTemplate, *, indexes: bool) -> Mapping[str, Any]:
    """Return a template as the interface answers it; ``indexes`` of v5 on."""
    category, specific, trade, subclass = template.industry
    items: list[dict[str, Any]] = []
    for item in template.items:
        shown: dict[str, Any] = {"name": item.name, "idType": item.kind}
        if indexes:
            shown |= {"idIndex": item.index, "metadataId": item.index}
        shown["metadata"] = {"type": "string", "minLength": item.minimum, "maxLength": item.maximum}
        shown["required"] = item.required
        if indexes:
            shown["state"] = int(item.enabled)
        items.append(shown)
    answer: dict[str, Any] = {
        # A number for clients that want one; the template is known by prefix and version.
        "id": int(name_of(template.prefix, template.version)[5:12], 16),
        "prefix": template.prefix,
        "name": "",
        "version": template.version,
        "industryCategory": category,
        "industrySpecific": specific,
        "industryTrade": trade,
        "industrySubclass": subclass,
        "type": template.type,
        "description": template.description,
        "items": items,
    }
    if indexes:
        answer["handle"] = str(handle_of(template.prefix, template.version))
    return answer
