"""Pages for people who follow a link with a browser: the links of a thing, and why there is none.

Everything in them comes from outside and is escaped; they load nothing and run nothing.
"""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from gongfu.identify.digital_link.linkset import CONTEXT
from gongfu.identify.digital_link.vocabulary import short

_STYLE = "body{font:16px/1.5 sans-serif;margin:2rem auto;max-width:45rem;padding:0 1rem}small{color:#555}"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
"""Content-Security-Policy of the pages."""


def links_page(title: str, linkset: Mapping[str, Any], note: str = "") -> str:
    """Return a page of a linkset, which is in it as JSON-LD too."""
    parts = [f"<p>{escape(note)}</p>"] if note else []
    for member in linkset["linkset"]:
        parts.append(
            f"<h2>{escape(member['itemDescription'])}</h2><p><small>{escape(member['anchor'])}</small></p><ul>"
        )
        for kind, links in member.items():
            if kind in ("anchor", "itemDescription"):
                continue
            parts += [_item(kind, link) for link in links]
        parts.append("</ul>")
    # "<" would end the script element, wherever it stands in the JSON.
    data = json.dumps({"@context": CONTEXT, **linkset}, ensure_ascii=False).replace("<", "\\u003c")
    parts.append(f'<script type="application/ld+json">{data}</script>')
    return _page(title, "".join(parts))


def _item(kind: str, link: Mapping[str, Any]) -> str:
    more = [escape(short(kind)), *map(escape, link.get("hreflang", ()))]
    more += [escape(text) for text in (link.get("type"), *link.get("context", ())) if text]
    return f'<li><a href="{escape(link["href"])}">{escape(link["title"])}</a> <small>{" · ".join(more)}</small></li>'


def error_page(title: str, detail: str) -> str:
    """Return a page that says what is wrong."""
    return _page(title, f"<p>{escape(detail)}</p>")


def _page(title: str, body: str) -> str:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = f"<h1>{escape(title)}</h1>{body}"
    return f"<!DOCTYPE html><html><head>{head}<style>{_STYLE}</style></head><body>{body}</body></html>"
