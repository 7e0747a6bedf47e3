"""``/hrls/handles?URL=*pump*&TYPE=…``: which handles have such values, as a JSON list.

There is no index of values: records are read one after the other. The question is therefore for administrators who may
list a prefix, and has no answer where their prefixes have more records than ``MOST_RECORDS``; searching many is the
business of the node's own interface.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import parse_qsl

import msgspec

from gongfu.identify.administration.operations import Store
from gongfu.identify.authentication.authenticator import Authenticator
from gongfu.identify.authentication.authorization import Authorization
from gongfu.identify.authentication.basic import parse_basic
from gongfu.identify.authentication.types import Asker
from gongfu.identify.handle.names import parse_handle
from gongfu.identify.handle.resolution import Found, visible
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.http.types import Request, Response
from gongfu.kernel.errors import Problem, invalid, unauthenticated

PATH = "/hrls/handles"
MOST_RECORDS = 20_000
MOST_FOUND = 1000
_PAGE = 1000
_FIELDS = 20
_SIGN_IN = ("WWW-Authenticate", 'Basic realm="handle", charset="UTF-8"')


def matches(pattern: str, text: str) -> bool:
    """Return whether a text is as a pattern says, in which ``*`` stands for anything; case does not count."""
    first, *others = pattern.casefold().split("*")
    text = text.casefold()
    if not others:
        return text == first
    last = others.pop()
    if not text.startswith(first) or len(text) < len(first) + len(last) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in others:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


class ReverseLookupFace:
    """Answers at ``PATH``."""

    def __init__(
        self,
        store: Store,
        authenticator: Authenticator,
        authorization: Authorization,
        prefixes: Callable[[], Iterable[str]],
    ) -> None:
        """Make it.

        Args:
            store: the identifiers.
            authenticator: who is who.
            authorization: who may list what.
            prefixes: that are registered here.
        """
        self._store = store
        self._authenticator = authenticator
        self._authorization = authorization
        self._prefixes = prefixes
        self._one = asyncio.Semaphore(1)

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request."""
        if request.method != "GET":
            raise Problem(405, "method-not-allowed", "GET is offered")
        try:
            asker = self._authenticator.by_password(parse_basic(request.headers.get("authorization", "")), request.peer)
        except MalformedError:
            asker = None
        if asker is None:
            document = unauthenticated("the key of an administrator who may list handles").document()
            return Response(
                401, msgspec.json.encode(document), (("Content-Type", "application/problem+json"), _SIGN_IN)
            )
        try:
            fields = parse_qsl(request.query, keep_blank_values=True, max_num_fields=_FIELDS, errors="strict")
        except ValueError:
            raise invalid(f"at most {_FIELDS} fields, in UTF-8") from None
        if not fields:
            raise invalid("no types of values are asked for: URL=*, for example")
        return self._answer(asker, [(kind.upper(), pattern) for kind, pattern in fields])

    async def _answer(self, asker: Asker, fields: list[tuple[str, str]]) -> Response:
        async with self._one:
            found = await asyncio.to_thread(self._search, asker, fields)
        return Response(200, msgspec.json.encode(found), (("Content-Type", "application/json;charset=UTF-8"),))

    def _search(self, asker: Asker, fields: list[tuple[str, str]]) -> list[str]:
        found: list[str] = []
        read = 0
        for prefix in self._prefixes():
            if not self._authorization.may_list(asker, prefix):
                continue
            after = ""
            while page := self._store.handles(prefix, after, _PAGE):
                read += len(page)
                if read > MOST_RECORDS:
                    raise Problem(
                        422, "too-many-records", "Too many records for a reverse lookup", f"more than {MOST_RECORDS:,}"
                    )
                found += [handle for handle in page if self._has(asker, handle, fields)]
                after = parse_handle(page[-1]).suffix
                if len(page) < _PAGE:
                    break
        return found[:MOST_FOUND]

    def _has(self, asker: Asker, handle: str, fields: list[tuple[str, str]]) -> bool:
        name = parse_handle(handle)
        there = self._store.lookup(name)
        if not isinstance(there, Found):
            return False
        shown, _ = visible(there.values, readable=self._authorization.readable(asker, name, there.values))
        return all(any(_is(value, kind, pattern) for value in shown) for kind, pattern in fields)


def _is(value: HandleValue, kind: str, pattern: str) -> bool:
    return value.type.upper() == kind and matches(pattern, value.data.decode(errors="replace"))
