"""Figures of all roles in the Prometheus text format 0.0.4, at ``/metrics``.

It needs a bearer token of a user of the node tenant: behind a reverse proxy every caller comes from loopback, so the
address proves nothing. Prometheus sends one with ``authorization: {credentials_file: …}``.
"""

import re
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as HttpRoute

from gongfu.kernel.errors import forbidden
from gongfu.kernel.permissions import NODE_TENANT, Action
from gongfu.web.answers import bytes_response
from gongfu.web.authentication import Identify, authenticate, authorise
from gongfu.web.node_state import NodeState, RoleMetrics

_INVALID = re.compile(r"[^a-zA-Z0-9_]")


def metrics_text(roles: Mapping[str, RoleMetrics]) -> str:
    """Return the text: ``gongfu_<counter>_total{role,reason}`` and ``gongfu_<gauge>{role}``."""
    families: dict[tuple[str, str], list[str]] = {}
    for role, metrics in sorted(roles.items()):
        for name, count in sorted(metrics.counters.items()):
            family, _, reason = name.partition(".")
            labels = f'role="{_label(role)}"' + (f',reason="{_label(reason)}"' if reason else "")
            key = (f"gongfu_{_INVALID.sub('_', family)}_total", "counter")
            families.setdefault(key, []).append(f"{{{labels}}} {count}")
        for name, value in sorted(metrics.gauges.items()):
            key = (f"gongfu_{_INVALID.sub('_', name)}", "gauge")
            families.setdefault(key, []).append(f'{{role="{_label(role)}"}} {value!r}')
    lines: list[str] = []
    for (family, kind), samples in sorted(families.items()):
        lines.append(f"# TYPE {family} {kind}")
        lines.extend(family + sample for sample in samples)
    return "\n".join(lines) + "\n"


def metrics_route(state: NodeState, identify: Identify) -> HttpRoute:
    """Return the route."""

    async def serve(request: Request) -> Response:
        identity = await authenticate(request, identify)
        authorise(identity, Action.READ)
        if identity.subject.tenant != NODE_TENANT:
            raise forbidden("metrics are for users of the node's own tenant")
        text = metrics_text(state.roles())
        return await bytes_response(request, text.encode(), "text/plain; version=0.0.4; charset=utf-8")

    return HttpRoute("/metrics", serve, methods=["GET"])


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
