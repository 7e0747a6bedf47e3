"""What a template declares, and what may become of it: draft, published, withdrawn.

A published version never changes, because records name it; what changes is a new version, in which an index that was
used means the same attribute as before.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from gongfu.identify.templates.patterns import Pattern, PatternError, compile_pattern

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z", max_length=64)]
Slug = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,63}\Z", max_length=64)]
Text = Annotated[str, Meta(max_length=200)]
MAX_ATTRIBUTES = 200
MAX_PATTERN = 500
# Lower indexes are for values of the Handle System (keys, administrators, sites), by custom.
FIRST_INDEX = 2000
LAST_INDEX = 9999


class DataType(StrEnum):
    """Types of attributes. A record keeps text (UTF-8) in the form that ``validation`` gives it."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    URL = "url"
    IDENTIFIER = "identifier"
    CHOICE = "choice"


class TemplateState(StrEnum):
    """State of a version: records are made of published ones only; those of a withdrawn one stay."""

    DRAFT = "draft"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


class TemplateReason(StrEnum):
    """Why a template is refused."""

    NAME_REPEATED = "name-repeated"
    INDEX_REPEATED = "index-repeated"
    INDEX_OUT_OF_RANGE = "index-out-of-range"
    PATTERN_WRONG = "pattern-wrong"
    LIMIT_WRONG = "limit-wrong"
    CHOICES_WRONG = "choices-wrong"
    INDEX_MEANS_ANOTHER = "index-means-another"
    STATE = "template-state"


class TemplateError(ValueError):
    """A template is refused.

    Attributes:
        reason: why.
        attribute: name of the attribute that is wrong, "" for the whole.
    """

    def __init__(self, reason: TemplateReason, attribute: str, detail: str) -> None:
        super().__init__(f"{reason}: {attribute}: {detail}" if attribute else f"{reason}: {detail}")
        self.reason = reason
        self.attribute = attribute


class Attribute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One attribute.

    Attributes:
        name: in snake case; the type of the handle value.
        title: for people, by language.
        index: of the handle value, ``FIRST_INDEX`` to ``LAST_INDEX``.
        type: data type.
        required: each record must have it.
        pattern: regular expression (RE2 syntax) that the whole text must match; of texts only.
        minimum: smallest number; of integers and decimals.
        maximum: largest number.
        max_length: characters of a text.
        choices: the texts that are possible; of choices only.
        unit: UCUM.
        public: whether anybody may read it; else administrators and who was granted it.
    """

    name: Name
    title: dict[str, Text] = {}
    index: int
    type: DataType = DataType.TEXT
    required: bool = False
    pattern: Annotated[str, Meta(max_length=MAX_PATTERN)] = ""
    minimum: float | None = None
    maximum: float | None = None
    max_length: Annotated[int, Meta(ge=1, le=65_536)] = 4096
    choices: Annotated[tuple[Text, ...], Meta(max_length=1000)] = ()
    unit: Annotated[str, Meta(max_length=40)] = ""
    public: bool = True


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One version of a template.

    Attributes:
        name: in kebab case; the same for all versions.
        version: 1, 2, …
        title: for people, by language.
        industry: GB/T 4754: a section letter, digits or both; "" for any.
        attributes: in the order in which people see them.
        state: state of the version.
    """

    name: Slug
    version: Annotated[int, Meta(ge=1, le=2**31)] = 1
    title: dict[str, Text] = {}
    industry: Annotated[str, Meta(pattern=r"^([A-T]|[A-T]?[0-9]{2,4})?\Z")] = ""
    attributes: Annotated[tuple[Attribute, ...], Meta(min_length=1, max_length=MAX_ATTRIBUTES)]
    state: TemplateState = TemplateState.DRAFT


_NUMBERS = (DataType.INTEGER, DataType.DECIMAL)


def check_template(template: Template, earlier: Template | None = None) -> Template:
    """Return the template after checking it.

    Args:
        template: a version.
        earlier: the version before it.

    Raises:
        TemplateError: it contradicts itself, or gives an index of the earlier version another meaning.
        msgspec.ValidationError: a field is not of its form.
    """
    template = msgspec.convert(msgspec.to_builtins(template), Template)
    names: set[str] = set()
    indexes: set[int] = set()
    for attribute in template.attributes:
        if attribute.name in names:
            raise TemplateError(TemplateReason.NAME_REPEATED, attribute.name, "stands twice")
        if attribute.index in indexes:
            raise TemplateError(TemplateReason.INDEX_REPEATED, attribute.name, f"index {attribute.index} stands twice")
        names.add(attribute.name)
        indexes.add(attribute.index)
        _check_attribute(attribute)
    for old in earlier.attributes if earlier is not None else ():
        for new in template.attributes:
            if (new.index == old.index) != (new.name == old.name) or (new.index == old.index and new.type != old.type):
                raise TemplateError(
                    TemplateReason.INDEX_MEANS_ANOTHER, new.name, f"index {old.index} is {old.name} ({old.type})"
                )
    return template


def _check_attribute(attribute: Attribute) -> None:
    name, kind = attribute.name, attribute.type
    if not FIRST_INDEX <= attribute.index <= LAST_INDEX:
        raise TemplateError(TemplateReason.INDEX_OUT_OF_RANGE, name, f"{FIRST_INDEX} to {LAST_INDEX}")
    if attribute.pattern and kind is not DataType.TEXT:
        raise TemplateError(TemplateReason.PATTERN_WRONG, name, f"a {kind} has no pattern")
    compiled_pattern(attribute)
    limits = (attribute.minimum, attribute.maximum)
    if any(limit is not None for limit in limits) and kind not in _NUMBERS:
        raise TemplateError(TemplateReason.LIMIT_WRONG, name, f"a {kind} has no limits")
    if attribute.minimum is not None and attribute.maximum is not None and attribute.minimum > attribute.maximum:
        raise TemplateError(TemplateReason.LIMIT_WRONG, name, "the smallest number is larger than the largest")
    if (kind is DataType.CHOICE) != bool(attribute.choices):
        raise TemplateError(TemplateReason.CHOICES_WRONG, name, "a choice has choices, and nothing else has")
    if len(set(attribute.choices)) != len(attribute.choices) or "" in attribute.choices:
        raise TemplateError(TemplateReason.CHOICES_WRONG, name, "choices are different texts")


def compiled_pattern(attribute: Attribute) -> Pattern | None:
    """Return the compiled pattern of an attribute; None without one.

    Raises:
        TemplateError: it is none.
    """
    try:
        return compile_pattern(attribute.pattern) if attribute.pattern else None
    except PatternError as error:
        raise TemplateError(TemplateReason.PATTERN_WRONG, attribute.name, str(error)) from None


_NEXT: Mapping[TemplateState, frozenset[TemplateState]] = {
    TemplateState.DRAFT: frozenset({TemplateState.PUBLISHED}),
    TemplateState.PUBLISHED: frozenset({TemplateState.WITHDRAWN}),
    TemplateState.WITHDRAWN: frozenset({TemplateState.PUBLISHED}),
}


def become(template: Template, state: TemplateState) -> Template:
    """Return the version in another state: drafts are published, published ones withdrawn, and these published again.

    Raises:
        TemplateError: not from the present state.
    """
    if state not in _NEXT[template.state]:
        raise TemplateError(TemplateReason.STATE, "", f"{template.state} does not become {state}")
    return msgspec.structs.replace(template, state=state)


def next_version(template: Template) -> Template:
    """Return a draft of the version after this one, which must not be a draft itself.

    Raises:
        TemplateError: it is a draft, which can be changed as it is.
    """
    if template.state is TemplateState.DRAFT:
        raise TemplateError(TemplateReason.STATE, "", "a draft can be changed")
    return msgspec.structs.replace(template, version=template.version + 1, state=TemplateState.DRAFT)
