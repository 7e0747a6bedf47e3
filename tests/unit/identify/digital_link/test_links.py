"""Links: which are taken, how they are kept, which of them a client gets, and linksets."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.identify.digital_link.errors import GS1Error
from gongfu.identify.digital_link.handles import company_handles, handles_of, link_of_handle
from gongfu.identify.digital_link.links import Link, check_links, link_from, read_links, to_values
from gongfu.identify.digital_link.linkset import linkset, member, problems
from gongfu.identify.digital_link.negotiation import best, language_weight, media_weight, weighted, wish_of
from gongfu.identify.digital_link.uri import parse_uri
from gongfu.identify.digital_link.vocabulary import link_type
from gongfu.identify.handle.codes import Permission
from gongfu.identify.handle.names import parse_handle
from gongfu.identify.handle.values import HandleValue

EXAMPLES = Path("/work/shared/data/gs1/linkset")
PIP = {"linkType": "gs1:pip", "href": "https://example.com/pump", "title": "Pump"}


@pytest.mark.parametrize(
    "alias", ["gs1:pip", "https://ref.gs1.org/voc/pip", "https://gs1.org/voc/pip", "https://www.gs1.org/voc/pip"]
)
def test_one_type_of_link_in_many_spellings(alias: str) -> None:
    assert link_type(alias) == "https://ref.gs1.org/voc/pip"


@pytest.mark.parametrize(
    "text", ["", "gs1:", "gs1:p p", "GS1:pip", "javascript:alert(1)", "anchor", "linkset", "https://x", "中"]
)
def test_what_is_no_type_of_link(text: str) -> None:
    assert link_type(text) is None


@pytest.mark.parametrize(
    "change",
    [
        {"href": "javascript:alert(1)"},
        {"href": "ftp://example.com/"},
        {"href": "https:///pump"},
        {"href": "https://user:pass@example.com/"},
        {"href": "https://example.com/a b"},
        {"href": 'https://example.com/"><script>'},
        {"href": "https://example.com/\r\nSet-Cookie: a"},
        {"href": "https://example.com:99999/"},
        {"href": "https://[::1/"},
        {"href": "https://example.com/" + "x" * 2048},
        {"href": "https://exa\u2028mple.com/"},
        {"title": ""},
        {"title": "  "},
        {"title": "x" * 501},
        {"title": "a\nb"},
        {"title": 7},
        {"hreflang": ["english language"]},
        {"hreflang": "en"},
        {"type": "html"},
        {"type": "application/x y"},
        {"context": [""]},
        {"linkType": "gs1:defaultLink"},
        {"linkType": "gs1:defaultLinkMulti"},
        {"linkType": "nonsense!"},
        {"colour": "red"},
    ],
)
def test_a_link_that_is_none_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(GS1Error) as error:
        link_from(PIP | change)
    assert error.value.detail


def test_addresses_of_other_letters() -> None:
    link = link_from(PIP | {"href": "https://例子.测试:8443/泵?型号=1#说明", "title": "泵"})
    assert link.href.startswith("https://xn--fsqu00a.xn--0zwm56d:8443/")
    assert link.target() == "https://xn--fsqu00a.xn--0zwm56d:8443/%E6%B3%B5?%E5%9E%8B%E5%8F%B7=1#%E8%AF%B4%E6%98%8E"


def test_the_query_goes_before_the_fragment_and_behind_the_target_s_own() -> None:
    assert link_from(PIP).target("a=1&b") == "https://example.com/pump?a=1&b"
    assert (
        link_from(PIP | {"href": "https://e.com/?x=%2F#y"}).target("17=2712;a=%E4")
        == "https://e.com/?x=%2F&17=2712;a=%E4#y"
    )


def test_links_are_kept_in_values_and_read_again() -> None:
    links = check_links(
        [
            link_from(PIP | {"default": True, "hreflang": ["zh-Hans"]}),
            link_from(PIP | {"linkType": "gs1:certificationInfo"}),
        ]
    )
    values = to_values(links, "泵")
    assert {value.type for value in values} == {"GS1_LINK", "GS1_DESCRIPTION"}
    assert json.loads(values[1].data)["linkType"] == "gs1:pip"
    described = read_links(values)
    assert described.links == links
    assert described.description == "泵"


def test_what_is_not_public_or_cannot_be_read_is_no_link() -> None:
    (value,) = to_values([link_from(PIP)])
    hidden = msgspec.structs.replace(value, permissions=Permission.ADMIN_READ)
    assert read_links([hidden]).links == ()
    broken = [msgspec.structs.replace(value, data=data) for data in (b"", b"\xff", b"{}", b"[]", value.data + b"x")]
    assert read_links(broken).unreadable == 5


def test_an_address_is_a_link_where_there_are_no_others() -> None:
    url = HandleValue(1, "url", b"https://example.com/x")
    assert [(link.link_type, link.href) for link in read_links([url]).links] == [
        ("https://ref.gs1.org/voc/pip", "https://example.com/x")
    ]
    assert read_links([HandleValue(1, "URL", b"javascript:x")]).links == ()
    assert read_links([url, *to_values([link_from(PIP)])]).links == (link_from(PIP),)


def test_one_default() -> None:
    with pytest.raises(GS1Error):
        check_links([link_from(PIP | {"default": True})] * 2)
    with pytest.raises(GS1Error):
        check_links([link_from(PIP)] * 201)
    values = [
        msgspec.structs.replace(v, index=n) for n in (1, 2) for v in to_values([link_from(PIP | {"default": True})])
    ]
    assert [link.default for link in read_links(values).links] == [True, False]


def test_weights() -> None:
    assert weighted("text/html;level=1;q=0.3, */*;q=0, a/b ; q=1.000,,c/d;q=2,e/f;q=x") == (
        ("text/html", 0.3), ("*/*", 0.0), ("a/b", 1.0)
    )  # fmt: skip
    assert media_weight("text/html", weighted("text/*;q=0.5,*/*;q=0.1")) == 0.5
    assert media_weight("text/html", weighted("*/*, text/html;q=0")) == -1
    assert media_weight("image/png", weighted("text/*")) == -1
    chinese = weighted("zh-CN,zh;q=0.9,en;q=0.1")
    assert (
        language_weight(("zh-CN",), chinese) > language_weight(("zh",), chinese) > language_weight(("zh-TW",), chinese)
    )
    assert language_weight(("fr",), chinese) == -1


def link(**more: object) -> Link:
    return link_from(PIP | more)


EN, ZH, PDF, ALL = link(hreflang=["en"]), link(hreflang=["zh"]), link(type="application/pdf"), link()
CN = link(context=["CN"])


@pytest.mark.parametrize(
    ("links", "accept", "language", "query", "wanted"),
    [
        ([EN, ZH], "", "zh-CN,en;q=0.5", [], [ZH]),
        ([EN, ZH], "", "en-GB", [], [EN]),
        ([EN, ZH], "", "", [("lang", "zh")], [ZH]),
        ([EN, ZH], "", "en", [("lang", "zh")], [ZH]),
        ([EN, ZH], "", "fr", [], [EN, ZH]),
        ([EN, ZH], "", "", [], [EN, ZH]),
        ([EN, ZH], "", "*", [], [EN, ZH]),
        ([EN, ZH, ALL], "", "", [], [ALL]),
        ([EN, ZH, ALL], "", "fr", [], [ALL]),
        ([PDF, ALL], "application/pdf", "", [], [PDF]),
        ([PDF, ALL], "text/html", "", [], [ALL]),
        ([PDF, ALL], "*/*", "", [], [ALL]),
        ([PDF, ALL], "text/html", "", [("mediaType", "application/pdf")], [PDF]),
        ([CN, ALL], "", "", [("context", "CN")], [CN]),
        ([CN, ALL], "", "", [("context", "LK")], [ALL]),
        ([CN, ALL], "", "", [], [ALL]),
        ([ALL, ALL], "", "", [], [ALL, ALL]),
    ],
)  # fmt: skip
def test_which_link_fits_best(
    links: list[Link], accept: str, language: str, query: list[tuple[str, str]], wanted: list[Link]
) -> None:
    assert best(links, wish_of(accept, language, query)) == wanted


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_header_breaks_a_choice(accept: str, language: str) -> None:
    assert best([EN, ZH, PDF, ALL, CN], wish_of(accept, language, [("lang", language), ("mediaType", accept)]))


@pytest.mark.skipif(not EXAMPLES.exists(), reason="GS1's examples of linksets are not on this machine")
@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*-example.json")), ids=lambda path: path.stem)
def test_gs1_s_examples_are_judged_as_their_names_say(file: Path) -> None:
    found = problems(json.loads(file.read_bytes()), gs1="gs1" in file.name)
    assert (not found) == file.name.startswith("valid"), found


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"linkset": {}},
        {"linkset": [], "more": 1},
        {"linkset": [1]},
        {"linkset": [{"anchor": "urn:x", "itemDescription": "x"}]},
        {"linkset": [{"anchor": "https://a/1", "itemDescription": 1}]},
        {"linkset": [{"anchor": "https://a/1", "itemDescription": "x", "No Type": []}]},
        {"linkset": [{"anchor": "https://a/1", "itemDescription": "x", "item": {}}]},
        {"linkset": [{"anchor": "https://a/1", "itemDescription": "x", "item": [1]}]},
        {"linkset": [{"anchor": "https://a/1", "itemDescription": "x", "item": [{"href": "https://a/2"}]}]},
        {"linkset": [{"anchor": "https://a/1", "itemDescription": "x", "item": [{"title": "x"}]}]},
    ],
)  # fmt: skip
def test_what_is_no_linkset(document: object) -> None:
    assert problems(document)


def test_what_a_wrong_attribute_of_a_link_is_called() -> None:
    for wrong in (
        {"hreflang": "en"},
        {"hreflang": ["english"]},
        {"type": "html"},
        {"context": "CN"},
        {"public": 1},
        {"colour": 1},
    ):
        document = linkset(
            [{"anchor": "https://a/1", "itemDescription": "x", "item": [{"href": "https://a/2", "title": "x"} | wrong]}]
        )
        assert next(iter(wrong)) in problems(document)[0]


def test_our_linksets_are_right() -> None:
    links = check_links(
        [
            link_from(PIP | {"default": True, "hreflang": ["zh-Hant-TW", "fil", "en-GB"], "type": "text/html"}),
            link_from(PIP | {"defaultMulti": True, "hreflang": ["zh"], "context": ["CN"], "public": True}),
            link_from(PIP | {"linkType": "item", "href": "https://例子.测试/泵"}),
        ]
    )
    document = linkset([member("https://id.example.org/01/09506000134352", "泵", links)])
    assert problems(document) == []
    (found,) = document["linkset"]
    assert found["https://ref.gs1.org/voc/defaultLink"] == [{"href": "https://example.com/pump", "title": "Pump"}]
    assert found["https://ref.gs1.org/voc/pip"][0]["hreflang"] == ["zh", "en-GB"]
    assert len(found["https://ref.gs1.org/voc/defaultLinkMulti"]) == 1


def test_handles() -> None:
    item = parse_uri("https://a/01/09506000134352/10/A%2F1/21/7%3F")
    names = [str(name) for name in handles_of(item, "99.1000.1")]
    assert names[0] == "99.1000.1/gs1/01/09506000134352/10/A%2F1/21/7%3F"
    assert names[-1] == "99.1000.1/gs1/01/09506000134352"
    for name in names:
        back = link_of_handle(parse_handle(name), "99.1000.1")
        assert back is not None
        assert name.endswith(back.path)
    for other in (
        "99.1000.1/gs1/01/9506000134352",
        "99.1000.1/gs1/foo",
        "99.2/gs1/01/09506000134352",
        "99.1000.1/gs1/01/09506000134352/",
    ):
        assert link_of_handle(parse_handle(other), "99.1000.1") is None
    companies = [str(name) for name in company_handles(item, "99.1000.1")]
    assert companies[0] == "99.1000.1/gs1/gcp/950600013435"
    assert companies[-1] == "99.1000.1/gs1/gcp/9506"
