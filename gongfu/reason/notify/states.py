"""The life of a notification, as one table. Every step is committed; what is not committed is done again, so a message
may come twice (with the same message id) but is never lost."""

from enum import StrEnum

from gongfu.kernel.times import SECOND


class Delivery(StrEnum):
    """State of a notification (its receipt)."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    CANCELLED = "cancelled"
    COLLAPSED = "collapsed"


class Step(StrEnum):
    """What changes it.

    ``taken`` by the channel; ``reached`` the recipient, where the channel tells; ``missed`` for now; ``refused`` for
    good; ``confirmed`` by the link in it; ``pointless`` because the alarm was acknowledged, closed or suppressed.
    """

    TAKEN = "taken"
    REACHED = "reached"
    MISSED = "missed"
    REFUSED = "refused"
    CONFIRMED = "confirmed"
    POINTLESS = "pointless"


MAX_ATTEMPTS = 10
_FIRST_WAIT_S = 5.0
_LONGEST_WAIT_S = 900.0

TABLE: dict[tuple[Delivery, Step], Delivery] = {
    (Delivery.QUEUED, Step.TAKEN): Delivery.SENT,
    (Delivery.QUEUED, Step.REACHED): Delivery.DELIVERED,
    (Delivery.QUEUED, Step.MISSED): Delivery.QUEUED,
    (Delivery.QUEUED, Step.REFUSED): Delivery.FAILED,
    (Delivery.QUEUED, Step.POINTLESS): Delivery.CANCELLED,
    # It was sent, and the node was killed before it could note that.
    (Delivery.QUEUED, Step.CONFIRMED): Delivery.ACKNOWLEDGED,
    (Delivery.SENT, Step.REACHED): Delivery.DELIVERED,
    (Delivery.SENT, Step.REFUSED): Delivery.FAILED,
    (Delivery.SENT, Step.CONFIRMED): Delivery.ACKNOWLEDGED,
    (Delivery.DELIVERED, Step.CONFIRMED): Delivery.ACKNOWLEDGED,
    (Delivery.FAILED, Step.CONFIRMED): Delivery.ACKNOWLEDGED,
}


def next_delivery(state: Delivery, step: Step, attempts: int) -> Delivery | None:
    """Return the state after a step, None when it is not possible.

    Args:
        state: before.
        step: what happens.
        attempts: to send it, with the present one; the last one that misses fails it.
    """
    if step is Step.MISSED and attempts >= MAX_ATTEMPTS:
        step = Step.REFUSED
    return TABLE.get((state, step))


def wait_ns(attempts: int, luck: float) -> int:
    """Return how long to wait after a miss: twice as long each time, to a quarter of an hour, less up to a half.

    Args:
        attempts: made so far, at least 1.
        luck: in [0, 1), so that many that missed together do not come back together.
    """
    longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(attempts - 1, 20))
    return round(longest * (1.0 - luck / 2.0) * SECOND)
