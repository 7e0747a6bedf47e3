"""EngineeringUnits -> UCUM.

Source: OPC 10000-8 §5.6.4.3: ``unitId`` holds the UN/ECE Recommendation 20 common code, its letters as bytes, when the
namespace is ``http://www.opcfoundation.org/UA/units/un/cefact``. The table has the codes machines use; a unit outside
it is taken by its display name when that is UCUM. Pure.
"""

from gongfu.kernel.units import UnitError, check_unit

CEFACT = "http://www.opcfoundation.org/UA/units/un/cefact"

CODES = {
    "C62": "1", "P1": "%", "59": "[ppm]", "61": "[ppb]", "NX": "[ppth]",
    "CEL": "Cel", "KEL": "K", "FAH": "[degF]",
    "MTR": "m", "CMT": "cm", "MMT": "mm", "4H": "um", "KMT": "km", "INH": "[in_i]", "FOT": "[ft_i]",
    "MTK": "m2", "CMK": "cm2", "MMK": "mm2", "MTQ": "m3", "LTR": "L", "MLT": "mL", "DMQ": "dm3", "CMQ": "cm3",
    "KGM": "kg", "GRM": "g", "MGM": "mg", "TNE": "t", "LBR": "[lb_av]",
    "SEC": "s", "MIN": "min", "HUR": "h", "DAY": "d", "C26": "ms", "B98": "us", "C47": "ns", "MON": "mo", "ANN": "a",
    "HTZ": "Hz", "KHZ": "kHz", "MHZ": "MHz", "A86": "GHz", "C97": "/s", "C94": "/min", "RPM": "/min", "RPS": "/s",
    "MTS": "m/s", "KMH": "km/h", "C16": "mm/s", "2X": "m/min", "2M": "cm/s", "H81": "mm/min", "MSK": "m/s2",
    "2A": "rad/s", "C81": "rad", "DD": "deg", "D61": "'", "D62": "''",
    "PAL": "Pa", "KPA": "kPa", "MPA": "MPa", "HBA": "hbar", "BAR": "bar", "MBR": "mbar", "A97": "hPa", "PS": "[psi]",
    "ATM": "atm", "UA": "mm[Hg]", "HN": "mm[Hg]", "B47": "kN", "NEW": "N", "NU": "N.m", "B48": "kN.m",
    "JOU": "J", "KJO": "kJ", "3B": "MJ", "GV": "GJ", "WHR": "W.h", "KWH": "kW.h", "MWH": "MW.h",
    "WTT": "W", "KWT": "kW", "MAW": "MW", "A90": "GW", "C31": "mW", "D46": "V.A", "KVA": "kV.A", "MVA": "MV.A",
    "VLT": "V", "KVT": "kV", "2Z": "mV", "AMP": "A", "B22": "kA", "4K": "mA", "B84": "uA",
    "OHM": "Ohm", "B49": "kOhm", "SIE": "S", "D10": "S/m", "FAR": "F", "4O": "uF", "81": "H",
    "COU": "C", "AMH": "A.h", "WEB": "Wb", "D33": "T", "C29": "mT",
    "MQH": "m3/h", "MQS": "m3/s", "G52": "m3/d", "L2": "L/min", "E32": "L/h", "G51": "L/s",
    "KGS": "kg/s", "E93": "kg/h", "F31": "kg/min",
    "KMQ": "kg/m3", "GL": "g/L", "23": "g/cm3", "GP": "mg/m3", "M1": "mg/L",
    "C34": "mol", "C36": "mol/m3", "C35": "mol/dm3", "LUX": "lx", "LUM": "lm", "CDL": "cd",
    "2N": "dB", "Q30": "{pH}", "C65": "Pa.s", "C24": "mPa.s", "C17": "mm2/s", "S4": "m2/s",
    "D54": "W/m2", "D53": "W/(m.K)", "2P": "kBy", "AD": "By", "4L": "MBy", "A99": "bit",
    "BQL": "Bq", "A95": "Gy", "D13": "Sv",
}  # fmt: skip

_SHOWN = {
    "°C": "Cel", "℃": "Cel", "°F": "[degF]", "℉": "[degF]", "rpm": "/min", "1/min": "/min", "r/min": "/min",
    "U/min": "/min", "转/分": "/min", "psi": "[psi]", "ppm": "[ppm]", "m³": "m3", "m²": "m2", "m³/h": "m3/h",
    "l/min": "L/min", "l/h": "L/h", "l/s": "L/s", "l": "L", "Nm": "N.m", "N·m": "N.m", "kWh": "kW.h", "MWh": "MW.h",
    "Wh": "W.h", "kVA": "kV.A", "VA": "V.A", "kvar": "kV.A", "Ω": "Ohm", "kΩ": "kOhm", "µm": "um", "μm": "um",
    "µs": "us", "m/s²": "m/s2", "m/s^2": "m/s2", "mm²": "mm2", "°": "deg", "h": "h", "hr": "h", "sec": "s", "Ah": "A.h",
    "kg/m³": "kg/m3", "m^3/h": "m3/h", "inch": "[in_i]", "in": "[in_i]", "pH": "{pH}", "degC": "Cel",
}  # fmt: skip


def code_of(unit_id: int) -> str:
    """Return the UN/ECE common code in a ``unitId``, ``""`` where there is none."""
    if unit_id <= 0:
        return ""
    raw = unit_id.to_bytes(4, "big").lstrip(b"\0")
    return raw.decode("ascii") if raw.isalnum() else ""


def ucum_of(namespace: str, unit_id: int, shown: str) -> str:
    """Return the UCUM code of an EUInformation, ``""`` when it is not known.

    Args:
        namespace: its NamespaceUri.
        unit_id: its UnitId.
        shown: its display name ("°C").
    """
    if not namespace or namespace == CEFACT:
        known = CODES.get(code_of(unit_id))
        if known:
            return known
    text = shown.strip()
    if not text:
        return ""
    known = _SHOWN.get(text)
    if known:
        return known
    try:
        check_unit(text)
    except UnitError:
        return ""
    return text


def unit_id_of(ucum: str) -> int:
    """Return the ``unitId`` of a UCUM code, -1 when the table has none (OPC 10000-8 §5.6.4.3)."""
    code = next((code for code, known in CODES.items() if known == ucum), "")
    return int.from_bytes(code.encode(), "big") if code else -1
