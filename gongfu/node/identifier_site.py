"""Where a node's identifier service is, as it tells clients (``HS_SITE``), and the key that it signs answers with."""

import ipaddress
import time
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gongfu.identify.administration.credential import ServerKey
from gongfu.identify.administration.handle_service import one_server_site
from gongfu.identify.handle.predefined import Site, encode_site
from gongfu.node.configuration import is_every_address
from gongfu.node.data_directory import write_private
from gongfu.node.runtime import IdentifierSettings

# RSA, which all clients of the Handle protocol know.
KEY_FILE = "identifier-server-key"
SERIAL_FILE = "site.json"
_RSA_BITS = 2048
_MOST_SERIAL = 0xFFFE


class _Numbered(msgspec.Struct, forbid_unknown_fields=True):
    """The site as it was told last; ``data`` as with serial number 0."""

    serial: int
    data: bytes


def server_key(path: Path) -> ServerKey:
    """Return the key that a file has; it is made when it is not there.

    Raises:
        OSError: it cannot be read or made, or has no RSA key.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        key = rsa.generate_private_key(65537, _RSA_BITS)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except (ValueError, TypeError) as error:
        raise OSError(f"{path}: {error}") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise OSError(f"{path}: no RSA key")
    return ServerKey(key, clock=time.monotonic)


def own_site(settings: IdentifierSettings, public_key: bytes, path: Path) -> Site | None:
    """Return where others find the service; None where the settings do not tell an address.

    Its serial number is one more than before whenever something has changed, so that clients with the former are told.

    Args:
        settings: where it listens.
        public_key: of the server.
        path: remembers what was told.

    Raises:
        OSError: it cannot be read or written.
    """
    host = settings.advertise or settings.host
    if host == "localhost":
        host = "127.0.0.1"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return None
    if is_every_address(host) or not settings.handle_port:
        return None
    site = one_server_site(
        0, host, handle_port=settings.handle_port, http_port=settings.http_port, public_key=public_key
    )
    return msgspec.structs.replace(site, serial=_serial(path, encode_site(site)))


def _serial(path: Path, data: bytes) -> int:
    before = _Numbered(0, b"")
    try:
        before = msgspec.json.decode(path.read_bytes(), type=_Numbered)
    except FileNotFoundError:
        pass
    except msgspec.MsgspecError as error:
        raise OSError(f"{path}: {error}") from None
    if before.data == data:
        return before.serial
    # 0xFFFF is a client that has none.
    serial = before.serial % _MOST_SERIAL + 1
    write_private(path, msgspec.json.encode(_Numbered(serial, data)))
    return serial
