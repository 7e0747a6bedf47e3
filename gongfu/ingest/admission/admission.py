"""Accounts of the devices that are connected, and the quotas that are in force."""

from collections.abc import Callable, Iterable
from typing import Any

from gongfu.ingest.admission.account import Account, Group
from gongfu.ingest.admission.limiter import Limiter
from gongfu.ingest.admission.quota import NO_OVERRIDE, Defaults, Override, Quota
from gongfu.ingest.types import Writer

# Key of an override: (tenant, device), device 0 for the tenant itself.
QuotaKey = tuple[int, int]


_LEAST_WINDOW = 16


# Of all devices without a limit.
UNLIMITED = Limiter(Quota(), 0.0)


class Admission:
    """Opens and keeps accounts. Pure but for the clock that is passed in; use from one thread.

    Args:
        defaults: the node's settings.
        now: monotonic seconds.
    """

    def __init__(self, defaults: Defaults, now: Callable[[], float]) -> None:
        self.defaults = defaults
        self._now = now
        self._overrides: dict[QuotaKey, Override] = {}
        self._accounts: dict[int, Account] = {}
        # Accounts without a connection whose quota is used up: coming back does not fill it.
        self._left: dict[int, Account] = {}
        self._groups: dict[int, Group] = {}

    @property
    def devices(self) -> int:
        """Number of devices with a connection or request here, at least 1."""
        return max(1, len(self._accounts))

    def now(self) -> float:
        """Return the monotonic time that all figures here go by, seconds."""
        return self._now()

    def join(self, writer: Writer) -> Account:
        """Return the account of a device for one more connection."""
        account = self._accounts.get(writer.device)
        if account is None:
            account = self._left.pop(writer.device, None)
            if account is None:
                account = self._open(writer)
            self._accounts[writer.device] = account
        account.users += 1
        return account

    def receive_maximum(self, writer: Writer, most: int) -> int:
        """Return how many messages a device may have unacknowledged: what its quota lets through at once.

        Few enough for the quota to be felt at the sender, and never fewer than ``_LEAST_WINDOW``.
        """
        for key, default in (
            ((writer.tenant, writer.device), self.defaults.device),
            ((writer.tenant, 0), self.defaults.tenant),
        ):
            quota = self._overrides.get(key, NO_OVERRIDE).on(default)
            if quota.messages > 0:
                most = min(most, max(_LEAST_WINDOW, int(quota.messages * quota.burst_s)))
        return most

    def leave(self, account: Account) -> None:
        """A connection of the account is gone."""
        account.users -= 1
        if account.users:
            return
        device = account.writer.device
        del self._accounts[device]
        if account.counts and not account.limiter.full(self._now()):
            self._left[device] = account
        else:
            self._close(account)

    def sweep(self) -> None:
        """Forget accounts whose quota is full again; call now and then."""
        now = self._now()
        for device, account in list(self._left.items()):
            if account.limiter.full(now):
                del self._left[device]
                self._close(account)

    def find(self, devices: Iterable[int] | None = None) -> list[Account]:
        """Return the accounts of some devices that are connected, or of all."""
        if devices is None:
            return list(self._accounts.values())
        return [self._accounts[device] for device in devices if device in self._accounts]

    # --- quotas --------------------------------------------------------------------------------------------------

    def change(self, key: QuotaKey, override: Override | None) -> None:
        """Take one override; None is the default again."""
        if override is None:
            self._overrides.pop(key, None)
        else:
            self._overrides[key] = override
        tenant, device = key
        if device:
            account = self._accounts.get(device) or self._left.get(device)
            if account is not None:
                self._renew_device(account)
        elif tenant in self._groups:
            self._renew_tenant(tenant)

    def _renew_tenant(self, tenant: int) -> None:
        group = self._groups[tenant]
        group.limiter.change(self._overrides.get((tenant, 0), NO_OVERRIDE).on(self.defaults.tenant), self._now())
        for account in (*self._accounts.values(), *self._left.values()):
            if account.group is group:
                account.counts = account.limiter.limited or group.limiter.limited

    def _renew_device(self, account: Account) -> None:
        writer = account.writer
        override = self._overrides.get((writer.tenant, writer.device), NO_OVERRIDE)
        quota = override.on(self.defaults.device)
        if account.limiter is UNLIMITED:
            account.limiter = _limiter(quota, self._now())
        else:
            account.limiter.change(quota, self._now())
        account.counts = account.limiter.limited or account.group.limiter.limited

    def _open(self, writer: Writer) -> Account:
        now = self._now()
        group = self._groups.get(writer.tenant)
        if group is None:
            quota = self._overrides.get((writer.tenant, 0), NO_OVERRIDE).on(self.defaults.tenant)
            group = self._groups[writer.tenant] = Group(writer.tenant, Limiter(quota, now))
        group.accounts += 1
        override = self._overrides.get((writer.tenant, writer.device), NO_OVERRIDE)
        return Account(writer, _limiter(override.on(self.defaults.device), now), group)

    def _close(self, account: Account) -> None:
        # The group stays: its bucket is the tenant's, and there are few tenants.
        account.group.accounts -= 1

    # --- figures -------------------------------------------------------------------------------------------------

    def describe(self, account: Account) -> dict[str, Any]:
        """Return what an account does now, as JSON: rates per second, waiting connections, quotas in force."""
        now = self._now()
        points, messages, size = account.rates(now)
        return {
            "device": account.writer.device,
            "points_per_second": round(points, 3),
            "messages_per_second": round(messages, 3),
            "bytes_per_second": round(size, 3),
            "connections": account.users,
            "connections_delayed": account.waiting,
            "delayed_ms": dict(account.delayed_ms),
        }


def _limiter(quota: Quota, now: float) -> Limiter:
    return Limiter(quota, now) if quota.limited else UNLIMITED
