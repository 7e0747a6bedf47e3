"""The Core Business Vocabulary (CBV 2.0): its terms, and the one form that all ways to write a term have in common.

A term comes as a bare word (``shipping``), a CURIE (``cbv:BizStep-shipping``), a web URI
(``https://ref.gs1.org/cbv/BizStep-shipping``) or, from EPCIS 1, a URN (``urn:epcglobal:cbv:bizstep:shipping``).
"""

from typing import Final

CBV: Final = "https://ref.gs1.org/cbv/"
GS1: Final = "https://gs1.org/voc/"
EPCIS: Final = "https://ref.gs1.org/epcis/"
# Where the standard's context is; a document may name others as well.
CONTEXT: Final = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


EVENT_TYPES: Final = ("ObjectEvent", "AggregationEvent", "TransactionEvent", "TransformationEvent", "AssociationEvent")
ACTIONS: Final = frozenset(("ADD", "OBSERVE", "DELETE"))

BIZ_STEPS: Final = _words(
    """accepting arriving assembling collecting commissioning consigning creating_class_instance cycle_counting
    decommissioning departing destroying disassembling dispensing encoding entering_exiting holding inspecting
    installing killing loading other packing picking receiving removing repackaging repairing replacing
    reserving retail_selling sampling sensor_reporting shipping staging_outbound stock_taking stocking storing
    transporting unloading unpacking void_shipping"""
)
DISPOSITIONS: Final = _words(
    """active available completeness_inferred completeness_verified conformant container_closed container_open
    damaged destroyed dispensed disposed encoded expired in_progress in_transit inactive mismatch_class
    mismatch_instance mismatch_quantity needs_replacement no_pedigree_match non_conformant non_sellable_other
    partially_dispensed recalled reserved retail_sold returned sellable_accessible sellable_not_accessible
    stolen unavailable unknown"""
)
BIZ_TRANSACTION_TYPES: Final = _words(
    """bol cert desadv inv pedigree po poc prodorder recadv rma testprd testres upevt"""
)
PARTY_TYPES: Final = frozenset(("owning_party", "possessing_party", "location"))
ERROR_REASONS: Final = frozenset(("did_not_occur", "incorrect_data"))
ALERT_TYPES: Final = frozenset(("ALARM_CONDITION", "ERROR_CONDITION"))
COMPONENTS: Final = _words(
    """x y z axial_distance azimuth height spherical_radius polar_angle elevation_angle easting northing latitude
    longitude altitude"""
)
MEASUREMENT_TYPES: Final = _words(
    """AbsoluteHumidity AbsorbedDose AbsorbedDoseRate Acceleration Radioactivity Altitude AmountOfSubstance
    AmountOfSubstancePerUnitVolume Angle AngularAcceleration AngularMomentum AngularVelocity Area Capacitance
    Conductance Conductivity Count Density Dimensionless DoseEquivalent DoseEquivalentRate DynamicViscosity
    ElectricCharge ElectricCurrent ElectricCurrentDensity ElectricFieldStrength Energy Exposure Force Frequency
    Illuminance Inductance Irradiance KinematicViscosity Length LinearMomentum Luminance LuminousFlux
    LuminousIntensity MagneticFlux MagneticFluxDensity MagneticVectorPotential Mass MassConcentration
    MassFlowRate MassPerAreaTime MemoryCapacity MolalityOfSolute MolarEnergy MolarMass MolarVolume Power
    Pressure RadiantFlux RadiantIntensity RelativeHumidity Resistance Resistivity SolidAngle SpecificVolume
    Speed SurfaceDensity SurfaceTension Temperature Time Torque Voltage Volume VolumeFlowRate VolumeFraction
    VolumetricFlux Wavenumber"""
)

# Where a bare word stands, and the start of the URI it is short for.
TERMS: Final[dict[str, tuple[str, frozenset[str]]]] = {
    "bizStep": (CBV + "BizStep-", BIZ_STEPS),
    "disposition": (CBV + "Disp-", DISPOSITIONS),
    "bizTransactionType": (CBV + "BTT-", BIZ_TRANSACTION_TYPES),
    "partyType": (CBV + "SDT-", PARTY_TYPES),
    "reason": (CBV + "ER-", ERROR_REASONS),
    "component": (CBV + "Comp-", COMPONENTS),
    "measurementType": (GS1, MEASUREMENT_TYPES),
    "exception": (GS1, ALERT_TYPES),
}
_URNS: Final = {
    "urn:epcglobal:cbv:bizstep:": CBV + "BizStep-",
    "urn:epcglobal:cbv:disp:": CBV + "Disp-",
    "urn:epcglobal:cbv:btt:": CBV + "BTT-",
    "urn:epcglobal:cbv:sdt:": CBV + "SDT-",
    "urn:epcglobal:cbv:er:": CBV + "ER-",
}
# Prefixes that the standard's context declares.
PREFIXES: Final = {
    "cbv": CBV,
    "gs1": GS1,
    "epcis": EPCIS,
    "cbvmda": "urn:epcglobal:cbv:mda:",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "dcterms": "http://purl.org/dc/terms/",
}
_FORMER_CBV: Final = ("https://ns.gs1.org/cbv/", "http://ns.gs1.org/cbv/", "http://ref.gs1.org/cbv/")
_VOC: Final = ("http://gs1.org/voc/", "https://www.gs1.org/voc/", "http://www.gs1.org/voc/")


def web_uri(text: str) -> str:
    """Return a CBV or GS1 term's web URI, of a URN or another address of the same vocabulary; all else stays."""
    if text.startswith("urn:epcglobal:cbv:"):
        for urn, uri in _URNS.items():
            if text.startswith(urn):
                return uri + text[len(urn) :]
    elif text.startswith("http"):
        for former in _FORMER_CBV:
            if text.startswith(former):
                return CBV + text[len(former) :]
        for former in _VOC:
            if text.startswith(former):
                return GS1 + text[len(former) :]
    return text


def term(kind: str, text: str) -> str:
    """Return the web URI of what stands in a place that takes terms.

    Args:
        kind: a key of ``TERMS``.
        text: bare word, CURIE of the standard's own prefixes, URI or URN.
    """
    start, words = TERMS[kind]
    if text in words:
        return start + text
    prefix, colon, rest = text.partition(":")
    if not colon:
        # Measurement types are the vocabulary's own list, which grows: an unknown word is one of it.
        return start + text if kind == "measurementType" else text
    if not rest.startswith("//") and prefix in ("cbv", "gs1"):
        return PREFIXES[prefix] + rest
    return web_uri(text)


def bare(kind: str, uri: str) -> str:
    """Return the bare word of a term's URI where it has one."""
    start, words = TERMS[kind]
    word = uri.removeprefix(start)
    return word if word in words else uri
