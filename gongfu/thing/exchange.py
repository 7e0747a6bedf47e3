"""Import and export of thing models: the formats by name, and what one side has and the other cannot hold."""

import msgspec

from gongfu.kernel.errors import Problem, invalid
from gongfu.thing.report import Omission, Report
from gongfu.thing.types import MAX_MODEL_BYTES, Model, check_model, check_units, decode_model, parse_reference, plain

MAX_FILE_BYTES = 4 * MAX_MODEL_BYTES
FORMATS = ("json", "wot", "aas", "nodeset", "csv")


class Imported(msgspec.Struct, frozen=True):
    """What a file says; nothing is stored.

    Attributes:
        format: the format it was read as.
        models: its models, those that others extend first.
        left_out: what the file has and a model cannot hold, one by one.
    """

    format: str
    models: list[Model]
    left_out: list[Omission]


class Exported(msgspec.Struct, frozen=True):
    """A model in a format; ``left_out`` is what the format cannot hold."""

    content: bytes
    media_type: str
    left_out: list[Omission]


def import_model(content: bytes, form: str | None = None) -> Imported:
    """Return the models of a file.

    Args:
        content: the file.
        form: one of ``FORMATS``; None: found out by its content.

    Raises:
        Problem: 400 when it cannot be read, 413 when it is too large, 501 when the format needs an extra.
    """
    if len(content) > MAX_FILE_BYTES:
        raise Problem(413, "payload-too-large", "The file is too large", f"at most {MAX_FILE_BYTES} bytes")
    form = form or _guess(content)
    report = Report()
    models = _read(content, form, report)
    for model in models:
        check_model(model)
        check_units(model)
    return Imported(form, models, report.entries())


def export_model(model: Model, name: str, form: str) -> Exported:
    """Return a model in a format.

    Args:
        model: a model with all that it inherits.
        name: ``name@version``.
        form: one of ``FORMATS``.

    Raises:
        Problem: 400 for another format, 501 when the format needs an extra.
    """
    report = Report()
    version = (parse_reference(name) or ("", 1))[1]
    if form == "json":
        return Exported(msgspec.json.format(msgspec.json.encode(plain(model))), "application/json", [])
    if form == "wot":
        from gongfu.thing.wot.export import thing_model
        from gongfu.thing.wot.vocabulary import MEDIA_TYPE

        document = thing_model(model, str(version), report)
        content = msgspec.json.format(msgspec.json.encode(document), indent=2)
        return Exported(content, MEDIA_TYPE, report.entries())
    if form == "aas":
        try:
            from gongfu.thing.aas.export import environment
        except ImportError:
            raise _extra() from None

        content = environment(model, version, report)
        return Exported(content, "application/asset-administration-shell+json", report.entries())
    if form == "nodeset":
        from gongfu.thing.nodeset.export import nodeset

        return Exported(nodeset(model, version, report), "application/xml", report.entries())
    if form == "csv":
        from gongfu.thing.csv_table import write_csv

        return Exported(write_csv(model, report), "text/csv; charset=utf-8", report.entries())
    raise invalid(f"format must be one of {', '.join(FORMATS)}")


def _read(content: bytes, form: str, report: Report) -> list[Model]:
    if form == "json":
        return [decode_model(_json(content))]
    if form == "wot":
        from gongfu.thing.wot.reading import read_thing

        return [read_thing(_json(content), report)]
    if form == "aas":
        try:
            from gongfu.thing.aas.reading import read_environment
        except ImportError:
            raise _extra() from None

        return [read_environment(content, report)]
    if form == "nodeset":
        from gongfu.thing.nodeset.reading import read_nodeset

        return read_nodeset(content, report)
    if form == "csv":
        from gongfu.thing.csv_table import read_csv

        return read_csv(content, report)
    raise invalid(f"format must be one of {', '.join(FORMATS)}")


def _guess(content: bytes) -> str:
    start = content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<"):
        return "nodeset"
    if not start.startswith((b"{", b"[")):
        return "csv"
    if b'"@context"' in content:
        return "wot"
    if b'"submodels"' in content or b'"assetAdministrationShells"' in content:
        return "aas"
    return "json"


def _json(content: bytes) -> object:
    try:
        return msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"not JSON: {str(error)[:200]}") from None


def _extra() -> Problem:
    detail = "the Asset Administration Shell needs a package: pip install 'gongfu[aas]'"
    return Problem(501, "not-installed", "Not installed", detail)
