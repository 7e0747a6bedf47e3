"""Deficit round robin on two levels: by tenant, and by device inside a tenant (Shreedhar and Varghese, 1996).

The cost of an item is known only after it has been served, so a queue is served while its credit is above zero and may
end in debt, which the credit of its next turns pays. Of two queues that are never empty neither is served more than a
quantum and one item more than the other.
"""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class _Ring(Generic[T]):
    """Queues in the order of their turns. The first has got its quantum; an empty one leaves when it is its turn."""

    __slots__ = ("_credits", "_order", "_quantum", "_queues", "items")

    def __init__(self, quantum: float) -> None:
        self._quantum = quantum
        self._queues: dict[int, T] = {}
        self._credits: dict[int, float] = {}
        self._order: deque[int] = deque()
        self.items = 0

    def __len__(self) -> int:
        return self.items

    def get(self, key: int) -> T | None:
        return self._queues.get(key)

    def add(self, key: int, queue: T) -> None:
        self._queues[key] = queue
        # Who left in debt comes back in debt.
        self._credits.setdefault(key, 0.0)
        self._order.append(key)
        if len(self._order) == 1:
            self._credits[key] += self._quantum

    def turn(self) -> tuple[int, T]:
        """Return whose turn it is. There must be an item in one of the queues, and all queues must tell their size."""
        order, credits, passed = self._order, self._credits, 0
        while True:
            key = order[0]
            queue = self._queues[key]
            if not queue:
                self._remove(key)
            elif credits[key] > 0:
                return key, queue
            else:
                order.rotate(-1)
                credits[order[0]] += self._quantum
                passed += 1
                if passed > len(order):
                    self._skip_rounds()
                    passed = 0

    def charge(self, key: int, cost: float) -> None:
        self._credits[key] = self._credits.get(key, 0.0) - cost

    def forget(self) -> None:
        """With nobody waiting nobody is owed anything."""
        self._queues.clear()
        self._credits.clear()
        self._order.clear()

    def _remove(self, key: int) -> None:
        self._order.popleft()
        del self._queues[key]
        if self._credits[key] >= 0:
            del self._credits[key]
        self._credits[self._order[0]] += self._quantum

    def _skip_rounds(self) -> None:
        """When all are deep in debt: as many rounds at once as nobody gets out of it."""
        rounds = -max(self._credits[key] for key in self._order) // self._quantum
        if rounds > 0:
            for key in self._order:
                self._credits[key] += rounds * self._quantum


class FairQueue(Generic[T]):
    """Items that wait, by tenant and device. An item is there at most once; items of one device keep their order.

    Args:
        quantum: cost served in one turn of a device, and of a tenant.
    """

    def __init__(self, quantum: float) -> None:
        self._quantum = quantum
        self._tenants: _Ring[_Ring[deque[T]]] = _Ring(quantum)

    def __len__(self) -> int:
        return self._tenants.items

    def add(self, tenant: int, device: int, item: T) -> None:
        """Append an item."""
        devices = self._tenants.get(tenant)
        if devices is None:
            devices = _Ring(self._quantum)
            self._tenants.add(tenant, devices)
        queue = devices.get(device)
        if queue is None:
            queue = deque[T]()
            devices.add(device, queue)
        queue.append(item)
        devices.items += 1
        self._tenants.items += 1

    def take(self) -> T | None:
        """Remove and return the item whose turn it is; ``charge`` its cost before the next ``take``."""
        if not self._tenants.items:
            self._tenants.forget()
            return None
        _, devices = self._tenants.turn()
        _, queue = devices.turn()
        devices.items -= 1
        self._tenants.items -= 1
        return queue.popleft()

    def charge(self, tenant: int, device: int, cost: float) -> None:
        """Account for what an item has cost."""
        self._tenants.charge(tenant, cost)
        devices = self._tenants.get(tenant)
        if devices is not None:
            devices.charge(device, cost)

    def remove(self, tenant: int, device: int, item: T) -> bool:
        """Take an item out without serving it; return whether it was there."""
        devices = self._tenants.get(tenant)
        queue = None if devices is None else devices.get(device)
        if devices is None or queue is None or item not in queue:
            return False
        queue.remove(item)
        devices.items -= 1
        self._tenants.items -= 1
        return True
