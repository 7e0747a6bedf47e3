"""Links of GS1 identifiers: commands."""

from typing import Any

import msgspec

from gongfu.bus.commands import Command
from gongfu.identify.digital_link.errors import GS1Error
from gongfu.identify.digital_link.registration import DigitalLinks
from gongfu.identify.management.write_problems import batch_problem, outcome_problem
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import BatchError
from gongfu.kernel.errors import Problem, conflict
from gongfu.kernel.permissions import Subject


class DescribeWish(msgspec.Struct, frozen=True):
    """What was typed or scanned."""

    text: str


class PutWish(msgspec.Struct, frozen=True):
    """Links, as ``digital_link.links`` has them."""

    text: str
    links: list[dict[str, Any]] = []
    description: str = ""


def commands(identifiers: Identifiers, prefix: str) -> list[Command]:
    """Return the commands; ``prefix`` is that of the handles of GS1 identifiers, "" where there are none."""
    links = DigitalLinks(identifiers, prefix)

    async def describe(_: Subject, wish: DescribeWish) -> Any:
        try:
            return links.describe(wish.text)
        except GS1Error as error:
            raise _problem(error) from None

    async def put(_: Subject, wish: PutWish) -> Any:
        if not prefix:
            raise conflict("this service has no prefix for GS1 identifiers ([identifier] gs1_prefix)")
        try:
            outcome = await links.put(wish.text, wish.links, wish.description)
        except GS1Error as error:
            raise _problem(error) from None
        except BatchError as error:
            raise batch_problem(error) from None
        problem = outcome_problem(wish.text, outcome)
        if problem is not None:
            raise problem
        return links.describe(wish.text)

    return [Command("gs1-describe", DescribeWish, describe), Command("gs1-put", PutWish, put)]


def _problem(error: GS1Error) -> Problem:
    return Problem(400, error.reason.value, "Nothing of GS1", str(error))
