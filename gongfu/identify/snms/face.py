"""The interface as a face of the identifier service's HTTP, to be mounted at each of ``PATHS``.

A client that sends ``Idempotency-Key`` may send a request again whose answer it has not got: nothing is done twice, and
it is answered as the first time. Without it, the interface's own rule holds: what is there already was registered.
"""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from gongfu.identify.authentication.authorization import Authorization, Values
from gongfu.identify.authentication.types import Asker
from gongfu.identify.http.types import Request, Response
from gongfu.identify.management.templates import Templates
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.snms.answers import BUSY, SnmsError, Status, encode
from gongfu.identify.snms.records import DEFAULT_BATCH, SnmsRecords
from gongfu.identify.snms.registrations import Handles
from gongfu.identify.snms.template_documents import TemplateRequest, to_answer
from gongfu.identify.snms.templates import SnmsTemplates
from gongfu.identify.snms.tokens import MAX_PASSWORD, MAX_USER, Tokens
from gongfu.kernel.counters import Counters

PATHS = ("/identity", "/identityv2", "/snms")
"""Where it is mounted."""
BODY_BYTES = 16 * 1024 * 1024
_HEADERS = (("Content-Type", "application/json;charset=UTF-8"), ("Cache-Control", "no-store"))


class _Login(msgspec.Struct):
    username: str
    password: str


class _OneHandle(msgspec.Struct):
    handle: str


class _OneTemplate(msgspec.Struct):
    prefix: str
    version: str


logger = logging.getLogger(__name__)

_Handler = Callable[[Asker, Request], Awaitable[Any]]


class SnmsFace:
    """Answers the 13 end points."""

    def __init__(
        self,
        identifiers: Identifiers,
        templates: Templates,
        values: Values,
        *,
        authorization: Authorization | None = None,
        now: Callable[[], int],
        counters: Counters,
        batch: int = DEFAULT_BATCH,
    ) -> None:
        """Make it.

        Args:
            identifiers: the node's.
            templates: use cases of the node's templates.
            values: of handles here, those too that nobody may read.
            authorization: who may do what; without it, by administrators alone.
            now: UTC seconds.
            counters: of the process.
            batch: the most identifiers of one request.
        """
        authorization = authorization or Authorization(values)
        self._tokens = Tokens(values, counters, now)
        self._templates = SnmsTemplates(identifiers, templates, authorization)
        self._records = SnmsRecords(identifiers, self._templates, authorization, batch=batch)
        self._counters = counters
        self._handlers: Mapping[str, Mapping[str, _Handler]] = {
            "/snms/api/v3/template": {
                "GET": self._show_template,
                "POST": self._create_template,
                "DELETE": self._delete_template,
            },
            "/snms/api/v5/template": {
                "GET": self._show_template,
                "POST": self._create_template,
                "PUT": self._modify_template,
                "DELETE": self._delete_template,
            },
            "/identityv2/data/detail": {"GET": self._detail},
            "/identityv2/data": {"POST": self._create, "PUT": self._update, "DELETE": self._delete},
            "/identityv2/data/batchCreate": {"POST": self._create_many},
            "/identityv2/data/batchUpdate": {"PUT": self._update_many},
            "/identityv2/data/batchDelete": {"DELETE": self._delete_many},
        }

    async def __call__(self, request: Request) -> Response:
        """Answer a request."""
        path = request.path.rstrip("/")
        try:
            if path in ("/identity/token", "/identity/token/v1"):
                if request.method != "POST":
                    return _refused(405, "请求方式不支持", "POST")
                return _answer(self._login(request, hashed=path.endswith("v1")))
            handlers = self._handlers.get(path)
            if handlers is None:
                return _refused(404, "接口不存在")
            handler = handlers.get(request.method)
            if handler is None:
                return _refused(405, "请求方式不支持", ", ".join(handlers))
            asker = self._tokens.asker(request.headers.get("authorization", ""))
            return _answer(await handler(asker, request))
        except SnmsError as error:
            self._counters.add(f"snms_requests_failed.{error.status.name.lower()}")
            return Response(200, encode(None, error.message, error.status), _HEADERS)
        except Exception:
            # The interface has its own way to say so, and its clients know no other.
            logger.exception("%s %s failed", request.method, path)
            self._counters.add("snms_requests_failed.internal")
            return Response(200, encode(None, BUSY, Status.INTERNAL), _HEADERS)

    def _login(self, request: Request, *, hashed: bool) -> dict[str, str]:
        login = _body(request, _Login)
        if len(login.username) > MAX_USER or len(login.password) > MAX_PASSWORD:
            raise SnmsError("用户名或密码过长")
        return {"token": self._tokens.login(login.username, login.password, hashed=hashed, peer=request.peer)}

    async def _show_template(self, _: Asker, request: Request) -> Any:
        query = _query(request)
        template = self._templates.get(_parameter(query, "prefix"), _parameter(query, "version"))
        return to_answer(template, indexes="/v5/" in request.path)

    async def _create_template(self, asker: Asker, request: Request) -> bool:
        await self._templates.create(asker, _body(request, TemplateRequest))
        return True

    async def _modify_template(self, asker: Asker, request: Request) -> bool:
        await self._templates.modify(asker, _body(request, TemplateRequest))
        return True

    async def _delete_template(self, asker: Asker, request: Request) -> bool:
        one = _body(request, _OneTemplate)
        await self._templates.delete(asker, one.prefix, one.version)
        return True

    async def _detail(self, asker: Asker, request: Request) -> Any:
        return self._records.detail(asker, _parameter(_query(request), "handle"))

    async def _create(self, asker: Asker, request: Request) -> bool:
        await self._records.create(asker, request.body, _key(asker, request))
        return True

    async def _update(self, asker: Asker, request: Request) -> bool:
        await self._records.update(asker, request.body, _key(asker, request))
        return True

    async def _delete(self, asker: Asker, request: Request) -> bool:
        await self._records.delete(asker, _body(request, _OneHandle).handle, _key(asker, request))
        return True

    async def _create_many(self, asker: Asker, request: Request) -> Any:
        return await self._records.create_many(asker, request.body, _key(asker, request))

    async def _update_many(self, asker: Asker, request: Request) -> Any:
        return await self._records.update_many(asker, request.body, _key(asker, request))

    async def _delete_many(self, asker: Asker, request: Request) -> Any:
        wish = _body(request, list[str] | Handles)
        handles = wish.handles if isinstance(wish, Handles) else wish
        return await self._records.delete_many(asker, handles, _key(asker, request))


def _answer(data: Any) -> Response:
    return Response(200, encode(data), _HEADERS)


def _refused(status: int, message: str, allow: str = "") -> Response:
    headers = (*_HEADERS, ("Allow", allow)) if allow else _HEADERS
    return Response(status, encode(None, message, Status.FAILED), headers)


def _body(request: Request, kind: Any) -> Any:
    try:
        return msgspec.json.decode(request.body, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise SnmsError(f"请求参数不正确：{error}"[:300]) from None


def _query(request: Request) -> dict[str, str]:
    try:
        return dict(parse_qsl(request.query, keep_blank_values=True, errors="strict", max_num_fields=20))
    except (ValueError, UnicodeError):
        raise SnmsError("请求参数不正确") from None


def _parameter(query: Mapping[str, str], name: str) -> str:
    value = query.get(name, "")
    if not value:
        raise SnmsError(f"缺少必要的请求参数: {name}")
    return value


def _key(asker: Asker, request: Request) -> bytes:
    """Return the key of idempotency: what the client gave, of this client and this end point; none without."""
    given = request.headers.get("idempotency-key", "")
    if not given:
        return b""
    return hashlib.sha256(f"{asker.key}\0{request.method} {request.path}\0{given}".encode()).digest()
