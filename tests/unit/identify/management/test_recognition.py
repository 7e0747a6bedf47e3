"""One box: what a person typed or scanned means one kind of identifier, or says why it is none."""

import pytest

from gongfu.identify.management.recognition import recognise

OIDS = {"2.999": "99.168.1"}


@pytest.mark.parametrize(
    ("text", "kind", "handle"),
    [
        ("99.168.1/P-1", "handle", "99.168.1/P-1"),
        (" 99.168.1/泵?#%/1 ", "handle", "99.168.1/泵?#%/1"),
        ("hdl:99.168.1/P-1", "handle", "99.168.1/P-1"),
        ("HDL:99.168.1/P-1", "handle", "99.168.1/P-1"),
        ("https://hdl.example/99.168.1/%E6%B3%B5%3F", "url", "99.168.1/泵?"),
        ("http://127.0.0.1:2642/api/handles/99.168.1/P%2F1?index=1", "url", "99.168.1/P/1"),
        ("https://www.example.com/about", "url", ""),
        ("urn:oid:2.999.7.1", "oid", "99.168.1/7.1"),
        ("2.999", "oid", "0.NA/99.168.1"),
        ("1.2.156.3001", "oid", ""),
        ("did:web:id.example:99.168.1:P-1", "did", "99.168.1/P-1"),
        ("did:key:z6Mk", "did", ""),
        ("(01)09506000134352(21)7", "gs1", "99.1000.1/gs1/01/09506000134352/21/7"),
        ("https://id.example/01/09506000134352?x=1", "gs1", "99.1000.1/gs1/01/09506000134352"),
        ("9506000134352", "gs1", "99.1000.1/gs1/01/09506000134352"),
        ("9506000134351", "unknown", ""),
        ("a pump", "unknown", ""),
        ("/", "unknown", ""),
        ("https://[broken/", "unknown", ""),
    ],
)
def test_a_text_means_one_thing(text: str, kind: str, handle: str) -> None:
    meant = recognise(text, gs1_prefix="99.1000.1", oids=OIDS)
    assert (meant.kind, str(meant.handles[0]) if meant.handles else "") == (kind, handle)
    assert bool(meant.detail) == (not meant.handles)


def test_a_gs1_serial_is_looked_for_from_the_item_to_the_product() -> None:
    names = recognise("https://id.example/01/09506000134352/10/A/21/7", gs1_prefix="99.1000.1").handles
    paths = [str(name).removeprefix("99.1000.1/gs1") for name in names]
    assert (paths[0], paths[-1]) == ("/01/09506000134352/10/A/21/7", "/01/09506000134352")
    assert "/01/09506000134352/10/A" in paths
    assert recognise("(01)09506000134352").handles == ()
