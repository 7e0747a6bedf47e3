"""What a pump and its valve should do: curves of the manufacturer, moved to the actual speed by the affinity laws."""

from dataclasses import asdict, dataclass
from typing import Any

# Below this share of the rated flow curves and efficiencies say little.
LEAST_FLOW = 0.2


@dataclass(frozen=True, slots=True)
class Nameplate:
    """Curves at rated speed over the flow Q in m3/h; the defaults are those of the shipped example.

    Attributes:
        speed: rated speed, 1/min.
        flow: rated flow (best efficiency point), m3/h.
        head: ``h0, h2``: head in m is h0 - h2 Q^2.
        efficiency: greatest efficiency, 0 to 1, at ``flow``; it falls as the parabola through 0.
        npsh: ``n0, n2``: NPSH required in m is n0 + n2 Q^2.
        kvs: Kv of the fully open valve, m3/h.
        rangeability: of the valve's equal-percentage characteristic (IEC 60534-1): Kv = kvs R^(x - 1).
    """

    speed: float = 2950.0
    flow: float = 100.0
    head: tuple[float, float] = (62.0, 1.2e-3)
    efficiency: float = 0.78
    npsh: tuple[float, float] = (1.6, 1.4e-4)
    kvs: float = 100.0
    rangeability: float = 50.0

    def expected_head(self, flow: float, speed: float) -> float:
        """Return m at a flow (m3/h) and speed (1/min)."""
        ratio = speed / self.speed
        return self.head[0] * ratio * ratio - self.head[1] * flow * flow

    def expected_efficiency(self, flow: float, speed: float) -> float:
        """Return the efficiency at a flow and speed; 0 outside of 0 to twice the rated flow."""
        at = flow * self.speed / speed / self.flow
        return max(self.efficiency * at * (2.0 - at), 0.0)

    def required_npsh(self, flow: float, speed: float) -> float:
        """Return m at a flow and speed; by the square of the speed, as its flow term."""
        ratio = speed / self.speed
        return self.npsh[0] * ratio * ratio + self.npsh[1] * flow * flow

    def expected_kv(self, position: float) -> float:
        """Return m3/h at a position in %."""
        return self.kvs * self.rangeability ** (position / 100.0 - 1.0)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    @staticmethod
    def of(plain: dict[str, Any]) -> "Nameplate":
        """Return the nameplate of a JSON object; members that are not there are those of the example.

        Raises:
            ValueError: a member is unknown, no number, or outside of what a pump can have.
        """
        known = Nameplate().plain()
        for name, value in plain.items():
            if name not in known:
                raise ValueError(f"{name} is no member of a nameplate; they are {', '.join(known)}")
            pair = name in ("head", "npsh")
            numbers: list[Any] = list(value) if isinstance(value, list | tuple) else [value]
            if len(numbers) != (2 if pair else 1):
                raise ValueError(f"{name} is {'two numbers' if pair else 'a number'}")
            if not all(isinstance(n, int | float) and not isinstance(n, bool) and 0 <= n < 1e9 for n in numbers):
                raise ValueError(f"{name} is not negative, and a number")
            least = 1 if name == "rangeability" else 0
            if numbers[0] <= least or (name == "efficiency" and numbers[0] > 1):
                raise ValueError(f"{name} is above {least}, and an efficiency at most 1")
            known[name] = tuple(map(float, numbers)) if pair else float(numbers[0])
        return Nameplate(**known)
