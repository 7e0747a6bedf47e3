"""The resolver's face, given anything: it answers with one of its statuses, in ASCII headers, and never fails."""

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gongfu.identify.digital_link.face import DigitalLinkFace
from gongfu.identify.digital_link.links import Link, to_values
from gongfu.identify.digital_link.linkset import problems
from gongfu.identify.handle.names import HandleName
from gongfu.identify.handle.resolution import Found, Nowhere
from gongfu.identify.http.types import Request, Response

GTIN = "/01/09506000134352"
LINKS = (
    Link("gs1:pip", "https://brand.example/a?x=1#y", "A", default=True),
    Link("gs1:pip", "https://brand.example/泵", "泵", hreflang=("zh-Hans",), type="text/html"),
    Link("gs1:dpp", "https://brand.example/c", '"<C>"', context=("CN",), default_multi=True),
)
RECORDS = {
    f"99.1/gs1{GTIN}": Found(to_values(LINKS, "泵")),
    f"99.1/gs1{GTIN}/21/S": Found(to_values(LINKS[2:])),
    "99.1/gs1/gcp/9520": Found(to_values([Link("gs1:handledBy", "https://elsewhere.example/", "B")])),
}


def lookup(name: HandleName) -> Found | Nowhere:
    return RECORDS.get(str(name), Nowhere())


FACE = DigitalLinkFace(lookup, "99.1", root="https://id.example.org")
STATUSES = {200, 204, 300, 307, 400, 404, 405, 406}
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=40)
PATHS = st.one_of(
    TEXT.map(lambda text: f"/{text}"),
    st.builds(lambda head, text: f"{head}{text}", st.sampled_from([GTIN, f"{GTIN}/21/S", f"{GTIN}/10/", "/01/"]), TEXT),
    st.sampled_from([GTIN, f"{GTIN}/21/S", "/01/09520123456788", "/.well-known/gs1resolver", f"/x/{GTIN}"]),
)
QUERIES = st.one_of(
    TEXT,
    st.builds("{}={}&{}".format, st.sampled_from(["linkType", "lang", "mediaType", "context", "17"]), TEXT, TEXT),
    st.sampled_from(["linkType=linkset", "linkType=gs1:pip", "lang=zh", "a;b=%"]),
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "accept": st.one_of(TEXT, st.sampled_from(["text/html", "application/linkset+json", "*/*", "image/png"])),
        "accept-language": st.one_of(TEXT, st.sampled_from(["zh-CN,zh;q=0.9", "en"])),
        "host": TEXT,
    },
)


def check(response: Response) -> None:
    headers = dict(response.headers)
    for text in (*headers, *headers.values()):
        assert text.isascii()
        assert text.isprintable()
    kind = headers.get("Content-Type", "")
    if "json" in kind:
        json.loads(response.body)
    if kind == "application/linkset+json":
        assert problems(json.loads(response.body)) == []
    if response.status == 307:
        assert headers["Location"].startswith(("https://brand.example/", "https://elsewhere.example/"))


@given(st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "X"]), PATHS, QUERIES, HEADERS)
@example("GET", GTIN, "\x7f\x01\t", {})
@example("GET", f'/"<>\\^`{GTIN}', "", {})
@example("GET", f"/泵{GTIN}", "泵", {"host": "泵"})
@settings(max_examples=300, deadline=None)
def test_anything_is_answered(method: str, path: str, query: str, headers: dict[str, str]) -> None:
    response = FACE(Request(method, f"{path}?{query}" if query else path, headers))
    assert response.status in STATUSES
    check(response)


def test_without_a_prefix_nothing_is_known() -> None:
    face = DigitalLinkFace(lookup, "")
    assert face(Request("GET", GTIN, {})).status == 404
    assert face(Request("GET", f"{GTIN}/foo", {})).status == 400


def test_the_host_of_a_request_is_the_root_where_none_is_set() -> None:
    face = DigitalLinkFace(lookup, "99.1")
    for host, root in (
        ("id.example:2642", "http://id.example:2642"),
        ("[::1]:80", "http://[::1]:80"),
        ('a">', "http://localhost"),
    ):
        link = dict(face(Request("GET", GTIN, {"host": host})).headers)["Link"]
        assert link.startswith(f"<{root}{GTIN}?linkType=linkset>")
