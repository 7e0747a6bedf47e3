"""The OPC UA trust list over the API: who may, what is refused, and that the key stays where it is."""

from datetime import UTC, datetime

from gongfu.connect.opcua.certificates import identity
from gongfu.connect.opcua.certificates.trust_list import TrustList
from tests.contract.api.conftest import Web, problem

PATH = "/v1/connections/opcua/certificates"


def test_trust_reject_and_forget(web: Web, tmp_path) -> None:
    root, engineer = web.clients["root"], web.clients["engineer"]
    folder = web.data_dir / "secrets" / "connections" / identity.FOLDER
    assert root.get(PATH).json()["own"] is None
    own = identity.load(folder, datetime.now(UTC))
    machine = identity.load(tmp_path / "machine", datetime.now(UTC))
    TrustList(folder).note_stranger(machine.certificate)

    document = engineer.get(PATH)
    assert document.json()["own"]["fingerprint"] == own.fingerprint
    assert "PRIVATE KEY" not in document.text
    (item,) = document.json()["items"]
    assert (item["state"], item["fingerprint"]) == ("rejected", machine.fingerprint)

    problem(engineer.post(f"{PATH}/{machine.fingerprint}:trust"), 403, "forbidden")
    assert root.post(f"{PATH}/{machine.fingerprint.lower()}:trust").json()["state"] == "trusted"
    assert TrustList(folder).judge(machine.certificate, datetime.now(UTC)) == "trusted"
    assert root.post(f"{PATH}/{machine.fingerprint}:reject").json()["state"] == "rejected"
    assert TrustList(folder).judge(machine.certificate, datetime.now(UTC)) == "untrusted"
    assert root.delete(f"{PATH}/{machine.fingerprint}").status_code == 204
    problem(root.delete(f"{PATH}/{machine.fingerprint}"), 404, "not-found")
    problem(root.post(f"{PATH}/..%2F..%2Fown:trust"), 404, "not-found")

    headers = {"content-type": "application/pkix-cert"}
    made = root.post(PATH, content=machine.certificate, headers=headers)
    assert (made.status_code, made.json()["state"]) == (201, "trusted"), made.text
    problem(root.post(PATH, content=b"no certificate", headers=headers), 400, "invalid-request")
    actions = [entry["action"] for entry in root.get("/v1/audit").json()["items"]]
    assert {"opcua.trust", "opcua.reject", "opcua.forget"} <= set(actions)
