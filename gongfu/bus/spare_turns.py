"""When writers are asked to hold new blocks, so that a spare stream comes to be empty (pure)."""

# Blocks are moved for so long while writers go on; then new blocks are held so long at most, longer each time, in s.
TURN_S = 0.5
_HOLDS_S = (1.0, 1.5, 2.0)


def is_time_to_hold(left: int, left_before: int, moved: int) -> bool:
    """Return whether new blocks must be held now.

    So it is when the rest can be moved in that time, and when writers are about as fast as the move: then it would not
    end by itself.

    Args:
        left: blocks in the spare.
        left_before: blocks in the spare before the last turn.
        moved: blocks that were moved in it.
    """
    return left <= moved or left > left_before * 3 // 4


def hold_time(holds: int) -> float:
    """Return how long new blocks are held at most, in seconds, after so many holds that did not suffice."""
    return _HOLDS_S[min(holds, len(_HOLDS_S) - 1)]
