from gongfu.node.log_watch import REFUSED_S, REPEAT_S, ROOM_BYTES, LogWatch


def test_restart_after_a_refusal_without_a_break_when_there_is_room() -> None:
    watch = LogWatch()
    watch.heard("door-1", False, 0.0)
    assert not watch.should_restart(ROOM_BYTES, REFUSED_S - 0.1)
    watch.heard("door-1", False, REFUSED_S - 0.1)
    assert not watch.should_restart(ROOM_BYTES - 1, REFUSED_S)
    assert watch.should_restart(ROOM_BYTES, REFUSED_S)


def test_a_log_that_took_a_block_in_between_is_left_alone() -> None:
    watch = LogWatch()
    watch.heard("door-1", False, 0.0)
    watch.heard("door-1", True, 5.0)
    watch.heard("door-1", False, 6.0)
    assert not watch.should_restart(ROOM_BYTES, REFUSED_S + 1.0)
    assert watch.should_restart(ROOM_BYTES, REFUSED_S + 6.0)


def test_a_restart_that_did_not_help_is_repeated_slowly() -> None:
    watch = LogWatch()
    watch.heard("door-1", False, 0.0)
    assert watch.should_restart(ROOM_BYTES, REFUSED_S)
    watch.heard("door-1", False, REFUSED_S)
    assert not watch.should_restart(ROOM_BYTES, 3 * REFUSED_S)
    assert watch.should_restart(ROOM_BYTES, REFUSED_S + REPEAT_S)
