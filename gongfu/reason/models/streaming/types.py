"""What the role ``models`` tells of bindings when it is asked (``svc.models.*``). Pure."""

import msgspec


class ScopeState(msgspec.Struct, frozen=True, kw_only=True):
    """A binding as it runs.

    Attributes:
        status: ``running``, ``failing`` (the last rows of some asset were not computed), ``waiting`` or ``refused``.
        error: why it fails, waits or is refused; of one asset, where it is so of some.
        version: version that runs.
        evaluated: rows computed since the role started.
        failed: rows that were not, because the model failed.
        incomplete: times for which some input had no sample.
        late: points that came after the row of their time.
        shed: rows that were not made because there would have been too many at once (docs/models.md).
        not_numbers: rows with an output that is no number; it is stored with a bad quality.
        last_at: source time of the last row, UTC ns.
        assets: number of assets by ``running``, ``waiting``, ``refused`` and ``failing`` (of those that run).
        cpu_s: CPU seconds of the model's process; of all bindings that run in it.
        behind: blocks that wait for it.
    """

    status: str = "waiting"
    error: str = ""
    version: str = ""
    evaluated: int = 0
    failed: int = 0
    incomplete: int = 0
    late: int = 0
    shed: int = 0
    not_numbers: int = 0
    last_at: int | None = None
    assets: dict[str, int] = {}
    cpu_s: float = 0.0
    behind: int = 0


class StreamState(msgspec.Struct, frozen=True):
    """Answer of ``svc.models.state``; bindings by id as text."""

    bindings: dict[str, ScopeState] = {}


class AssetsAsk(msgspec.Struct, frozen=True, kw_only=True):
    """Request of ``svc.models.assets``: assets of a binding from a position on.

    Attributes:
        tenant: whose binding.
        binding: its id.
        state: only those in this state, empty for all.
        after: position to begin at.
        limit: at most so many, 1,000 at most.
    """

    tenant: int
    binding: int
    state: str = ""
    after: int = 0
    limit: int = 100


class AssetState(msgspec.Struct, frozen=True, kw_only=True):
    """An asset at a binding; members as in ``ScopeState``. ``note`` is what the model said of it."""

    asset_id: int
    asset_path: str
    status: str
    reason: str = ""
    evaluated: int = 0
    failed: int = 0
    incomplete: int = 0
    late: int = 0
    not_numbers: int = 0
    last_at: int | None = None
    note: str = ""


class AssetsAnswer(msgspec.Struct, frozen=True):
    """Answer of ``svc.models.assets``; ``next`` is the position of the next page, None at the end."""

    items: list[AssetState]
    next: int | None = None
