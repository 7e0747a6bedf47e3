"""The values that attributes of a record are."""

from gongfu.identify.handle.codes import Permission, TtlType
from gongfu.identify.handle.values import DEFAULT_PERMISSIONS, DEFAULT_TTL, HandleValue
from gongfu.identify.templates.types import Attribute

# Plain numbers: flags of an enumeration are slow.
_PUBLIC = int(DEFAULT_PERMISSIONS)
_PRIVATE = int(DEFAULT_PERMISSIONS & ~Permission.PUBLIC_READ)
_RELATIVE = int(TtlType.RELATIVE)


def attribute_value(attribute: Attribute, data: bytes, timestamp: int) -> HandleValue:
    """Return the value that an attribute of a record is."""
    permissions = _PUBLIC if attribute.public else _PRIVATE
    return HandleValue(attribute.index, attribute.name, data, _RELATIVE, DEFAULT_TTL, timestamp, permissions)
