"""What an app declares, as its status shows it."""

from collections.abc import Mapping, Sequence

from gongfu.appkit.context.messages import Began
from gongfu.appkit.host.status import FunctionStatus


def functions_of(began: Began, next_at: Sequence[int], trouble: Mapping[str, str]) -> tuple[FunctionStatus, ...]:
    """Return the functions of an app.

    Args:
        began: what it declares.
        next_at: next time of each job, UTC ns.
        trouble: by kind of report, why it does not go up.
    """
    return (
        *(FunctionStatus(p.name, "points", f"{', '.join(p.points)} of {p.asset}") for p in began.points),
        *(
            FunctionStatus(job.name, "job", job.cron or f"every {job.every / 1e9:g} s", at)
            for job, at in zip(began.jobs, next_at, strict=False)
        ),
        *(FunctionStatus(f"{route.method} {route.path}", "route", route.role) for route in began.routes),
        *(FunctionStatus(order.kind, "order", f"seen by {order.effect}") for order in began.orders),
        *(FunctionStatus(probe.name, "probe", "") for probe in began.probes),
        *(FunctionStatus(one.kind, "report", trouble.get(one.kind, "")) for one in began.reports),
    )
