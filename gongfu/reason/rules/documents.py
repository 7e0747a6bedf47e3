"""Rules as YAML: one rule a document or a list of them; what is wrong is told with its line.

A file has rules as a list, as documents divided by ``---``, or below ``rules:``. A rule has the members of
``RuleBody``.
What is written here and read again is the same rule, whatever is in its texts and numbers.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import yaml

from gongfu.kernel.errors import Problem, invalid
from gongfu.reason.rules.conditions import CONDITIONS
from gongfu.reason.rules.types import RuleBody, check_body

MAX_BYTES = 4_000_000
MAX_RULES = 100_000
_MAX_DEPTH = 20
_MAX_NESTED = 100
_PATH = re.compile(r"`\$((?:\.\w+|\[\.*\d*\])*)`")
_MEMBER = re.compile(r"^(?:condition of a \w+ rule: )?((?:condition\.)?\w+)(?:\[(\d+)\])?")


@dataclass(slots=True)
class _Read:
    """A YAML node as plain values, and the line of each member by its path."""

    value: Any
    lines: dict[str, int] = field(default_factory=dict[str, int])


def parse_rules(content: bytes) -> list[RuleBody]:
    """Return the rules in a YAML file, checked.

    Raises:
        Problem: 400; ``extra`` has ``line`` (from 1) and the detail begins with it.
    """
    if len(content) > MAX_BYTES:
        raise invalid(f"a file of rules has at most {MAX_BYTES:,} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _wrong(content.count(b"\n", 0, error.start) + 1, "the file is not UTF-8") from None
    found: list[RuleBody] = []
    first: dict[str, int] = {}
    try:
        for node in _rules_in(text):
            line = node.start_mark.line + 1
            if len(found) >= MAX_RULES:
                raise _wrong(line, f"more than {MAX_RULES:,} rules")
            body = _rule_of(node)
            if body.name in first:
                raise _wrong(line, f"the rule {body.name!r} is there twice, first in line {first[body.name]}")
            first[body.name] = line
            found.append(body)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _wrong(1 if mark is None else mark.line + 1, str(error.problem or error.context)) from None
    except yaml.YAMLError as error:
        raise _wrong(1, str(error).splitlines()[0]) from None
    if not found:
        raise invalid("line 1: the file has no rules")
    return found


def write_rules(rules: Sequence[RuleBody]) -> str:
    """Return rules as a YAML file that ``parse_rules`` reads; members at their defaults are left out."""
    documents = [_plain(rule) for rule in rules]
    return yaml.dump({"rules": documents}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    """Writes nothing as a reference to what was written before."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return that everything is written out."""
        return True


def _plain(rule: RuleBody) -> dict[str, Any]:
    whole = msgspec.to_builtins(rule)
    usual = {name: msgspec.to_builtins(value) for name, value in _DEFAULTS.items()}
    condition = CONDITIONS[rule.kind]
    defaults = {member.name: member.default for member in msgspec.structs.fields(condition)}
    whole["condition"] = {
        name: value for name, value in whole["condition"].items() if name not in defaults or value != defaults[name]
    }
    return {name: value for name, value in whole.items() if name not in usual or value != usual[name]}


_DEFAULTS = {
    member.name: member.default
    for member in msgspec.structs.fields(RuleBody)
    if member.default is not msgspec.NODEFAULT
}


def _wrong(line: int, text: str) -> Problem:
    return invalid(f"line {line}: {text}", line=line)


def _rules_in(text: str) -> Iterator[yaml.Node]:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        # Composing goes down by calls, and would end in the interpreter's bound.
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_NESTED:
            raise _wrong(event.start_mark.line + 1, "lists and mappings go on inside each other without end")
        if isinstance(event, yaml.AliasEvent):
            raise _wrong(event.start_mark.line + 1, "references (*name) are not read; write the value out")
    for document in yaml.compose_all(text, Loader=yaml.SafeLoader):
        if document is None:
            continue
        items = [document]
        if isinstance(document, yaml.MappingNode):
            keys = [key.value for key, _ in document.value if isinstance(key, yaml.ScalarNode)]
            if keys == ["rules"]:
                document = document.value[0][1]
                items = [document]
        if isinstance(document, yaml.SequenceNode):
            items = document.value
        yield from items


def _rule_of(node: yaml.Node) -> RuleBody:
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.MappingNode):
        raise _wrong(line, "a rule has members: name, kind, asset, point, condition …")
    read = _Read(None)
    read.value = _value(node, "", read.lines, 0)
    try:
        body = msgspec.convert(read.value, RuleBody)
    except msgspec.ValidationError as error:
        raise _wrong(_line(str(error), read, line), _words(str(error))) from None
    try:
        check_body(body)
    except Problem as problem:
        raise _wrong(_line(problem.detail, read, line), problem.detail) from None
    return body


def _value(node: yaml.Node, path: str, lines: dict[str, int], depth: int) -> Any:
    lines[path] = node.start_mark.line + 1
    if depth > _MAX_DEPTH:
        raise _wrong(lines[path], "members within members without end")
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = _text(key) if isinstance(key, yaml.ScalarNode) else ""
            if not name or name in found:
                raise _wrong(key.start_mark.line + 1, f"the member {name!r} is there twice" if name else "not a name")
            found[name] = _value(value, f"{path}.{name}" if path else name, lines, depth + 1)
            # A member is where its name stands.
            lines[f"{path}.{name}" if path else name] = key.start_mark.line + 1
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, f"{path}[{at}]", lines, depth + 1) for at, item in enumerate(node.value)]
    return _scalar(node)


def _text(node: yaml.Node) -> str:
    """Return a text; escapes such as ``\\ud800`` make half a character, and no database holds U+0000."""
    text = str(node.value)
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise _wrong(node.start_mark.line + 1, "a text has a character that is none")
    return text


def _scalar(node: yaml.Node) -> Any:
    if node.tag not in _TAGS:
        # Dates and the like are the text that was written.
        return _text(node)
    loader = yaml.SafeLoader("")
    try:
        return _TAGS[node.tag](loader, node)
    except ValueError as error:
        raise _wrong(node.start_mark.line + 1, str(error)) from None
    finally:
        loader.dispose()


_TAGS: dict[str, Any] = {
    "tag:yaml.org,2002:null": yaml.SafeLoader.construct_yaml_null,
    "tag:yaml.org,2002:bool": yaml.SafeLoader.construct_yaml_bool,
    "tag:yaml.org,2002:int": yaml.SafeLoader.construct_yaml_int,
    "tag:yaml.org,2002:float": yaml.SafeLoader.construct_yaml_float,
}


def _line(text: str, read: _Read, otherwise: int) -> int:
    """Return the line of the member a message speaks of."""
    path = _PATH.search(text)
    if path is not None:
        name = re.sub(r"\[\.\.\.\]", "", path.group(1)).lstrip(".")
        within = "condition." if text.startswith("condition of a") else ""
        for candidate in (within + name, name, within.rstrip(".")):
            if candidate in read.lines:
                return read.lines[candidate]
    missing = re.search(r"unknown field `(\w+)`", text)
    within = "condition." if text.startswith("condition of a") else ""
    if missing is not None and within + missing.group(1) in read.lines:
        return read.lines[within + missing.group(1)]
    member = _MEMBER.match(text)
    if member is not None:
        name, index = member.group(1), member.group(2)
        for candidate in (f"{name}[{index}]", name):
            if candidate in read.lines:
                return read.lines[candidate]
    return read.lines.get("condition", otherwise) if text.startswith("condition") else otherwise


def _words(text: str) -> str:
    return _PATH.sub(lambda match: match.group(1).lstrip(".") or "the rule", text).replace(" - at ", ": ")
