"""Which endpoint of a server is taken, and whether its certificate is. Pure but for the trust list's files.

Source: OPC 10000-4 §5.4.4 (GetEndpoints), §6.1.3 (determining if a certificate is trusted); OPC 10000-7 (policies). The
strongest endpoint both sides know is taken; one without security only when the options say so.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from cryptography import x509

from gongfu.connect.kit.types import DriverError, Reason
from gongfu.connect.opcua.certificates.identity import fingerprint
from gongfu.connect.opcua.certificates.trust_list import TrustList, first_of_chain

NONE = "http://opcfoundation.org/UA/SecurityPolicy#None"
POLICIES = ("Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256")
"""Policies we take, strongest first. Basic128Rsa15 and Basic256 are broken or retired and not offered."""

Security = Literal["auto", "sign-and-encrypt", "sign", "none"]
_MODES: dict[str, tuple[int, ...]] = {"auto": (3, 2), "sign-and-encrypt": (3,), "sign": (2,), "none": (1,)}
MODE_NAMES = {1: "None", 2: "Sign", 3: "SignAndEncrypt"}


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What we use of an EndpointDescription. ``mode``: 1 None, 2 Sign, 3 SignAndEncrypt; ``tokens``: (kind, policy)."""

    url: str
    policy: str
    mode: int
    certificate: bytes
    server_uri: str
    server_name: str
    tokens: tuple[tuple[int, str], ...]

    @property
    def policy_name(self) -> str:
        """Short name of the policy."""
        return self.policy.rpartition("#")[2]

    def __str__(self) -> str:
        return f"{self.policy_name}/{MODE_NAMES.get(self.mode, self.mode)}"


def choose(endpoints: Sequence[Endpoint], security: Security, policy: str, url: str) -> Endpoint:
    """Return the endpoint to use.

    Args:
        endpoints: what the server offers.
        security: wanted mode; ``auto`` is the strongest with security.
        policy: wanted policy by its short name, ``auto`` or ``""`` for the strongest.
        url: for the message.

    Raises:
        DriverError: no endpoint fits.
    """
    wanted = POLICIES if policy in ("", "auto") else (policy,)
    usable = [e for e in endpoints if e.url.startswith("opc.tcp:")]
    for mode in _MODES[security]:
        if mode == 1:
            found = [e for e in usable if e.mode == 1]
        else:
            found = [e for name in wanted for e in usable if e.mode == mode and e.policy_name == name]
        if found:
            return found[0]
    offered = ", ".join(sorted({str(e) for e in usable})) or "nothing over opc.tcp"
    advice = "Switch on Basic256Sha256 with SignAndEncrypt at the server."
    if security != "none" and any(e.mode != 1 and e.policy_name in POLICIES for e in usable):
        advice = "Set `security` and `policy` to auto, or to a pair that it offers."
    elif security != "none" and any(e.mode == 1 for e in usable):
        advice += " Only if the network in between is trusted, set `security` to none."
    elif security == "none":
        advice = "Set `security` to auto."
    raise DriverError(
        Reason.UNSUPPORTED,
        f"{url} has no endpoint for security {security}, policy {policy or 'auto'}; it offers {offered}.",
        advice,
    )


def require_trust(endpoint: Endpoint, trust: TrustList, now: datetime, url: str) -> bytes:
    """Return the server's leading certificate (DER) when it is trusted at ``now`` (UTC).

    Raises:
        DriverError: it is unknown (and then noted in the trust list), expired, not valid yet or no certificate.
    """
    verdict = trust.judge(endpoint.certificate, now)
    if verdict == "trusted":
        return first_of_chain(endpoint.certificate)
    if verdict == "invalid":
        raise DriverError(
            Reason.PROTOCOL,
            f"{url} shows something that is no certificate.",
            "Make a new application certificate at the server.",
        )
    mark = fingerprint(first_of_chain(endpoint.certificate))
    if verdict == "untrusted":
        trust.note_stranger(endpoint.certificate)
        validity = validity_of(endpoint.certificate, now)
        also = f" Besides, it {validity}: have it renewed first." if validity else ""
        raise DriverError(
            Reason.CERTIFICATE_UNTRUSTED,
            f"The certificate of {url} ({endpoint.server_name}, thumbprint {mark}) is not trusted here.",
            "Compare the thumbprint with the one the server shows, then trust it: in the console under Connections, "
            f"OPC UA certificates, or by `gongfu connect trust {mark}`.{also}",
        )
    raise DriverError(
        Reason.CERTIFICATE_EXPIRED,
        f"The certificate of {url} (thumbprint {mark}) {validity_of(endpoint.certificate, now)}.",
        "Renew it at the server, or correct the clock of the side that is wrong.",
    )


def validity_of(certificate: bytes, now: datetime) -> str:
    """Return "has expired (…)" or "is not valid yet (…)" for a certificate (DER) at ``now`` (UTC), else ""."""
    parsed = x509.load_der_x509_certificate(first_of_chain(certificate))
    begins, ends = parsed.not_valid_before_utc, parsed.not_valid_after_utc
    if now > ends:
        return f"has expired (on {ends:%Y-%m-%d %H:%M} UTC; it is {now:%Y-%m-%d %H:%M} here)"
    if now < begins:
        return f"is not valid yet (but from {begins:%Y-%m-%d %H:%M} UTC; it is {now:%Y-%m-%d %H:%M} here)"
    return ""


def sign_in_is_private(endpoint: Endpoint) -> bool:
    """Return whether a password would be encrypted on its way: by the channel or by the token's own policy."""
    for kind, policy in endpoint.tokens:
        if kind == 1:
            return endpoint.mode == 3 or (policy or endpoint.policy) != NONE
    return endpoint.mode == 3


def endpoints_as_text(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return a summary for ``discover``: modes offered and kinds of sign-in."""
    kinds = {0: "anonymous", 1: "username", 2: "certificate", 3: "issued"}
    return {
        "security": sorted({str(e) for e in endpoints}),
        "sign_in": sorted({kinds.get(kind, str(kind)) for e in endpoints for kind, _ in e.tokens}),
    }
