"""What is told about an app that is installed."""

from enum import StrEnum

import msgspec


class State(StrEnum):
    """State of the process of an app."""

    STARTING = "starting"
    RUNNING = "running"
    FAILING = "failing"
    STOPPED = "stopped"


class RefusedCall(msgspec.Struct, frozen=True):
    """What an app was refused, and how often."""

    text: str
    count: int


class FunctionStatus(msgspec.Struct, frozen=True):
    """A function of an app: ``points``, ``job`` or ``route``; what it is for; of a job the next time, UTC ns."""

    name: str
    kind: str
    about: str
    next_at: int | None = None


class AppStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An app as it runs now.

    Attributes:
        app: identifier.
        version: that runs.
        state: of its process.
        why: why it fails; empty when it does not.
        process: id, 0 for none.
        restarts: how often its process was started again since the role started.
        cpu_s: CPU time of its processes since then; ``cpu``: share of a core lately.
        memory_bytes: resident.
        windows, failed, given_up, late, shed: see ``lane.Lane.counts``.
        lag_blocks: blocks of the log it has not taken yet; -1 while nobody knows.
        refusals: calls that were refused, all; ``refused``: the texts.
        error: what its functions raised last.
        functions: what it declares.
        missing: what this machine cannot enforce of its confinement.
        start_s: how long its last start took, until it was ready.
    """

    app: str
    version: str
    state: State
    why: str = ""
    process: int = 0
    restarts: int = 0
    cpu_s: float = 0.0
    cpu: float = 0.0
    memory_bytes: int = 0
    windows: int = 0
    failed: int = 0
    given_up: int = 0
    late: int = 0
    shed: int = 0
    lag_blocks: int = -1
    refusals: int = 0
    refused: tuple[RefusedCall, ...] = ()
    error: str = ""
    functions: tuple[FunctionStatus, ...] = ()
    missing: tuple[str, ...] = ()
    start_s: float = 0.0
