"""Wrong security at an OPC UA server: what is said names what the server offers and what to set."""

import pytest

from gongfu.connect.kit.types import DriverError, Reason
from gongfu.connect.opcua.security import NONE, Endpoint, choose

BASE = "http://opcfoundation.org/UA/SecurityPolicy#"


def endpoint(policy: str, mode: int) -> Endpoint:
    return Endpoint(
        url="opc.tcp://plc", policy=policy, mode=mode, certificate=b"", server_uri="", server_name="", tokens=()
    )


PLAIN, SIGNED, OLD = endpoint(NONE, 1), endpoint(BASE + "Basic256Sha256", 3), endpoint(BASE + "Basic128Rsa15", 3)


@pytest.mark.parametrize(
    ("offered", "security", "policy", "advice"),
    [
        ([PLAIN, SIGNED], "auto", "Aes256_Sha256_RsaPss", "Set `security` and `policy` to auto"),
        ([SIGNED], "sign", "auto", "Set `security` and `policy` to auto"),
        ([PLAIN], "auto", "auto", "set `security` to none"),
        ([OLD], "auto", "auto", "Switch on Basic256Sha256"),
        ([SIGNED], "none", "auto", "Set `security` to auto"),
    ],
)
def test_what_does_not_fit_is_told_with_what_is_offered(offered, security, policy, advice):
    with pytest.raises(DriverError) as raised:
        choose(offered, security, policy, "opc.tcp://plc:4840")
    assert raised.value.reason is Reason.UNSUPPORTED
    assert advice in raised.value.advice
    assert str(offered[0]) in raised.value.what
