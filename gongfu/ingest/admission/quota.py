"""Quotas: how much a device or a tenant may send, and what happens beyond it."""

from dataclasses import dataclass
from enum import StrEnum


class Policy(StrEnum):
    """What happens to a message over quota where the protocol leaves a choice (docs/overload.md)."""

    DELAY = "delay"
    SHED = "shed"


@dataclass(frozen=True, slots=True)
class Quota:
    """Figures of one device or tenant; a rate of 0 is no limit.

    Attributes:
        points: points per second.
        messages: messages per second.
        bytes: bytes per second, as they come from the socket or as HTTP body.
        burst_s: seconds' worth of each that may come at once after a pause.
        policy: what happens beyond.
    """

    points: float = 0.0
    messages: float = 0.0
    bytes: float = 0.0
    burst_s: float = 5.0
    policy: Policy = Policy.DELAY

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self.points > 0 or self.messages > 0 or self.bytes > 0


@dataclass(frozen=True, slots=True)
class Override:
    """What the records say of one device or tenant; None leaves the node's setting as it is."""

    points: float | None = None
    messages: float | None = None
    bytes: float | None = None
    burst_s: float | None = None
    policy: Policy | None = None

    def on(self, default: Quota) -> Quota:
        """Return the quota that is in force."""
        return Quota(
            default.points if self.points is None else self.points,
            default.messages if self.messages is None else self.messages,
            default.bytes if self.bytes is None else self.bytes,
            default.burst_s if self.burst_s is None else self.burst_s,
            default.policy if self.policy is None else self.policy,
        )


NO_OVERRIDE = Override()


@dataclass(frozen=True, slots=True)
class Defaults:
    """The node's settings: the quota of a device and of a tenant of which the records say nothing.

    Attributes:
        device: of each device.
        tenant: of each tenant.
        max_delay_s: seconds over quota without a pause after which QoS 0 messages are shed instead of delayed.
    """

    device: Quota = Quota()
    tenant: Quota = Quota()
    max_delay_s: float = 5.0
