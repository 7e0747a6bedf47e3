"""Sparkplug B payload message, built at run time: no protobuf compiler and no generated code.

Source: Eclipse Sparkplug 3.0.0, §6.4 (payload definition, field numbers) and §6.4.16 (data types). Parts that are not
columnised in columns of their own (data sets, templates) are declared as bytes, the same wire type, and read by
messages of their own when they occur; metadata and extensions are never read.
"""

from enum import IntEnum
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "gongfu.sparkplug"


class DataType(IntEnum):
    """Data type of a metric (Sparkplug 3.0.0 §6.4.16); those above ``UUID`` have no column of their own."""

    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14
    UUID = 15
    DATASET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19
    PROPERTYSET = 20
    PROPERTYSETLIST = 21
    INT8ARRAY = 22
    INT16ARRAY = 23
    INT32ARRAY = 24
    INT64ARRAY = 25
    UINT8ARRAY = 26
    UINT16ARRAY = 27
    UINT32ARRAY = 28
    UINT64ARRAY = 29
    FLOATARRAY = 30
    DOUBLEARRAY = 31
    BOOLEANARRAY = 32
    STRINGARRAY = 33
    DATETIMEARRAY = 34


_TYPES = {
    "uint32": FieldDescriptorProto.TYPE_UINT32,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
    "float": FieldDescriptorProto.TYPE_FLOAT,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
}

# (name, number, type, repeated); a type with a capital is a message of this file.
_PROPERTY_VALUE = [("type", 1, "uint32", False), ("is_null", 2, "bool", False)]
_PROPERTY_VALUE_ONE = [
    ("int_value", 3, "uint32", False),
    ("long_value", 4, "uint64", False),
    ("float_value", 5, "float", False),
    ("double_value", 6, "double", False),
    ("boolean_value", 7, "bool", False),
    ("string_value", 8, "string", False),
]
_PROPERTY_SET = [("keys", 1, "string", True), ("values", 2, "PropertyValue", True)]
_METRIC = [
    ("name", 1, "string", False),
    ("alias", 2, "uint64", False),
    ("timestamp", 3, "uint64", False),
    ("datatype", 4, "uint32", False),
    ("is_historical", 5, "bool", False),
    ("is_transient", 6, "bool", False),
    ("is_null", 7, "bool", False),
    ("metadata", 8, "bytes", False),
    ("properties", 9, "PropertySet", False),
]
_METRIC_ONE = [
    ("int_value", 10, "uint32", False),
    ("long_value", 11, "uint64", False),
    ("float_value", 12, "float", False),
    ("double_value", 13, "double", False),
    ("boolean_value", 14, "bool", False),
    ("string_value", 15, "string", False),
    ("bytes_value", 16, "bytes", False),
    ("dataset_value", 17, "bytes", False),
    ("template_value", 18, "bytes", False),
    ("extension_value", 19, "bytes", False),
]
_PAYLOAD = [
    ("timestamp", 1, "uint64", False),
    ("metrics", 2, "Metric", True),
    ("seq", 3, "uint64", False),
    ("uuid", 4, "string", False),
    ("body", 5, "bytes", False),
]

_DATA_SET_VALUE_ONE = [
    ("int_value", 1, "uint32", False),
    ("long_value", 2, "uint64", False),
    ("float_value", 3, "float", False),
    ("double_value", 4, "double", False),
    ("boolean_value", 5, "bool", False),
    ("string_value", 6, "string", False),
]
_ROW = [("elements", 1, "DataSetValue", True)]
_DATA_SET = [
    ("num_of_columns", 1, "uint64", False),
    ("columns", 2, "string", True),
    ("types", 3, "uint32", True),
    ("rows", 4, "Row", True),
]
_PARAMETER = [("name", 1, "string", False), ("type", 2, "uint32", False)]
_TEMPLATE = [
    ("version", 1, "string", False),
    ("metrics", 2, "Metric", True),
    ("parameters", 3, "Parameter", True),
    ("template_ref", 4, "string", False),
    ("is_definition", 5, "bool", False),
]

_Fields = list[tuple[str, int, str, bool]]


def _message(name: str, fields: _Fields, one_of: _Fields) -> DescriptorProto:
    message = DescriptorProto(name=name)
    if one_of:
        message.oneof_decl.add(name="value")
    for field_name, number, kind, repeated in fields + one_of:
        field = message.field.add(name=field_name, number=number)
        field.label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
        if kind in _TYPES:
            field.type = _TYPES[kind]
        else:
            field.type = FieldDescriptorProto.TYPE_MESSAGE
            field.type_name = f".{_PACKAGE}.{kind}"
    for field in message.field[len(fields) :]:
        field.oneof_index = 0
    return message


def _build() -> DescriptorPool:
    file = FileDescriptorProto(name="gongfu/sparkplug_b.proto", package=_PACKAGE, syntax="proto2")
    file.message_type.append(_message("PropertyValue", _PROPERTY_VALUE, _PROPERTY_VALUE_ONE))
    file.message_type.append(_message("PropertySet", _PROPERTY_SET, []))
    file.message_type.append(_message("Metric", _METRIC, _METRIC_ONE))
    file.message_type.append(_message("Payload", _PAYLOAD, []))
    file.message_type.append(_message("DataSetValue", [], _DATA_SET_VALUE_ONE))
    file.message_type.append(_message("Row", _ROW, []))
    file.message_type.append(_message("DataSet", _DATA_SET, []))
    # The values of parameters have the numbers of those of properties.
    file.message_type.append(_message("Parameter", _PARAMETER, _PROPERTY_VALUE_ONE))
    file.message_type.append(_message("Template", _TEMPLATE, []))
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool


_pool = _build()


def _class(name: str) -> Any:
    return GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


Payload: Any = _class("Payload")
DataSet: Any = _class("DataSet")
Template: Any = _class("Template")
