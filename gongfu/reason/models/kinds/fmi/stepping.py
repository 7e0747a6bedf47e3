"""How an instance gets from one time to the next: co-simulation's steps, or integration of model exchange."""

import math
from collections.abc import Callable, Sequence
from ctypes import addressof, c_bool, c_double, c_int, c_void_p
from typing import Any, Protocol

from gongfu.reason.models.kinds.fmi.library import WORST_STATUS, Library
from gongfu.reason.models.kinds.types import KindError
from gongfu.reason.models.sandbox.types import FailureReason

_MOST_STEPS = 1_000_000
_MOST_EVENTS = 100_000
_DEFAULT_STEP_S = 1.0
_TOLERANCE = 1e-6


class Stepper(Protocol):
    """Moves one instance through time. ``time`` is its own, in seconds; ``first`` the time of an asset's first row."""

    time: float
    first: float

    def advance(self, until: float, addresses: Sequence[int]) -> None:
        """Set the inputs that stand at these addresses, and go to a later time with them.

        Raises:
            KindError: the FMU failed, or wants to end.
        """
        ...

    def extra(self) -> float:
        """Return what else its state is made of: the time of the next event, infinity when there is none."""
        ...

    def resume(self, time: float, extra: float) -> None:
        """Go on at a time, after the FMU's state was set."""
        ...


def stepper(library: Library, fmu: Any) -> Stepper:
    """Return what moves an initialised instance."""
    return Exchange(library, fmu) if library.unit.exchange else CoSimulation(library, fmu)


def _step_2(library: Library, component: int) -> Callable[[float, float], None]:
    step = library.function("DoStep")
    step.argtypes = [c_void_p, c_double, c_double, c_int]

    def do(now: float, length: float) -> None:
        status = step(component, now, length, 1)
        if status > WORST_STATUS:
            library.check(status, f"step to {now + length:g} s")

    return do


def _step_3(library: Library, component: int) -> Callable[[float, float], None]:
    step = library.function("DoStep")
    step.argtypes = [c_void_p, c_double, c_double, c_bool, c_void_p, c_void_p, c_void_p, c_void_p]
    told, last = (c_bool * 3)(), c_double()
    event, end, early, reached = addressof(told), addressof(told) + 1, addressof(told) + 2, addressof(last)

    def do(now: float, length: float) -> None:
        status = step(component, now, length, True, event, end, early, reached)
        if status > WORST_STATUS:
            library.check(status, f"step to {now + length:g} s")
        if told[1]:
            raise library.failure(f"the FMU asked to end the simulation at {last.value:g} s")

    return do


class CoSimulation:
    """Steps to each row's time; where the FMU needs steps of one length, as many of them as fit."""

    def __init__(self, library: Library, fmu: Any) -> None:
        unit = library.unit
        self.time = 0.0
        self.first = unit.step_s or _DEFAULT_STEP_S
        self._fixed = None if unit.variable_step else unit.step_s
        self._library = library
        self._set = library.set
        self._component = fmu.component
        self._step = _step_2(library, fmu.component) if unit.version == 2 else _step_3(library, fmu.component)

    def advance(self, until: float, addresses: Sequence[int]) -> None:
        """See Stepper."""
        if addresses:
            self._set(self._component, addresses)
        now = self.time
        if self._fixed is None:
            if until > now:
                self._step(now, until - now)
                self.time = until
            return
        steps = math.floor((until - now) / self._fixed + _TOLERANCE)
        if steps > _MOST_STEPS:
            raise KindError(FailureReason.RAISED, f"a gap of {until - now:g} s is {steps} steps: too many")
        for _ in range(steps):
            self._step(self.time, self._fixed)
            self.time += self._fixed

    def extra(self) -> float:
        """See Stepper."""
        return math.inf

    def resume(self, time: float, extra: float) -> None:
        """See Stepper."""
        del extra
        self.time = time


class _Held:
    """FMPy's solver applies inputs by itself; here they are held from row to row."""

    def apply(self, time: float, **_: bool) -> None:
        del time


class Exchange:
    """Integrates with CVode (FMPy's). The solver begins anew at each row, so that its inner history, which no FMU state
    holds, cannot make results depend on how rows come."""

    def __init__(self, library: Library, fmu: Any) -> None:
        self.time = 0.0
        self.first = 0.0
        self._library = library
        self._fmu = fmu
        self._next_event = math.inf
        self._error: Exception | None = None
        self._solver: Any = None
        self._update()

    def advance(self, until: float, addresses: Sequence[int]) -> None:
        """See Stepper."""
        fmu = self._fmu
        fmu.enterEventMode()
        if addresses:
            self._library.set(fmu.component, addresses)
        self._update()
        if until <= self.time:
            return
        if self._solver is None:
            self._solver = self._made()
        self._solver.reset(self.time)
        for _ in range(_MOST_EVENTS):
            target = min(until, self._next_event)
            event = target >= self._next_event
            if target > self.time:
                crossed, _, self.time = self._solver.step(self.time, target)
                if self._error is not None:
                    error, self._error = self._error, None
                    raise error
                fmu.setTime(self.time)
                event = crossed or self.time >= self._next_event
            if self._library.unit.interface.needsCompletedIntegratorStep:
                wanted, ending = fmu.completedIntegratorStep()
                if ending:
                    raise self._library.failure(f"the FMU asked to end the simulation at {self.time:g} s")
                event = event or wanted
            if event:
                fmu.enterEventMode()
                self._update()
                self._solver.reset(self.time)
            if self.time >= until:
                return
        raise KindError(FailureReason.RAISED, f"more than {_MOST_EVENTS} events before {until:g} s")

    def extra(self) -> float:
        """See Stepper."""
        return self._next_event

    def resume(self, time: float, extra: float) -> None:
        """See Stepper."""
        self.time, self._next_event = time, extra
        self._fmu.setTime(time)

    def _update(self) -> None:
        fmu = self._fmu
        update = fmu.newDiscreteStates if self._library.unit.version == 2 else fmu.updateDiscreteStates
        for _ in range(_MOST_EVENTS):
            again, ending, _, _, defined, when = update()
            if ending:
                raise self._library.failure(f"the FMU asked to end the simulation at {self.time:g} s")
            if not again:
                self._next_event = when if defined else math.inf
                fmu.enterContinuousTimeMode()
                return
        raise KindError(FailureReason.RAISED, "its discrete states do not settle")

    def _made(self) -> Any:
        from fmpy.sundials import CVodeSolver

        fmu, model = self._fmu, self._library.unit.model
        derivatives = fmu.getDerivatives if self._library.unit.version == 2 else fmu.getContinuousStateDerivatives

        def kept(call: Any) -> Any:
            # An exception cannot pass through the solver's C code: it is raised after the step.
            def guarded(*arguments: Any) -> None:
                try:
                    call(*arguments)
                except Exception as error:
                    self._error = self._error or error

            return guarded

        return CVodeSolver(
            nx=model.numberOfContinuousStates,
            nz=model.numberOfEventIndicators,
            get_x=kept(fmu.getContinuousStates),
            set_x=kept(fmu.setContinuousStates),
            get_dx=kept(derivatives),
            get_z=kept(fmu.getEventIndicators),
            get_nominals=kept(fmu.getNominalsOfContinuousStates),
            set_time=kept(fmu.setTime),
            input=_Held(),
            startTime=self.time,
            relativeTolerance=self._library.unit.tolerance or 1e-5,
            maxNumSteps=50_000,
        )
