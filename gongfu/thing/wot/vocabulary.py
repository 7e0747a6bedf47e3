"""Terms of WoT Thing Description 1.1, our own terms beside them, and units as other vocabularies write them."""

CONTEXT = "https://www.w3.org/2022/wot/td/v1.1"
CONTEXTS = frozenset({CONTEXT, "https://www.w3.org/2019/wot/td/v1", "http://www.w3.org/ns/td"})
PREFIX = "gf"
NAMESPACE = "urn:gongfu:thing-model:1#"
MEDIA_TYPE = "application/tm+json"

# Data types of TD §5.3.2.1 that stand for one of ours; object and array, and what has none, are JSON.
DATA_TYPES = {"number": "double", "integer": "int64", "boolean": "boolean", "string": "string"}
TYPES = {"double": "number", "int64": "integer", "boolean": "boolean", "string": "string"}

# TD §5.3.2.1 leaves the vocabulary of units open; these are met in published descriptions. The IRIs of OM 2 and QUDT
# are taken by their last part.
UNITS = {
    "celsius": "Cel", "degree celsius": "Cel", "degreecelsius": "Cel", "deg_c": "Cel", "°c": "Cel", "℃": "Cel",
    "fahrenheit": "[degF]", "deg_f": "[degF]", "°f": "[degF]", "kelvin": "K", "percent": "%", "percentage": "%",
    "volt": "V", "v": "V", "ampere": "A", "watt": "W", "kilowatt": "kW", "kilowatthour": "kW.h", "kwh": "kW.h",
    "hertz": "Hz", "pascal": "Pa", "bar": "bar", "second": "s", "seconds": "s", "minute": "min", "minutes": "min",
    "hour": "h", "metre": "m", "meter": "m", "millimetre": "mm", "kilogram": "kg", "gram": "g", "litre": "L",
    "lux": "lx", "rpm": "/min", "unitless": "1", "none": "1",
}  # fmt: skip
