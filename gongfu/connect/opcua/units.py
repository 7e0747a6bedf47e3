"""EngineeringUnits -> UCUM.

Source: OPC 10000-8 §5.6.4.3: ``unitId`` holds the UN/ECE Recommendation 20 common code, its letters as bytes, when the
namespace is ``http://www.opcfoundation.org/UA/units/un/cefact``. What the codes mean is taken from UN/ECE Rec. 20 as
the OPC Foundation publishes it (``UNECE_to_OPCUA.csv``); the table has the codes machines use. A unit outside it is
taken by its display name when that is known or UCUM, else it stays text. Pure.
"""

from gongfu.kernel.unit_texts import ucum_of_text

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
    "C25": "mrad", "D27": "sr", "M46": "/min", "E96": "deg/s", "2B": "rad/s2",
    "DMT": "dm", "C45": "nm", "NMI": "[nmi_i]", "YRD": "[yd_i]", "SMI": "[mi_i]", "77": "[mil_i]",
    "KMK": "km2", "DMK": "dm2", "ARE": "ar", "HAR": "har", "INK": "[sin_i]", "FTK": "[sft_i]", "ACR": "[acr_us]",
    "MMQ": "mm3", "HLT": "hL", "CLT": "cL", "DLT": "dL", "4G": "uL", "K6": "kL", "INQ": "[cin_i]", "FTQ": "[cft_i]",
    "GLL": "[gal_us]", "GLI": "[gal_br]", "WEE": "wk", "B52": "ks", "H70": "ps",
    "KNT": "[kn_i]", "H67": "mm/h", "M60": "m/h", "M62": "km/s", "FR": "[ft_i]/min", "FS": "[ft_i]/s", "IU": "[in_i]/s",
    "HM": "[mi_i]/h", "M39": "cm/s2", "M41": "mm/s2", "C92": "/m", "D29": "THz", "H10": "/h",
    "MC": "ug", "HGM": "hg", "2U": "Mg", "ONZ": "[oz_av]", "STN": "[ston_av]", "LTN": "[lton_av]",
    "D41": "t/m3", "B35": "kg/L", "A93": "g/m3", "B34": "kg/dm3", "H29": "ug/L", "GQ": "ug/m3", "F23": "g/dm3",
    "A39": "m3/kg", "KL": "kg/m", "GF": "g/m", "GM": "g/m2", "28": "kg/m2", "B32": "kg.m2",
    "B73": "MN", "C20": "mN", "C78": "[lbf_av]", "B37": "kgf", "B74": "MN.m", "D83": "mN.m", "J72": "cN.m", "4P": "N/m",
    "F47": "N/mm", "C57": "N.s", "74": "mPa", "A89": "GPa", "C55": "N/m2", "C56": "N/mm2", "KBA": "kbar", "B85": "ubar",
    "89": "P", "C7": "cP", "91": "St", "4C": "cSt", "M81": "cm2/s",
    "D30": "TJ", "C15": "mJ", "GWH": "GW.h", "D32": "TW.h", "A53": "eV", "D80": "uW", "D31": "TW",
    "F29": "g/s", "F28": "g/min", "F27": "g/h", "F34": "mg/s", "E18": "t/h", "L71": "t/d", "F30": "kg/d", "4M": "mg/h",
    "4U": "[lb_av]/h", "NA": "mg/kg", "J33": "ug/kg",
    "40": "mL/s", "41": "mL/min", "LD": "L/d", "2J": "cm3/s", "G53": "m3/min", "4X": "kL/h", "G55": "mL/h",
    "2K": "[cft_i]/h", "2L": "[cft_i]/min", "G2": "[gal_us]/min", "G3": "[gal_br]/min", "G50": "[gal_us]/h",
    "H60": "m3/m3", "F12": "K/s", "F11": "K/min", "F10": "K/h", "C91": "/K", "BTU": "[Btu_IT]", "D35": "cal_th",
    "D55": "W/(m2.K)", "H47": "W/m3", "H74": "W/m", "D52": "W/K", "B21": "K/W", "JE": "J/K", "J2": "J/kg",
    "B42": "kJ/kg", "JK": "MJ/kg", "D95": "J/g", "B11": "J/(kg.K)", "B43": "kJ/(kg.K)", "B13": "J/m2", "JM": "MJ/m3",
    "C39": "nA", "H38": "MA", "TAH": "kA.h", "E09": "mA.h", "D82": "uV", "B78": "MV", "D50": "V/m", "B55": "kV/m",
    "C41": "nF", "4T": "pF", "C10": "mF", "C14": "mH", "B90": "uH", "D81": "uT", "C33": "mWb",
    "A41": "A/m2", "AE": "A/m", "B75": "MOhm", "E45": "mOhm", "B94": "uOhm", "A87": "GOhm", "C61": "Ohm.m",
    "C27": "mS", "B99": "uS", "G42": "uS/cm", "G43": "uS/m", "H61": "mS/cm", "H43": "S/cm",
    "D44": "V.A", "K5": "kV.A", "KVR": "kV.A", "MAR": "MV.A", "P14": "J/s",
    "A24": "cd/m2", "B60": "lm/m2", "KLX": "klx", "B61": "lm/W",
    "C18": "mmol", "B45": "kmol", "C38": "mol/L", "M33": "mmol/L", "E95": "mol/s", "C19": "mol/kg", "A94": "g/mol",
    "KAT": "kat", "GBQ": "GBq", "2Q": "kBq", "4N": "MBq", "A18": "Bq/kg", "A19": "Bq/m3", "C28": "mSv", "C13": "mGy",
    "P71": "mSv/h", "P72": "uSv/h", "P63": "uGy/h", "H42": "Pa/m", "P81": "kPa/m", "D48": "V/K", "D49": "mV/K",
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
    return ucum_of_text(shown)


def unit_id_of(ucum: str) -> int:
    """Return the ``unitId`` of a UCUM code, -1 when the table has none (OPC 10000-8 §5.6.4.3)."""
    code = next((code for code, known in CODES.items() if known == ucum), "")
    return int.from_bytes(code.encode(), "big") if code else -1
