"""Quotas over HTTP: a request over quota is answered 429 with Retry-After before its body is read (RFC 6585 §4)."""

import math

from gongfu.ingest.admission.account import DEVICE_QUOTA, FAIR_SHARE, TENANT_QUOTA, Account
from gongfu.ingest.admission.admission import Admission
from gongfu.ingest.types import Intake, Receipt, Writer
from gongfu.kernel.errors import Problem

_LONGEST_S = 3600


class HttpGate:
    """Who may send a body now.

    Args:
        admission: quotas and accounts of this process.
        intake: where refusals are counted.
        slots: bodies that are read at one time; when all are in use, a device may have its share of them only.
    """

    def __init__(self, admission: Admission, intake: Intake, slots: int) -> None:
        self.admission = admission
        self._intake = intake
        self._slots = slots

    def enter(self, writer: Writer, crowded: bool) -> Account:
        """Return the account of a device for one request; ``leave`` it at the end.

        Args:
            writer: the device.
            crowded: all slots are in use.

        Raises:
            Problem: 429, with the seconds to wait and the reason.
        """
        account = self.admission.join(writer)
        now = self.admission.now()
        if reason := account.over_quota(now):
            wait = account.wait(now)
        elif crowded and account.users > max(1, self._slots // self.admission.devices):
            reason, wait = FAIR_SHARE, 1.0
        else:
            return account
        self.admission.leave(account)
        self._intake.turned_away(writer, reason)
        seconds = min(_LONGEST_S, max(1, math.ceil(wait - 0.001)))
        raise Problem(
            429,
            "quota-exceeded" if reason != FAIR_SHARE else "too-many-requests",
            "More than may be sent now",
            f"{_WORDS[reason]}; send again in {seconds} s",
            {"reason": reason, "retry_after": seconds},
        )

    def leave(self, account: Account, receipt: Receipt | None, size: int) -> None:
        """The request is answered; charge what it brought (None: nothing was taken)."""
        if receipt is not None:
            points = receipt.accepted + sum(receipt.rejected.values()) + sum(receipt.shed.values())
            account.take(points, 1, size, self.admission.now())
        self.admission.leave(account)


_WORDS = {
    DEVICE_QUOTA: "the device has sent more than its quota",
    TENANT_QUOTA: "the devices of the tenant together have sent more than its quota",
    FAIR_SHARE: "the device has more requests open than its share",
}
