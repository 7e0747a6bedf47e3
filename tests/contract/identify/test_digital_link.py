"""GS1-Conformant Resolver, statement by statement, over HTTP; numbered as in docs/conformance/digital-link.md."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from jsonschema import Draft7Validator

from gongfu.identify.digital_link.application_identifiers import table
from gongfu.identify.digital_link.errors import GS1Error
from gongfu.identify.digital_link.face import DigitalLinkFace
from gongfu.identify.digital_link.links import Link, to_values
from gongfu.identify.digital_link.linkset import CONTEXT, problems
from gongfu.identify.digital_link.registration import DigitalLinks
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.http.server import HttpServer
from gongfu.identify.namespace.types import ClassRecord
from gongfu.identify.service.writes import Operation, WriteCode
from gongfu.identify.templates.types import Attribute, Template, TemplateState
from gongfu.kernel.counters import Counters
from tests.fixtures.identifiers import PREFIX, IdentifierNode, identifiers

pytestmark = pytest.mark.asyncio(loop_scope="module")

GTIN = "09506000134352"
ITEM = f"/01/{GTIN}"
ROOT = "https://id.example.org"
VOC = "https://ref.gs1.org/voc/"
_SCHEMA = Path("/work/shared/data/gs1/linkset/gs1-linkset-schema.json")
OFFICIAL = Draft7Validator(json.loads(_SCHEMA.read_bytes())) if _SCHEMA.exists() else None
LINKSET = "application/linkset+json"


def link(kind: str, href: str, **more: Any) -> dict[str, Any]:
    return {"linkType": f"gs1:{kind}", "href": f"https://brand.example/{href}", "title": href, **more}


PRODUCT = [
    link("pip", "pump", default=True),
    link("pip", "pump-zh", hreflang=["zh"], title="水泵"),
    link("pip", "pump-en", hreflang=["en"], type="text/html"),
    link("instructions", "manual-zh", hreflang=["zh-CN"], defaultMulti=True),
    link("instructions", "manual-en", hreflang=["en"], defaultMulti=True),
    link("certificationInfo", "certificate", type="text/html"),
    link("certificationInfo", "certificate-pdf", type="application/pdf"),
    link("certificationInfo", "certificate-lk", type="application/pdf", context=["LK"]),
    link("traceability", "trace-1"),
    link("traceability", "trace-2"),
    link("quickStartGuide", "start?model=P1#top"),
    {"linkType": "https://voc.example/spare_parts", "href": "https://例子.测试/备件", "title": "备件"},
]


class Resolver:
    """A resolver and who asks it."""

    def __init__(self, node: IdentifierNode, client: httpx.AsyncClient, counters: Counters) -> None:
        self.node = node
        self.client = client
        self.counters = counters
        self.links = DigitalLinks(node.identifiers, PREFIX)

    async def ask(self, target: str, method: str = "GET", **headers: str) -> httpx.Response:
        named = {"accept": "*/*", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await self.client.request(method, target, headers=named)

    async def where(self, target: str, **headers: str) -> str:
        """Return where a request is led, without the brand's host."""
        answer = await self.ask(target, **headers)
        assert answer.status_code == 307, answer.text
        return answer.headers["location"].removeprefix("https://brand.example/")

    async def linkset(self, target: str) -> dict[str, Any]:
        answer = await self.ask(f"{target}?linkType=linkset")
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def resolver(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Resolver]:
    async with identifiers(tmp_path_factory.mktemp("identifiers")) as node:
        counters = Counters()
        server = HttpServer(counters)
        node.identifiers.watch(server.changed)
        server.mount("", DigitalLinkFace(node.identifiers.lookup, PREFIX, root=ROOT, counters=counters))
        port = await server.start(port=0)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            resolver = Resolver(node, client, counters)
            await resolver.links.put(f"(01){GTIN}", PRODUCT, "Pump P1 水泵")
            await resolver.links.put(f"(01){GTIN}(10)L1", [link("recallStatus", "recall-L1")])
            await resolver.links.put(f"(01){GTIN}(21)S1", [link("pip", "item-S1", default=True)], "Pump S1")
            try:
                yield resolver
            finally:
                await server.stop()


async def test_01_all_key_qualifiers_of_a_key_are_supported(resolver: Resolver) -> None:
    keys = {ai: item.qualifiers for ai, item in table().items() if item.qualifiers and any(item.qualifiers)}
    values = {
        "22": "V",
        "10": "L",
        "21": "S",
        "235": "T",
        "254": "1",
        "8011": "12",
        "8019": "1",
        "8020": "R",
        "7040": "1ABC",
    }
    bodies = {
        "01": GTIN,
        "8006": f"{GTIN}0102",
        "8010": "9506000A",
        "8004": "9506000A",
        "414": "9506000134376",
        "417": "9506000134376",
    }
    bodies |= {"415": "9506000134376", "8017": "950600013437612342", "8018": "950600013437612342"}
    for ai, sequences in keys.items():
        for sequence in sequences:
            path = f"/{ai}/{bodies[ai]}" + "".join(f"/{item}/{values[item]}" for item in sequence)
            expected = 307 if ai == "01" else 404
            assert (await resolver.ask(path)).status_code == expected, path


async def test_02_get_head_and_options(resolver: Resolver) -> None:
    got, head = await resolver.ask(ITEM), await resolver.ask(ITEM, "HEAD")
    assert (got.status_code, got.headers["location"]) == (head.status_code, head.headers["location"])
    assert head.content == b""
    options = await resolver.ask(ITEM, "OPTIONS")
    assert options.status_code == 204
    assert options.headers["allow"] == "GET, HEAD, OPTIONS"
    refused = await resolver.ask(ITEM, "POST")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "GET, HEAD, OPTIONS"


async def test_03_addresses_of_the_resolver_are_https(resolver: Resolver) -> None:
    """TLS itself ends at the proxy before the node; what the resolver says of itself is the public address."""
    assert f"<{ROOT}{ITEM}?linkType=linkset>" in (await resolver.ask(ITEM)).headers["link"]
    assert (await resolver.ask("/.well-known/gs1resolver")).json()["resolverRoot"] == ROOT


async def test_04_cors(resolver: Resolver) -> None:
    for target in (ITEM, f"{ITEM}?linkType=linkset", f"{ITEM}/foo", "/01/09506000134376", "/.well-known/gs1resolver"):
        answer = await resolver.ask(target, origin="https://elsewhere.example")
        assert answer.headers["access-control-allow-origin"] == "*"
        for method in ("GET", "HEAD", "OPTIONS"):
            assert method in answer.headers["access-control-allow-methods"]
        assert "Location" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    "target",
    [
        f"{ITEM}/foo",
        "/01/09506000134353",
        "/01/0950600013435X",
        f"{ITEM}/21/S1/10/L1",
        f"{ITEM}/17/261231",
        f"{ITEM}/99/A",
        f"{ITEM}?10=L1",
        f"{ITEM}?17=261331",
        f"{ITEM}?04=1",
        f"{ITEM}?3100=000001&3101=000001",
        f"{ITEM}/21/%E4%B8%AD",
        f"{ITEM}/21/%4",
        f"/gtin/{GTIN}",
    ],
)
async def test_05_what_is_no_digital_link_is_400(resolver: Resolver, target: str) -> None:
    answer = await resolver.ask(target)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid-digital-link"
    assert answer.json()["reason"]


async def test_06_errors_are_never_200(resolver: Resolver) -> None:
    for target in (
        "/",
        "/favicon.ico",
        "/products/1",
        "/01",
        f"{ITEM}/foo",
        "/01/09506000134376",
        f"{ITEM}?linkType=gs1:none",
    ):
        for accept in ("*/*", "text/html", "application/json", LINKSET):
            assert (await resolver.ask(target, accept=accept)).status_code in (400, 404) or "none" in target


async def test_07_to_10_compressed_links_are_refused_not_misread(resolver: Resolver) -> None:
    """Statements 7 to 10 are of compressed links, which this resolver does not read."""
    for target in ("/ARFKk4XB0CDKWcnpq", "/eh3074257bf7194e4000001a85"):
        assert (await resolver.ask(target)).status_code == 404


async def test_11_a_linkset_by_query_and_by_accept(resolver: Resolver) -> None:
    by_query = await resolver.ask(f"{ITEM}?linkType=linkset")
    by_accept = await resolver.ask(ITEM, accept=LINKSET)
    weighted = await resolver.ask(ITEM, accept=f"{LINKSET}, text/html;q=0.5")
    deprecated = await resolver.ask(f"{ITEM}?linkType=all", accept=LINKSET)
    assert by_query.json() == by_accept.json() == weighted.json() == deprecated.json()
    for answer in (by_query, by_accept, weighted, deprecated):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == LINKSET
        assert "location" not in answer.headers
    assert (await resolver.ask(ITEM, accept=f"text/html, {LINKSET};q=0.5")).status_code == 307


async def test_12_a_linkset_has_every_level_up_to_the_key(resolver: Resolver) -> None:
    found = await resolver.linkset(f"{ITEM}/10/L1/21/S1")
    assert [item["anchor"] for item in found["linkset"]] == [
        f"{ROOT}{ITEM}/21/S1",
        f"{ROOT}{ITEM}/10/L1",
        f"{ROOT}{ITEM}",
    ]
    assert [item["anchor"] for item in (await resolver.linkset(f"{ITEM}/21/unknown"))["linkset"]] == [f"{ROOT}{ITEM}"]


async def test_13_anchors_are_uncompressed_and_canonical(resolver: Resolver) -> None:
    (item,) = (await resolver.linkset("/01/9506000134352/"))["linkset"]
    assert item["anchor"] == f"{ROOT}{ITEM}"


async def test_14_links_have_target_type_and_title(resolver: Resolver) -> None:
    (item,) = (await resolver.linkset(ITEM))["linkset"]
    kinds = {name: links for name, links in item.items() if name not in ("anchor", "itemDescription")}
    assert item["itemDescription"] == "Pump P1 水泵"
    assert sum(len(links) for name, links in kinds.items() if "defaultLink" not in name) == len(PRODUCT)
    assert all(found["href"] and found["title"] for links in kinds.values() for found in links)
    assert kinds[f"{VOC}pip"][1] == {"href": "https://brand.example/pump-zh", "title": "水泵", "hreflang": ["zh"]}


async def test_15_media_types_are_iana_s(resolver: Resolver) -> None:
    (item,) = (await resolver.linkset(ITEM))["linkset"]
    assert [found.get("type") for found in item[f"{VOC}certificationInfo"]] == ["text/html", *["application/pdf"] * 2]
    with pytest.raises(GS1Error):
        await resolver.links.put(f"(01){GTIN}", [link("pip", "x", type="nonsense/html")])


async def test_16_defaults_have_a_descriptive_type_too(resolver: Resolver) -> None:
    (item,) = (await resolver.linkset(ITEM))["linkset"]
    described = {
        found["href"]
        for name, links in item.items()
        if name.startswith(VOC) and "default" not in name
        for found in links
    }
    for name in ("defaultLink", "defaultLinkMulti"):
        assert {found["href"] for found in item[f"{VOC}{name}"]} <= described
    with pytest.raises(GS1Error):
        await resolver.links.put(f"(01){GTIN}", [link("defaultLink", "x")])


async def test_17_a_linkset_points_to_its_json_ld_context(resolver: Resolver) -> None:
    answer = await resolver.ask(f"{ITEM}?linkType=linkset")
    expected = f'<{CONTEXT}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
    assert answer.headers["link"] == expected


async def test_18_there_is_one_default_without_attributes(resolver: Resolver) -> None:
    for item in (await resolver.linkset(f"{ITEM}/10/L1/21/S1"))["linkset"]:
        defaults = item.get(f"{VOC}defaultLink", [])
        assert len(defaults) <= 1
        assert all(found.keys() == {"href", "title"} for found in defaults)
    with pytest.raises(GS1Error):
        await resolver.links.put(f"(01){GTIN}", [link("pip", "a", default=True), link("pip", "b", default=True)])


async def test_19_without_a_wish_the_default_is_where_to_go(resolver: Resolver) -> None:
    assert await resolver.where(ITEM) == "pump"
    assert (
        await resolver.where(f"{ITEM}?linkType=gs1:defaultLink", accept_language="en")
        == "pump?linkType=gs1:defaultLink"
    )
    assert await resolver.where(f"{ITEM}/21/S1") == "item-S1"
    assert await resolver.where(f"{ITEM}/10/L1/21/S1") == "item-S1"


async def test_20_there_is_a_default_at_this_level_or_above(resolver: Resolver) -> None:
    assert await resolver.where(f"{ITEM}/10/L1") == "pump"
    assert await resolver.where(f"{ITEM}/22/V/10/anything/21/Z%2F9") == "pump"
    await resolver.links.put("(01)09506000134413", [link("pip", "no-default"), link("pip", "second")])
    assert await resolver.where("/01/09506000134413") == "no-default"


async def test_21_the_type_asked_for_is_where_to_go(resolver: Resolver) -> None:
    assert (
        await resolver.where(f"{ITEM}?linkType=gs1:quickStartGuide")
        == "start?model=P1&linkType=gs1:quickStartGuide#top"
    )
    for spelling in (f"{VOC}recallStatus", "https://gs1.org/voc/recallStatus", "gs1%3ArecallStatus"):
        assert (await resolver.where(f"{ITEM}/10/L1/21/S1?linkType={spelling}")).startswith("recall-L1?")
    assert (await resolver.where(f"{ITEM}/21/S1?linkType=gs1:pip")).startswith("item-S1?")
    assert (await resolver.where(f"{ITEM}/10/L1?linkType=gs1:pip")).startswith("pump?")


async def test_22_a_type_that_is_not_there_is_404(resolver: Resolver) -> None:
    for kind in ("gs1:nosuchlt", "gs1:recallStatus", "nonsense!", "https://other.example/x"):
        answer = await resolver.ask(f"{ITEM}?linkType={kind}")
        assert answer.status_code == 404
        assert answer.json()["code"] == "link-type-not-found"
        assert 'rel="linkset"' in answer.headers["link"]


async def test_23_the_whole_query_is_passed_on_as_it_came(resolver: Resolver) -> None:
    for query in (
        "foo=bar",
        "17=271231&3103=000195",
        "17=271231;3103=000195",
        "a=%E4%B8%AD&flag&b=1%2B2",
        "x=1&linkType=gs1:pip",
    ):
        assert await resolver.where(f"{ITEM}?{query}") == f"pump?{query}"


async def test_24_language_media_type_and_context_decide(resolver: Resolver) -> None:
    async def of(kind: str, more: str = "", **headers: str) -> str:
        return (await resolver.where(f"{ITEM}?linkType=gs1:{kind}{more}", **headers)).partition("?")[0]

    assert await of("pip") == "pump"
    assert await of("pip", accept_language="zh-CN,zh;q=0.9,en;q=0.5") == "pump-zh"
    assert await of("pip", accept_language="en-GB, zh;q=0.9") == "pump-en"
    assert await of("pip", accept_language="fr") == "pump"
    assert await of("pip", "&lang=zh", accept_language="en") == "pump-zh"
    assert await of("certificationInfo", accept="application/pdf") == "certificate-pdf"
    assert await of("certificationInfo", accept="text/html,*/*;q=0.8") == "certificate"
    assert await of("certificationInfo", "&mediaType=application/pdf&context=LK") == "certificate-lk"


async def test_25_to_27_the_description_file(resolver: Resolver) -> None:
    answer = await resolver.ask("/.well-known/gs1resolver")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert found["supportedPrimaryKeys"] == sorted(ai for ai, item in table().items() if item.qualifiers is not None)
    assert found["jsonLdContextLocation"] == CONTEXT
    assert found["supportedLinkType"] == [{"namespace": VOC, "prefix": "gs1:"}]
    assert found["linkTypeDefaultCanBeLinkset"] is False


async def test_28_the_resolver_of_a_company_prefix_is_named_handled_by(resolver: Resolver) -> None:
    away = Link(f"{VOC}handledBy", "https://id.brand.example/r/", "Brand")
    await resolver.node.create(f"{PREFIX}/gs1/gcp/9520123", *to_values([away]))
    answer = await resolver.ask("/01/09520123456788/21/A%2F1?foo=bar")
    assert answer.status_code == 307
    assert answer.headers["location"] == "https://id.brand.example/r/01/09520123456788/21/A%2F1?foo=bar"
    assert answer.headers["link"].endswith('rel="gs1:handledBy"; title="Brand"')
    assert "linkset" not in answer.headers["link"]


async def test_29_a_slash_at_the_end_is_tolerated(resolver: Resolver) -> None:
    for target in (ITEM, f"{ITEM}/21/S1"):
        assert await resolver.where(f"{target}/") == await resolver.where(target)


async def test_30_a_redirect_points_to_the_linkset(resolver: Resolver) -> None:
    header = (await resolver.ask(f"{ITEM}/10/L1/21/S1")).headers["link"]
    assert header == f'<{ROOT}{ITEM}/10/L1/21/S1?linkType=linkset>; rel="linkset"; type="{LINKSET}"; title="All links"'
    assert "gs1:" not in header


async def test_31_and_32_types_of_other_vocabularies_do_not_double_gs1_s(resolver: Resolver) -> None:
    assert (await resolver.ask(f"{ITEM}?linkType=https://voc.example/spare_parts")).status_code == 307
    await resolver.links.put("(414)9506000134420", [link("pip", "gln") | {"linkType": "https://www.gs1.org/voc/pip"}])
    (item,) = (await resolver.linkset("/414/9506000134420"))["linkset"]
    assert f"{VOC}pip" in item


async def test_33_where_nothing_decides_there_are_choices(resolver: Resolver) -> None:
    answer = await resolver.ask(f"{ITEM}?linkType=gs1:traceability")
    assert answer.status_code == 300
    assert problems(answer.json()) == []
    (item,) = answer.json()["linkset"]
    assert [found["title"] for found in item[f"{VOC}traceability"]] == ["trace-1", "trace-2"]
    assert item.keys() == {"anchor", "itemDescription", f"{VOC}traceability"}
    page = await resolver.ask(f"{ITEM}?linkType=gs1:traceability", accept="text/html")
    assert page.status_code == 300
    assert "trace-2" in page.text


async def test_34_a_right_link_of_nothing_known_is_404(resolver: Resolver) -> None:
    answer = await resolver.ask("/01/09506000134369/21/1")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not-found"
    assert (await resolver.ask("/01/09506000134369?linkType=linkset")).status_code == 404


async def test_35_a_serial_number_is_one_thing_with_or_without_its_lot(resolver: Resolver) -> None:
    with pytest.raises(GS1Error):
        await resolver.links.put(f"(01){GTIN}(10)L1(21)S1", [link("pip", "x")])
    assert await resolver.where(f"{ITEM}/22/V/10/other/21/S1") == "item-S1"


async def test_36_walking_up_is_no_redirect_to_the_resolver(resolver: Resolver) -> None:
    for target in (f"{ITEM}/10/L1", f"{ITEM}/21/unknown", f"{ITEM}/235/T"):
        assert await resolver.where(target) == "pump"
        assert (await resolver.ask(f"{target}?linkType=linkset")).status_code == 200


async def test_37_forms_of_a_linkset(resolver: Resolver) -> None:
    plain = await resolver.linkset(ITEM)
    target = f"{ITEM}?linkType=linkset"
    as_json = await resolver.ask(target, accept="application/json")
    assert as_json.headers["content-type"] == "application/json"
    assert as_json.json() == plain
    linked = await resolver.ask(target, accept="application/ld+json")
    assert linked.headers["content-type"] == "application/ld+json"
    assert linked.json() == {"@context": CONTEXT, **plain}
    page = await resolver.ask(target, accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    embedded = page.text.partition('<script type="application/ld+json">')[2].partition("</script>")[0]
    assert json.loads(embedded) == {"@context": CONTEXT, **plain}
    assert (await resolver.ask(target, accept="image/png")).status_code == 406
    assert (await resolver.ask(ITEM, accept="image/png")).status_code == 307


async def test_38_defaults_by_language(resolver: Resolver) -> None:
    assert await resolver.where(ITEM, accept_language="zh-CN,zh;q=0.9") == "manual-zh"
    assert await resolver.where(ITEM, accept_language="en") == "manual-en"
    assert await resolver.where(ITEM, accept_language="fr") == "pump"
    assert await resolver.where(ITEM, accept="text/html,*/*;q=0.8") == "pump"
    assert await resolver.where(ITEM, accept="text/html,*/*;q=0.8", accept_language="zh") == "manual-zh"
    assert (await resolver.where(f"{ITEM}?lang=en", accept_language="zh")).startswith("manual-en")
    (item,) = (await resolver.linkset(ITEM))["linkset"]
    assert len(item[f"{VOC}defaultLinkMulti"]) == 2


async def test_39_linksets_are_valid(resolver: Resolver) -> None:
    found = [await resolver.linkset(target) for target in (ITEM, f"{ITEM}/10/L1/21/S1")]
    assert [problems(document) for document in found] == [[], []]
    if OFFICIAL is not None:
        assert [error.message for document in found for error in OFFICIAL.iter_errors(document)] == []


async def test_40_slashes_and_other_signs_in_values(resolver: Resolver) -> None:
    for serial in ("A/B", "a?b", "50%", "x&y=z", "(1)", "!\"%&'()*+,-./:;<=>?_"[:20]):
        outcome = await resolver.links.put(
            f"https://x.example{ITEM}/21/{encode(serial)}", [link("dpp", "passport", default=True)]
        )
        assert outcome.code is WriteCode.CREATED
        assert await resolver.where(f"{ITEM}/21/{encode(serial)}") == "passport"
        (item, _) = (await resolver.linkset(f"{ITEM}/21/{encode(serial)}"))["linkset"]
        assert item["anchor"] == f"{ROOT}{ITEM}/21/{encode(serial)}"
    assert await resolver.where(f"{ITEM}/21/A%2fB") == "passport"


def encode(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-._~" else f"%{ord(c):02X}" for c in text)


async def test_41_chinese_targets_titles_and_descriptions(resolver: Resolver) -> None:
    answer = await resolver.ask(f"{ITEM}?linkType=https://voc.example/spare_parts&q=%E6%B3%B5")
    assert answer.headers["location"].startswith("https://xn--fsqu00a.xn--0zwm56d/%E5%A4%87%E4%BB%B6?linkType=")
    assert answer.headers["location"].endswith("&q=%E6%B3%B5")
    page = await resolver.ask(ITEM, accept=f"{LINKSET};q=0.1, text/html;q=0.2")
    assert page.status_code == 307
    assert "水泵" in (await resolver.ask(f"{ITEM}?linkType=linkset", accept="text/html")).text


async def test_42_links_of_an_invalid_identifier_are_not_registered(resolver: Resolver) -> None:
    for text in ("(01)09506000134353", "/01/x", "https://x.example/01/1", "(21)7", "水泵", f"(01){GTIN}(17)271231"):
        with pytest.raises(GS1Error):
            await resolver.links.put(text, [link("pip", "x")])
    with pytest.raises(GS1Error):
        await resolver.links.put(f"(01){GTIN}", [{"linkType": "gs1:pip", "href": "javascript:alert(1)", "title": "x"}])


async def test_a_page_says_what_it_was_given_and_runs_nothing(resolver: Resolver) -> None:
    await resolver.links.put(
        "(8004)9506000XSS", [link("pip", "x", title="</script><script>alert(1)</script>")], "<img src=x>"
    )
    page = (await resolver.ask("/8004/9506000XSS?linkType=linkset", accept="text/html")).text
    assert "<script>alert" not in page
    assert "<img" not in page
    assert page.count("</script>") == 1
    refused = await resolver.ask("/01/%3Cscript%3E", accept="text/html")
    assert refused.status_code == 400
    assert "<script" not in refused.text


async def test_links_are_values_that_other_faces_see(resolver: Resolver) -> None:
    values = resolver.node.values(f"{PREFIX}/gs1{ITEM}")
    assert values is not None
    assert values[400] == "Pump P1 水泵"
    assert json.loads(values[401])["linkType"] == "gs1:pip"


async def test_a_plain_address_written_by_another_client_is_a_link(resolver: Resolver) -> None:
    await resolver.node.create(
        f"{PREFIX}/gs1/8004/9506000URL", HandleValue(1, "URL", "https://brand.example/资产".encode())
    )
    assert await resolver.where("/8004/9506000URL") == "%E8%B5%84%E4%BA%A7"


async def test_links_are_replaced_and_taken_away(resolver: Resolver) -> None:
    thing = "(8004)9506000CHANGE"
    handle = f"{PREFIX}/gs1/8004/9506000CHANGE"
    assert (await resolver.links.put(thing, [link("pip", "a"), link("pip", "b")])).code is WriteCode.CREATED
    await resolver.node.write(Operation.ADD_VALUES, handle, values=(HandleValue(1, "EMAIL", b"a@b.example"),))
    assert (await resolver.links.put(thing, [link("pip", "c")])).done
    assert (await resolver.links.put(thing, [link("pip", "c")])).code is WriteCode.UNCHANGED
    assert await resolver.where("/8004/9506000CHANGE") == "c"
    found = resolver.links.get(thing)
    assert found is not None
    assert [item["href"] for item in found["links"]] == ["https://brand.example/c"]
    assert (await resolver.links.put(thing, [])).done
    assert resolver.links.get(thing) is None
    assert resolver.node.values(handle) == {1: "a@b.example"}
    assert (await resolver.ask("/8004/9506000CHANGE")).status_code == 404
    assert (await resolver.links.put(thing, [])).code is WriteCode.UNCHANGED


async def test_ten_million_serial_numbers_by_one_range(resolver: Resolver) -> None:
    template = Template(
        name="gs1-item",
        attributes=(
            Attribute(name="gs1_description", index=2000),
            Attribute(name="gs1_link", index=2001),
            Attribute(name="gs1_link_2", index=2002),
        ),
        state=TemplateState.PUBLISHED,
    )
    product = link("pip", "items/{number:6}?s={suffix}", default=True, title="泵 {number}")
    texts = ("泵 {number}", json.dumps(product), json.dumps(link("dpp", "passports/{number}")))
    core = resolver.node.identifiers
    await core.set_template(2, template)
    await core.set_class(ClassRecord(number=7, template=2, attributes=tuple(enumerate(texts))))
    await core.define_range(PREFIX, "gs1/01/09506000134383/21/{00000000..09999999}", 7)
    item = "/01/09506000134383/21/00000042"
    assert await resolver.where(item) == f"items/000042?s=gs1{item}"
    assert await resolver.where(f"{item}?linkType=gs1:dpp") == "passports/00000042?linkType=gs1:dpp"
    found = await resolver.linkset("/01/09506000134383/10/L7/21/00000042")
    assert [level["itemDescription"] for level in found["linkset"]] == ["泵 00000042"]
    for outside in ("/01/09506000134383/21/10000000", "/01/09506000134383/21/42", "/01/09506000134383"):
        assert (await resolver.ask(outside)).status_code == 404
    # One of them gets links of its own, another is taken out.
    assert (await resolver.links.put("(01)09506000134383(21)00000042", [link("pip", "own", default=True)])).done
    assert await resolver.where(item) == "own"
    assert (await resolver.ask(f"{item}?linkType=gs1:dpp")).status_code == 404
    for serial in ("00000042", "00000045"):
        with pytest.raises(GS1Error):
            await resolver.links.put(f"(01)09506000134383(21){serial}", [])
    await resolver.node.write(Operation.DELETE, f"{PREFIX}/gs1/01/09506000134383/21/00000043")
    assert (await resolver.ask("/01/09506000134383/21/00000043")).status_code == 404
    assert await resolver.where("/01/09506000134383/21/00000044") == "items/000044?s=gs1/01/09506000134383/21/00000044"


async def test_each_link_of_a_linkset_is_where_its_own_attributes_lead(resolver: Resolver) -> None:
    """As GS1's test suite walks through a linkset: what is asked for with all that a link says is answered with it, or
    with a choice where another says the same."""
    asked = 0
    for start in (ITEM, f"{ITEM}/10/L1/21/S1"):
        seen: set[str] = set()
        for level in (await resolver.linkset(start))["linkset"]:
            here = level.keys() - seen - {"anchor", "itemDescription"}
            # The default of an item goes before those of its product, whatever the language.
            defaults = {f"{VOC}defaultLink", f"{VOC}defaultLinkMulti"}
            seen |= here | (defaults if here & defaults else set())
            for kind in sorted(here):
                found = level[kind]
                for one in found:
                    query = {} if "defaultLink" in kind else {"linkType": kind}
                    query |= {"mediaType": one["type"]} if "type" in one else {}
                    query |= {"lang": one["hreflang"][0]} if "hreflang" in one else {}
                    query |= {"context": one["context"][0]} if "context" in one else {}
                    said = {name: value for name, value in one.items() if name not in ("href", "title")}
                    alike = [o for o in found if {n: v for n, v in o.items() if n not in ("href", "title")} == said]
                    answer = await resolver.ask(f"{start}?{httpx.QueryParams(query)}")
                    assert answer.status_code == (307 if len(alike) == 1 else 300), (kind, one)
                    if len(alike) == 1:
                        target = httpx.URL(one["href"])
                        location = httpx.URL(answer.headers["location"])
                        assert (location.host, location.path) == (target.host, target.path)
                    asked += 1
    assert asked > len(PRODUCT)


async def test_a_linkset_that_is_kept_is_forgotten_when_a_level_changes(resolver: Resolver) -> None:
    async def anchors() -> list[str]:
        found = await resolver.linkset("/01/09506000134406/10/L/21/S")
        return [level["anchor"].removeprefix(ROOT) for level in found["linkset"]]

    product = "/01/09506000134406"
    await resolver.links.put("(01)09506000134406", [link("pip", "p")])
    assert await anchors() == await anchors() == [product]
    await resolver.links.put("(01)09506000134406(21)S", [link("pip", "s")])
    assert await anchors() == [f"{product}/21/S", product]
    await resolver.links.put("(01)09506000134406(10)L", [link("pip", "l")])
    assert await anchors() == [f"{product}/21/S", f"{product}/10/L", product]
    await resolver.links.put("(01)09506000134406(21)S", [])
    assert await anchors() == [f"{product}/10/L", product]


async def test_signs_in_a_stem_do_not_reach_headers(resolver: Resolver) -> None:
    raw = f'GET /a"b>;c/x{ITEM} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'.encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", resolver.client.base_url.port or 0)
    writer.write(raw)
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    assert answer.startswith((b"HTTP/1.1 307", b"HTTP/1.1 400"))
    assert b'"b>' not in answer


async def test_bytes_that_are_not_ascii_in_a_request(resolver: Resolver) -> None:
    for target in (
        f"{ITEM}?q=水泵".encode(),
        b"/01/" + b"\xff" * 14,
        f"/水泵{ITEM}".encode(),
        ITEM.encode() + b"?x=\xff\xfe",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", resolver.client.base_url.port or 0)
        writer.write(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        assert answer[9:12] in (b"307", b"400"), answer[:200]


async def test_the_workbench_is_told_what_a_text_means(resolver: Resolver) -> None:
    found = resolver.links.describe("9506000134352")
    assert found["canonical"] == f"https://id.gs1.org{ITEM}"
    assert found["elements"] == [{"ai": "01", "title": "GTIN", "value": GTIN}]
    assert found["levels"][0]["description"] == "Pump P1 水泵"
    assert resolver.links.describe(f"(01){GTIN}(21)S1")["handles"][0] == f"{PREFIX}/gs1{ITEM}/21/S1"


async def test_what_is_done_is_counted(resolver: Resolver) -> None:
    before = resolver.counters.snapshot()
    await resolver.ask(ITEM)
    await resolver.ask(f"{ITEM}/foo")
    await resolver.ask(f"{ITEM}?linkType=linkset&not=kept")
    after = resolver.counters.snapshot()
    for name in ("gs1_redirects", "gs1_requests_refused.no-primary-key", "gs1_linksets_answered"):
        assert after[name] == before.get(name, 0) + 1
