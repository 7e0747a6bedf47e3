"""Names and node ids of OPC UA namespace 0 (OPC 10000-6 Annex A) that models are written with."""

XML = "http://opcfoundation.org/UA/2011/03/UANodeSet.xsd"
TYPES_XML = "http://opcfoundation.org/UA/2008/02/Types.xsd"
UA = "http://opcfoundation.org/UA/"
# The oldest edition that has all types below.
UA_VERSION, UA_DATE = "1.04", "2018-05-15T00:00:00Z"
OURS = "urn:gongfu:thing-model:1"
# OPC 10000-8 §5.6.3: who defines the units of an EUInformation; UCUM calls itself so. -1: no numeric id.
UCUM = "http://unitsofmeasure.org"

BASE_OBJECT_TYPE, BASE_EVENT_TYPE = "i=58", "i=2041"
PROPERTY_TYPE, DATA_ITEM_TYPE, ANALOG_TYPE = "i=68", "i=2365", "i=17570"
MANDATORY, OPTIONAL = "i=78", "i=80"
RANGE, EU_INFORMATION, ARGUMENT = "i=884", "i=887", "i=296"
RANGE_XML, EU_INFORMATION_XML, ARGUMENT_XML = "i=885", "i=888", "i=297"

REFERENCES = {
    "HasModellingRule": "i=37", "HasTypeDefinition": "i=40", "GeneratesEvent": "i=41", "HasSubtype": "i=45",
    "HasProperty": "i=46", "HasComponent": "i=47", "Organizes": "i=35", "HasOrderedComponent": "i=49",
}  # fmt: skip
# References by which a type has its members.
MEMBERS = frozenset({REFERENCES["HasComponent"], REFERENCES["HasProperty"], REFERENCES["HasOrderedComponent"]})

DATA_TYPES = {"double": "i=11", "int64": "i=8", "boolean": "i=1", "string": "i=12", "json": "i=12"}
# Built-in types by what they become; Byte to UInt64, Number and its kinds.
BUILT_IN = {
    "i=1": "boolean", "i=2": "int64", "i=3": "int64", "i=4": "int64", "i=5": "int64", "i=6": "int64", "i=7": "int64",
    "i=8": "int64", "i=9": "int64", "i=10": "double", "i=11": "double", "i=12": "string", "i=21": "string",
    "i=26": "double", "i=27": "int64", "i=28": "int64",
}  # fmt: skip
NAMES = {
    "Boolean": "i=1", "SByte": "i=2", "Byte": "i=3", "Int16": "i=4", "UInt16": "i=5", "Int32": "i=6", "UInt32": "i=7",
    "Int64": "i=8", "UInt64": "i=9", "Float": "i=10", "Double": "i=11", "String": "i=12", "LocalizedText": "i=21",
    "Number": "i=26", "Integer": "i=27", "UInteger": "i=28",
}  # fmt: skip
READABLE, WRITABLE = 1, 2
# Properties of a variable that say its unit and bounds.
UNITS, EU_RANGE = "EngineeringUnits", "EURange"
INPUT, OUTPUT = "InputArguments", "OutputArguments"
