"""HTTP of roll-outs: forwarded to the tree role."""

import msgspec

from gongfu.bus.commands import Ask
from gongfu.kernel.permissions import Action
from gongfu.rest.paging import Page, cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Route
from gongfu.tree.rollouts.documents import (
    NewRollout,
    RolloutApproval,
    RolloutList,
    RolloutPause,
    RolloutRequest,
    RolloutsRequest,
    RolloutStop,
    RolloutView,
)


class RolloutDigest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Digest of all that is approved."""

    digest: str


class RolloutReason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words for those who read the audit."""

    reason: str = ""


class StopRollout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why it is stopped, and whether all waves are taken back."""

    reason: str = ""
    take_back: bool = True


class RolloutPage(msgspec.Struct, frozen=True):
    """A page of roll-outs, newest first."""

    items: list[RolloutView]
    next: str | None


def routes(ask: Ask) -> list[Route]:
    """Return the operations."""

    async def page(call: Call) -> Page:
        request = RolloutsRequest(limit_of(call), cursor_of(call, int))
        found = await ask(call.subject, "rollout-list", request, RolloutList)
        return Page(found.items, None if found.next is None else encode_cursor(found.next))

    async def show(call: Call) -> RolloutView:
        return await ask(call.subject, "rollout-show", RolloutRequest(call.path["id"]), RolloutView)

    async def create(call: Call) -> RolloutView:
        return await ask(call.subject, "rollout-create", call.body, RolloutView)

    async def approve(call: Call) -> RolloutView:
        request = RolloutApproval(call.path["id"], call.body.digest)
        return await ask(call.subject, "rollout-approve", request, RolloutView)

    async def pause(call: Call) -> RolloutView:
        request = RolloutPause(call.path["id"], call.body.reason)
        return await ask(call.subject, "rollout-pause", request, RolloutView)

    async def resume(call: Call) -> RolloutView:
        return await ask(call.subject, "rollout-resume", RolloutRequest(call.path["id"]), RolloutView)

    async def stop(call: Call) -> RolloutView:
        request = RolloutStop(call.path["id"], call.body.reason, call.body.take_back)
        return await ask(call.subject, "rollout-stop", request, RolloutView)

    write, one = Action.ORDER_WRITE, "/rollouts/{id}"
    return [
        Route("GET", "/rollouts", Action.READ, page, "List roll-outs (?limit, ?cursor)", None, RolloutPage),
        Route("POST", "/rollouts", write, create, "Draft an order in waves", NewRollout, RolloutView, 201),
        Route("GET", one, Action.READ, show, "Show a roll-out and its waves", None, RolloutView),
        Route("POST", f"{one}:approve", Action.ORDER_APPROVE, approve, "Approve all waves", RolloutDigest, RolloutView),
        Route("POST", f"{one}:pause", write, pause, "Issue no further wave", RolloutReason, RolloutView),
        Route("POST", f"{one}:resume", write, resume, "Start, or go on", None, RolloutView),
        Route("POST", f"{one}:stop", write, stop, "End it", StopRollout, RolloutView),
    ]
