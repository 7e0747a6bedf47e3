"""The end of a process whose lease is over: it comes, whatever hangs."""

import subprocess
import sys

from gongfu.node.leased_role import LOST_STATUS

# As when the supervisor does not read any more: whoever logs waits for ever, and has the lock of the log.
_HANGS_IN_THE_LOG = """
import logging, threading, time
from gongfu.bus.leases import Standing
from gongfu.node import leased_role, role_lease

logging.basicConfig(level=logging.INFO)
begun = time.monotonic()
watchdog = role_lease.Watchdog(
    lambda: Standing.OVER if time.monotonic() > begun + 1.0 else Standing.SURE,
    lambda: True,
    lambda: leased_role._end_process("notify"),
)
watchdog.start()
while True:
    logging.info("x" * 1000)
"""


def test_a_process_that_hangs_in_its_log_ends_with_its_lease() -> None:
    process = subprocess.Popen([sys.executable, "-c", _HANGS_IN_THE_LOG], stderr=subprocess.PIPE)
    try:
        assert process.wait(60.0) == LOST_STATUS
    finally:
        process.kill()
        process.communicate()
