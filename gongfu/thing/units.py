"""Units of other vocabularies as UCUM codes."""

from collections.abc import Mapping

from gongfu.thing.report import Report


def ucum(text: str, names: Mapping[str, str], where: str, report: Report) -> str:
    """Return the UCUM code for a unit, empty and reported when it is none.

    Args:
        text: UCUM code, name, or IRI whose last part is one of ``names``.
        names: UCUM code by name in lower case.
        where: where the unit stands.
        report: hears of a unit that is left out.
    """
    # Imported here: a node that edits no models never needs the tables of units.
    from gongfu.kernel.units import UnitError, check_unit

    try:
        check_unit(text)
    except UnitError:
        last = text.replace("#", "/").replace(":", "/").rpartition("/")[2]
        code = names.get(last.lower(), "")
        if not code:
            report.leave_out(where, f"{text[:100]!r} is not a UCUM unit")
        return code
    return text
