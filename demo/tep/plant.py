"""The simulated plant under closed-loop control, advanced sample by sample.

The simulator is ``tep-studio`` (BSD-3), imported only here and only when a plant is made: the model of Downs & Vogel
(1993) as revised by Bathelt, Ricker & Jelali (2015) under Ricker's decentralised control (1996).
"""

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from typing import Any

from demo.tep.variables import DISTURBANCES, VARIABLES, Source

# Control step in seconds of simulated time. The controller and the model are designed for 1.8 s or less.
CONTROL_STEP_S = 1.5
DEFAULT_SEED = 12345.0


@dataclass(frozen=True, slots=True)
class Sample:
    """State of the plant at one simulated moment.

    Attributes:
        hours: simulated time since the last start of the plant.
        values: by child asset, then point name.
        trip: why the plant has shut itself down, or empty.
    """

    hours: float
    values: dict[str, dict[str, float]]
    trip: str


def _simulator() -> tuple[Any, Any]:
    """Return a new process and the class of its controller.

    The package's own ``__init__`` modules import pandas, gymnasium and more for its other uses: 3 s and 70 MB that a
    device does not need. So the packages are entered without running them.
    """
    for name in ("tep_studio", "tep_studio.simulation", "tep_studio.control"):
        if name not in sys.modules:
            spec = importlib.util.find_spec(name)
            if spec is None:
                raise ModuleNotFoundError("tep-studio is not installed; it comes with the extra gongfu[demo]")
            sys.modules[name] = importlib.util.module_from_spec(spec)
    control = importlib.import_module("tep_studio.control.controller")
    # One module takes this name from the package.
    sys.modules["tep_studio.control"].__dict__.setdefault("ControllerSetpoints", control.ControllerSetpoints)
    process = importlib.import_module("tep_studio.simulation.core").TennesseeEastmanProcess
    return process(), control.RickerMultiLoopController


class Plant:
    """A plant in operation. Not thread-safe; ``step`` takes about 60 CPU-us a simulated second.

    Args:
        seed: of the measurement noise and the random disturbances; equal seeds give equal plants.
    """

    def __init__(self, seed: float = DEFAULT_SEED) -> None:
        self._process, self._new_controller = _simulator()
        self._seed = seed
        self._disturbances = [0.0] * DISTURBANCES
        self._controller: Any = None
        self._measured: Any = None
        self.restart()

    @property
    def disturbances(self) -> list[bool]:
        """Whether IDV(1) .. IDV(28) are active."""
        return [value > 0.0 for value in self._disturbances]

    def restart(self) -> None:
        """Start again at the base case, without disturbances."""
        self._disturbances = [0.0] * DISTURBANCES
        self._measured, _ = self._process.reset(seed=self._seed)
        self._controller = self._new_controller()
        self._controller.reset(self._measured, time=0.0)

    def set_disturbance(self, number: int, active: bool) -> None:
        """Switch IDV(``number``), 1 to 28.

        Raises:
            ValueError: there is no such disturbance.
        """
        if not 1 <= number <= DISTURBANCES:
            raise ValueError(f"disturbance number must be 1 to {DISTURBANCES}")
        self._disturbances[number - 1] = 1.0 if active else 0.0

    def step(self, seconds: float) -> Sample:
        """Advance by ``seconds`` of simulated time and return the state; stops early when the plant trips."""
        valves: Any = None
        trip = ""
        for _ in range(max(1, round(seconds / CONTROL_STEP_S))):
            action, _diagnostics = self._controller.compute_action(self._measured, time=self._process.time)
            try:
                result = self._process.advance(
                    action, control_interval=CONTROL_STEP_S / 3600.0, disturbances=self._disturbances
                )
            except RuntimeError as error:
                trip = f"simulation stopped: {error}"
                valves = action
                break
            self._measured, valves = result.measurements, result.implemented_action
            if result.shutdown_status["terminated"]:
                trip = str(result.shutdown_status["message"]).strip() or "shutdown"
                break
        values: dict[str, dict[str, float]] = {}
        for variable in VARIABLES:
            vector = self._measured if variable.source is Source.MEASUREMENT else valves
            values.setdefault(variable.asset, {})[variable.name] = round(float(vector[variable.number - 1]), 5)
        return Sample(float(self._process.time), values, trip)
