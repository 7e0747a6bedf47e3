"""Units as machines write them ("°C", "m³/h", "rpm") as UCUM codes; what is not known for sure stays unknown.

A text that is UCUM by accident is not taken for it: "C" is coulomb in UCUM and degree Celsius on most screens, "ft" is
a femtotonne and a foot. Such texts are in ``SHOWN`` when machines mean one thing only by them, else in ``AMBIGUOUS``.
"""

from functools import lru_cache

MAX_TEXT = 200

SHOWN = {
    "°C": "Cel", "℃": "Cel", "degC": "Cel", "°F": "[degF]", "℉": "[degF]", "degF": "[degF]",
    "rpm": "/min", "RPM": "/min", "1/min": "/min", "r/min": "/min", "U/min": "/min", "转/分": "/min", "min⁻¹": "/min",
    "1/s": "/s", "s⁻¹": "/s", "m³": "m3", "m²": "m2", "mm²": "mm2", "cm²": "cm2", "cm³": "cm3", "mm³": "mm3",
    "m³/h": "m3/h", "m^3/h": "m3/h", "m³/s": "m3/s", "m³/min": "m3/min", "l/min": "L/min", "l/h": "L/h", "l/s": "L/s",
    "l": "L", "ml": "mL", "hl": "hL", "kg/m³": "kg/m3", "g/cm³": "g/cm3", "mg/m³": "mg/m3",
    "psi": "[psi]", "PSI": "[psi]", "ppm": "[ppm]", "ppb": "[ppb]", "Nm": "N.m", "N·m": "N.m", "kNm": "kN.m",
    "kWh": "kW.h", "MWh": "MW.h", "Wh": "W.h", "kVA": "kV.A", "MVA": "MV.A", "VA": "V.A", "Ah": "A.h", "mAh": "mA.h",
    "var": "V.A", "kvar": "kV.A", "Mvar": "MV.A",
    "Ω": "Ohm", "ohm": "Ohm", "kΩ": "kOhm", "MΩ": "MOhm", "µm": "um", "μm": "um", "µs": "us", "μs": "us", "µA": "uA",
    "m/s²": "m/s2", "m/s^2": "m/s2", "mm/s²": "mm/s2", "W/m²": "W/m2", "µS/cm": "uS/cm", "μS/cm": "uS/cm",
    "°": "deg", "hr": "h", "sec": "s", "inch": "[in_i]", "in": "[in_i]", "ft": "[ft_i]", "yd": "[yd_i]",
    "lb": "[lb_av]", "lbs": "[lb_av]", "oz": "[oz_av]", "mph": "[mi_i]/h", "kph": "km/h", "kmh": "km/h", "pH": "{pH}",
}  # fmt: skip
"""Texts that are not UCUM, or another unit there, and that machines mean one thing by."""

AMBIGUOUS = frozenset(
    {"C", "F", "a", "b", "B", "G", "at", "gal", "kt", "MT", "ph", "PS", "pt", "Pt", "st", "u", "U", "y"}
)
"""Texts that may mean several units (coulomb or Celsius, year or are, knot or kilotonne): they stay text."""

# Units that are met every day: they are known without the tables of units, which take 20 MB and a second.
_EVERY_DAY = """
1 % m mm cm km um nm m2 mm2 cm2 m3 L mL kg g mg t s ms us ns min h d Hz kHz MHz GHz K Cel Pa kPa MPa hPa bar mbar
N kN N.m kN.m J kJ MJ GJ W kW MW GW V kV mV A mA uA kA Ohm kOhm S mS uS uF H mH T mT Wb lx lm cd mol rad deg dB
m/s mm/s km/h m/s2 /s /min m3/h m3/s L/min L/h L/s kg/s kg/h kg/m3 g/cm3 g/L mg/L W.h kW.h MW.h V.A kV.A MV.A A.h
Pa.s mPa.s mm2/s m2/s [degF] [psi] [ppm] [ppb] [in_i] [ft_i] [lb_av]
"""
_PLAIN = frozenset(_EVERY_DAY.split())


@lru_cache(maxsize=4096)
def ucum_of_text(text: str) -> str:
    """Return the UCUM code that a text stands for, ``""`` when that is not sure. May load the tables of units."""
    text = text.strip()
    if not text or text in AMBIGUOUS:
        return ""
    known = SHOWN.get(text)
    if known is not None:
        return known
    if text in _PLAIN:
        return text
    # Imported here: most processes never meet a unit that is not plain.
    from gongfu.kernel.units import UnitError, check_unit

    try:
        check_unit(text)
    except UnitError:
        return ""
    return text


def clean_text(text: str) -> str:
    """Return a unit as it is kept: without control characters and blanks around it, at most ``MAX_TEXT`` characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text[: MAX_TEXT * 2]).strip()[:MAX_TEXT]
