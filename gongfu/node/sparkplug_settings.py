"""Settings of Sparkplug: the host application on the MQTT endpoint, and the site as an edge node of a host above."""

from typing import Any
from urllib.parse import urlsplit

import msgspec

# One level of a topic (Sparkplug 3.0.0 §4.1: no / + #), and no longer than a name.
_LONGEST = 200


class SparkplugSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Host application; without ``host_ids`` it has the name of the node."""

    enabled: bool = True
    host_ids: tuple[str, ...] = ()
    state_version_2: bool = False
    reorder_seconds: float = 2.0
    rebirths_per_second: float = 200.0


class SparkplugEdgeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Edge node; off without ``url``."""

    url: str = ""
    group: str = "gongfu"
    node: str = ""
    primary_host: str = ""
    client_id: str = ""
    user: str = ""
    password: str = ""
    tls_ca: str = ""
    assets: tuple[str, ...] = ()
    tenant: int = 1
    publish_seconds: float = 1.0


def trouble(section: dict[str, Any]) -> tuple[str, str] | None:
    """Return (key, what is wrong) of a section ``sparkplug`` or ``sparkplug_edge``, None when nothing is."""
    for key in ("host_ids", "group", "node", "primary_host"):
        value = section.get(key, ())
        for text in value if isinstance(value, list | tuple) else (value,):
            if len(text) > _LONGEST or any(character in text for character in "/+#\0"):
                return key, f"{text[:40]!r} is no id: no / + #, at most {_LONGEST} characters"
            if not text and key in ("host_ids", "group"):
                return key, "must not be empty"
    url = section.get("url", "")
    if url:
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            return "url", "must be mqtt://host… or mqtts://host…"
    return None
