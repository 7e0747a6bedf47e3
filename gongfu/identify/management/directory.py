"""What the store needs of the records at a start: prefixes, delegations, templates, classes."""

from sqlalchemy import Connection

from gongfu.identify.management import prefix_records, template_records
from gongfu.identify.management.classes import class_of
from gongfu.identify.management.prefixes import ALWAYS_DELEGATED, delegation_of, prefix_of
from gongfu.identify.management.templates import template_of
from gongfu.identify.service.contents import Directory
from gongfu.identify.templates.types import TemplateState


def load_directory(connection: Connection) -> Directory:
    """Return all of it."""
    rows = prefix_records.all_of(connection)
    return Directory(
        prefixes=[prefix_of(row) for row in rows if row.delegated != ALWAYS_DELEGATED],
        delegations=[delegation_of(row) for row in rows if row.delegated],
        templates={
            row.number: template_of(row)
            for row in template_records.all_of(connection)
            if row.state != TemplateState.DRAFT
        },
        classes=[class_of(row) for row in template_records.classes(connection)],
    )
