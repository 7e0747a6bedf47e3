"""What goes into a model's process and what comes out. Pure."""

from enum import StrEnum
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from gongfu.confine.types import MIB

Column = NDArray[np.float64]
Integers = NDArray[np.int64]


# Stands for a state that the process keeps itself; see ModelProcess.evaluate.
HELD = b"held"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a model; they stand in its definition.

    Attributes:
        memory_bytes: memory beyond the interpreter's own.
        cpu_s: CPU time of one call.
        wall_s: wall time of one call.
        start_wall_s: wall time from start to description.
        output_bytes: longest answer; also what a request may have.
    """

    memory_bytes: int = 512 * MIB
    cpu_s: float = 10.0
    wall_s: float = 30.0
    start_wall_s: float = 20.0
    output_bytes: int = 64 * MIB


class FailureReason(StrEnum):
    """Why a model did not answer."""

    TIMEOUT = "timeout"
    CPU = "cpu"
    MEMORY = "memory"
    CRASHED = "crashed"
    """A signal ended it; the detail names it."""
    RAISED = "raised"
    """The model's own code raised, or its FMU or table refused."""
    SHAPE = "shape"
    """What it returned is not one float64 column of the right length for each output port, or no state."""
    STATE = "state"
    """No state is held for an asset that HELD is given for."""
    REFUSED = "refused"
    """The artifact is not a model that can run here, or the request does not fit it."""
    ENDED = "ended"
    """The process ended by itself, broke the channel, or is not to be started again yet."""


class ModelFailure(Exception):
    """A call of a model failed. The process may be gone; the next call starts it again.

    Attributes:
        reason: see there.
        detail: one or two lines for people; of a trace, only the model's own line.
    """

    def __init__(self, reason: FailureReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Rows(NamedTuple):
    """Rows of k assets, n in all; the rows of asset i are ``offsets[i]:offsets[i + 1]``, ascending in time.

    Attributes:
        assets: int64[k], ids.
        offsets: int64[k + 1].
        times: int64[n], source times, UTC nanoseconds.
        columns: float64[n] by input port.
        dt: float64[n], seconds since the row before of the same asset; NaN for its first row ever.
        states: k states as the last call gave them; None = the asset begins.
    """

    assets: Integers
    offsets: Integers
    times: Integers
    columns: dict[str, Column]
    dt: Column
    states: list[bytes | None]
    """Or HELD."""


class Outcome(NamedTuple):
    """What came of rows.

    Attributes:
        columns: float64[n] by output port.
        states: k states, to be given with the next rows of the asset; None where the model has no state.
        cpu_s: CPU time of the call in the model's process, as the kernel counts it.
        failures: what went wrong, by asset id, where other assets of the call did well: outputs of such an asset are
            NaN and its state is None, so that it begins anew. A call in which no asset does well raises instead.
        notes: what people should know, by asset id: a state that is too old to be kept, and the like.
    """

    columns: dict[str, Column]
    states: list[bytes | None]
    cpu_s: float
    failures: dict[int, str]
    notes: dict[int, str]


class PortFact(msgspec.Struct, frozen=True):
    """A port as the artifact declares it; ``unit`` is UCUM. ``point`` is empty when the artifact names none."""

    name: str
    unit: str
    description: str = ""
    point: str = ""


class ParameterFact(msgspec.Struct, frozen=True):
    """A parameter as the artifact declares it; ``minimum`` and ``maximum`` are None when it states no bound."""

    name: str
    unit: str
    default: float
    minimum: float | None = None
    maximum: float | None = None
    description: str = ""


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What an artifact says of itself, read in the confined process.

    Attributes:
        kind: ``python``, ``fmu``, ``onnx`` or ``table``.
        id: identifier that the artifact gives itself, empty when none.
        version: as ``id``.
        name: title, empty when none.
        description: prose, empty when none.
        inputs: input ports.
        outputs: output ports.
        parameters: what may be set once, at the start.
        has_state: outputs depend on earlier rows; states come and go with the rows.
        tolerance_s: as in ModelDefinition; None when the artifact does not say.
        facts: facts of the kind, in words: FMI version, co-simulation or model exchange, whether state can be
            serialised, ONNX opset.
        warnings: what people should look at: units that were not understood, variables that are not offered.
    """

    kind: str
    id: str = ""
    version: str = ""
    name: str = ""
    description: str = ""
    inputs: tuple[PortFact, ...] = ()
    outputs: tuple[PortFact, ...] = ()
    parameters: tuple[ParameterFact, ...] = ()
    has_state: bool = False
    tolerance_s: float | None = None
    facts: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    warnings: tuple[str, ...] = ()
