"""What went wrong, in words an engineer can act on: StatusCodes and socket errors -> ``DriverError``.

Codes: OPC 10000-6 Annex A.2 (StatusCode.csv). Pure.
"""

import socket

from gongfu.connect.kit.types import DriverError, Reason

_CREDENTIALS = "Check user name and password of the connection, and that the user may sign in at the server."
_TRUST_US = (
    "Trust Gongfu's certificate at the server (its list of rejected certificates shows it, thumbprint {ours}), "
    "then try again."
)

STATUS: dict[int, tuple[Reason, str, str]] = {
    0x801F: (
        Reason.CREDENTIALS,
        "the server rejected the user or the password, or this user may not do it",
        _CREDENTIALS,
    ),
    0x8020: (Reason.CREDENTIALS, "the server did not take this kind of sign-in", _CREDENTIALS),
    0x8021: (Reason.CREDENTIALS, "the server rejected user name or password", _CREDENTIALS),
    0x8013: (Reason.CERTIFICATE_UNTRUSTED, "the server rejected the security of our message", _TRUST_US),
    0x801A: (Reason.CERTIFICATE_UNTRUSTED, "the server does not trust our certificate", _TRUST_US),
    0x8012: (Reason.CERTIFICATE_UNTRUSTED, "the server calls our certificate invalid", _TRUST_US),
    0x8014: (
        Reason.CERTIFICATE_EXPIRED,
        "the server says that a certificate has expired or is not valid yet",
        "Compare the clocks of both sides; renew the certificate that has expired.",
    ),
    0x8055: (
        Reason.UNSUPPORTED,
        "the server rejected the security policy",
        "Choose a policy that `discover` shows for this server.",
    ),
    0x8054: (Reason.UNSUPPORTED, "the server rejected the security mode", "Choose a mode that `discover` shows."),
    0x8056: (
        Reason.BUSY,
        "the server has no free session",
        "Close other clients or raise the server's limit of sessions.",
    ),
    0x8077: (Reason.BUSY, "the server takes no more subscriptions", "Set `mode` to poll, or raise the server's limit."),
    0x80DB: (
        Reason.BUSY,
        "the server takes no more monitored items",
        "Set `mode` to poll, or raise the server's limit.",
    ),
    0x8010: (Reason.BUSY, "the server has too many requests at once", "Ask for fewer points or less often."),
    0x800E: (Reason.BUSY, "the server is stopped", "Start the server or wait until it has started."),
    0x800C: (Reason.BUSY, "the server is shutting down", "Wait until it has started again."),
    0x800D: (Reason.UNREACHABLE, "the server is not connected", "Check the server's own connection to the machine."),
    0x800A: (Reason.TIMEOUT, "the server took too long", "Raise `timeout`, or ask for fewer points."),
    0x8034: (Reason.ADDRESS_UNKNOWN, "the server has no such node", "Browse the server and correct the address."),
    0x8033: (
        Reason.ADDRESS_UNKNOWN,
        "the server calls the address invalid",
        "Browse the server and correct the address.",
    ),
    0x8074: (
        Reason.TYPE_MISMATCH,
        "the value has the wrong type for this node",
        "Give a value of the type browsing shows.",
    ),
    0x803C: (Reason.RANGE, "the value is out of range", "Give a value within the range browsing shows."),
    0x803B: (Reason.UNSUPPORTED, "the node cannot be written", "Ask for write access to it at the server."),
    0x803A: (Reason.UNSUPPORTED, "the node cannot be read", "Ask for read access to it at the server."),
    0x8075: (
        Reason.ADDRESS_UNKNOWN,
        "the object has no such method",
        "Give object and method as browsing shows them: the method is below the object.",
    ),
    0x8111: (Reason.UNSUPPORTED, "the method cannot be called now", "See the state of the machine in its own display."),
    0x8076: (Reason.TYPE_MISMATCH, "arguments are missing", "Give one value for each argument that browsing shows."),
    0x80E5: (Reason.TYPE_MISMATCH, "there are too many arguments", "Give one value for each argument of the method."),
    0x80AB: (Reason.RANGE, "the server does not take an argument", "See which values its documentation names."),
    0x809A: (
        Reason.BUSY,
        "the server does not know this occurrence of the alarm any more",
        "It has changed meanwhile: acknowledge the alarm as it is now.",
    ),
    0x8099: (Reason.UNSUPPORTED, "the condition is disabled at the server", "Enable it there."),
    0x800B: (Reason.UNSUPPORTED, "the server does not have this service", "Leave this out for this server."),
}


def of_status(status: int, what: str, ours: str = "") -> DriverError:
    """Return the error for a bad StatusCode.

    Args:
        status: StatusCode, 32 bits.
        what: what was tried ("Signing in at opc.tcp://…").
        ours: fingerprint of our certificate, named where the server must trust it.
    """
    known = STATUS.get(status >> 16)
    if known is None:
        return DriverError(
            Reason.PROTOCOL,
            f"{what} failed with status 0x{status:08X}.",
            "Look the status up in the server's log at this time.",
        )
    reason, happened, advice = known
    return DriverError(reason, f"{what} failed: {happened} (0x{status:08X}).", advice.format(ours=ours or "unknown"))


def unreachable(url: str, error: BaseException) -> DriverError:
    """Return the error for a socket that could not be opened or broke."""
    if isinstance(error, socket.gaierror):
        return DriverError(
            Reason.UNREACHABLE,
            f"The host name of {url} is not known to the name service of this node.",
            "Check how it is written, or give the IP address.",
        )
    if isinstance(error, TimeoutError):
        return DriverError(
            Reason.TIMEOUT,
            f"{url} did not answer in time.",
            "Check address, port and firewall; raise `timeout` when the line is slow.",
        )
    if isinstance(error, ConnectionRefusedError):
        return DriverError(
            Reason.REFUSED,
            f"Nothing listens at {url}.",
            "Check the port (4840 is usual) and that the OPC UA server has been started.",
        )
    if isinstance(error, ConnectionError):
        return DriverError(
            Reason.UNREACHABLE,
            f"The connection to {url} broke.",
            "It is tried again; look at the server's log and the network when it happens often.",
        )
    return DriverError(
        Reason.UNREACHABLE,
        f"{url} cannot be reached ({type(error).__name__}).",
        "Check host name, network and firewall.",
    )
