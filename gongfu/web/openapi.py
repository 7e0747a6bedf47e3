"""OpenAPI 3.1 document of the API, made from the routes and their msgspec types."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as HttpRoute

from gongfu.rest.paging import Page
from gongfu.rest.routing import Incoming, Route
from gongfu.web.answers import bytes_response
from gongfu.web.app import PREFIX

_REFERENCE = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)\+?\}")
# Summaries name their query parameters in brackets: "List devices (?search, ?online=true|false, ?limit)".
_QUERY = re.compile(r"\?(\w+)")


class ProblemDocument(msgspec.Struct, frozen=True):
    """What went wrong (RFC 9457); ``code`` is stable, ``request_id`` finds it in the node's log."""

    type: str
    title: str
    status: int
    code: str
    request_id: str
    detail: str = ""


def openapi_document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """Return the document for the routes."""
    types = [route.request for route in routes if _is_json(route.request)]
    types += [route.response for route in routes if _is_json(route.response)]
    types.append(ProblemDocument)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    schema_of = dict(zip(map(id, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = PREFIX + route.path.replace("+}", "}")
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Gongfu",
            "version": version,
            "description": "Lists are paged with ?limit and ?cursor. Times are RFC 3339 in UTC. Failures are "
            "problem documents (RFC 9457).",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "gongfu_session"},
            },
            "responses": {
                "problem": {
                    "description": "What went wrong",
                    "content": {"application/problem+json": {"schema": schema_of[id(ProblemDocument)]}},
                }
            },
        },
        "security": [{"bearer": []}, {"session": []}],
    }


def openapi_route(routes: Sequence[Route], version: str) -> HttpRoute:
    """Return the route that serves the document; it needs no sign-in and is made when first asked for."""
    made: list[bytes] = []

    async def serve(request: Request) -> Response:
        if not made:
            made.append(msgspec.json.encode(openapi_document(routes, version)))
        return await bytes_response(request, made[0], "application/json")

    return HttpRoute(f"{PREFIX}/openapi.json", serve, methods=["GET"])


def _is_json(type_: Any) -> bool:
    return type_ not in (None, bytes, Incoming)


def _operation(route: Route, schema_of: dict[int, dict[str, Any]]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.path)
    ]
    queries = dict.fromkeys(_QUERY.findall(route.summary))
    if _is_paged(route.response):
        queries |= {"limit": None, "cursor": None}
    parameters += [{"name": name, "in": "query", "schema": {"type": "string"}} for name in queries]
    success: dict[str, Any] = {"description": route.summary}
    if _is_json(route.response):
        success["content"] = {"application/json": {"schema": schema_of[id(route.response)]}}
    elif route.status != 204:
        success["content"] = {"application/json": {"schema": {}}}
    name = re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_")
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": route.summary.partition(" (?")[0],
        "description": route.summary,
        "tags": [re.split(r"[/:]", route.path)[1]],
        "parameters": parameters,
        "responses": {str(route.status): success, "default": {"$ref": "#/components/responses/problem"}},
    }
    if route.action is None:
        operation["security"] = []
    else:
        operation["x-action"] = route.action.value
    if route.request in (bytes, Incoming):
        operation["requestBody"] = {"required": True, "content": {"*/*": {"schema": {}}}}
    elif route.request is not None:
        content = {"application/json": {"schema": schema_of[id(route.request)]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _is_paged(response: Any) -> bool:
    return response is Page or (
        isinstance(response, type)
        and issubclass(response, msgspec.Struct)
        and response.__struct_fields__ == ("items", "next")
    )
