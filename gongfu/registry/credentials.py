"""Credentials: which device a secret or a certificate stands for, and what it may do."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import Engine

from gongfu.registry import device_records
from gongfu.registry.device_secrets import matches
from gongfu.store.records.engine import reading


@dataclass(frozen=True, slots=True)
class DeviceGrant:
    """An authenticated device and what it may do.

    Attributes:
        tenant: tenant id.
        device: device id.
        name: device name, unique on the node.
        asset: id of its own asset; it may write there and below.
        asset_path: path of its own asset.
        publish_filters: MQTT topic filters it may publish to, beside the telemetry topics.
        subscribe_filters: MQTT topic filters it may subscribe to, beside ``v1/devices/me/#``.
        enabled: it may sign in.
    """

    tenant: int
    device: int
    name: str
    asset: int
    asset_path: str
    publish_filters: tuple[str, ...]
    subscribe_filters: tuple[str, ...]
    enabled: bool = True


class Credentials:
    """Checks credentials against the records; every method blocks, at most one indexed query."""

    def __init__(self, engine: Engine, device_key: bytes) -> None:
        self._engine = engine
        self._key = device_key

    def check(self, name: str, secret: str) -> DeviceGrant | None:
        """Return the enabled device of a name when the secret is its own."""
        (grant,) = self.check_all([(name, secret)])
        return grant if grant is not None and grant.enabled else None

    def check_all(self, asked: Sequence[tuple[str, str]]) -> list[DeviceGrant | None]:
        """Return the device, enabled or not, for each (name, secret); None where the secret is not its own."""
        # No device has this character in its name, and PostgreSQL would not take it in a query.
        names = {name for name, _ in asked if "\0" not in name}
        with reading(self._engine) as connection:
            rows = device_records.for_sign_ins(connection, names)
        return [self._checked(rows.get(name), secret) for name, secret in asked]

    def _checked(self, row: Any | None, secret: str) -> DeviceGrant | None:
        # An unknown name takes the same time as a wrong secret.
        right = matches(self._key, "0" * 64 if row is None else row.secret_hash, secret)
        return _grant(row) if row is not None and right else None

    def check_certificate(self, certificate: bytes) -> DeviceGrant | None:
        """Return the enabled device that a TLS client certificate (DER) belongs to.

        The caller must have verified the chain; here only the fingerprint (SHA-256) is compared.
        """
        return self.check_fingerprint(sha256(certificate).hexdigest())

    def check_fingerprint(self, fingerprint: str) -> DeviceGrant | None:
        """Return the enabled device with a certificate fingerprint: SHA-256 of the DER form, 64 hex digits."""
        with reading(self._engine) as connection:
            row = device_records.for_certificate(connection, fingerprint.lower())
        return _grant(row) if row is not None and row.enabled else None


def _grant(row: Any) -> DeviceGrant:
    return DeviceGrant(
        tenant=row.tenant_id,
        device=row.id,
        name=row.name,
        asset=row.asset_id,
        asset_path=row.asset_path,
        publish_filters=tuple(row.publish_filters),
        subscribe_filters=tuple(row.subscribe_filters),
        enabled=row.enabled,
    )
