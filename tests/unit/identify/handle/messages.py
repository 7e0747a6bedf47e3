"""Strategies for messages of the Handle protocol."""

from hypothesis import strategies as st

from gongfu.identify.handle.bodies import ChallengeAnswer, Record, Removal, Resolution
from gongfu.identify.handle.predefined import Administrator, Interface, Server, Site
from gongfu.identify.handle.values import HandleValue, Reference

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INTEGERS = st.integers(0, 2**32 - 1)
REFERENCES = st.builds(Reference, TEXTS, INTEGERS)
VALUES = st.builds(
    HandleValue,
    index=st.integers(1, 2**32 - 1),
    type=TEXTS,
    data=st.binary(max_size=40),
    ttl_type=st.integers(0, 1),
    ttl=INTEGERS,
    timestamp=INTEGERS,
    permissions=st.integers(0, 15),
    references=st.lists(REFERENCES, max_size=3).map(tuple),
)
RECORDS = st.builds(Record, TEXTS, st.lists(VALUES, max_size=4).map(tuple))
RESOLUTIONS = st.builds(
    Resolution, TEXTS, st.lists(INTEGERS, max_size=4).map(tuple), st.lists(TEXTS, max_size=3).map(tuple)
)
REMOVALS = st.builds(Removal, TEXTS, st.lists(INTEGERS, max_size=5).map(tuple))
ANSWERS = st.builds(ChallengeAnswer, TEXTS, TEXTS, INTEGERS, st.binary(max_size=60))
ADMINISTRATORS = st.builds(Administrator, st.integers(0, 0xFFF), TEXTS, INTEGERS)
# Addresses that have one text form each: ::/96 is where IPv4 addresses are.
ADDRESSES = st.one_of(
    st.ip_addresses(v=4).filter(lambda a: int(a) > 0xFF), st.ip_addresses(v=6).filter(lambda a: int(a) >> 48 > 0)
).map(str)
SERVERS = st.builds(
    Server,
    INTEGERS,
    ADDRESSES,
    st.binary(max_size=20),
    st.lists(st.builds(Interface, st.integers(0, 3), st.integers(0, 3), INTEGERS), max_size=3).map(tuple),
)
SITES = st.builds(
    Site,
    serial=st.integers(0, 0xFFFF),
    primary=st.sampled_from([0, 0x80, 0xC0]),
    hash_option=st.integers(0, 2),
    hash_filter=st.binary(max_size=5),
    attributes=st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple),
    servers=st.lists(SERVERS, max_size=3).map(tuple),
)
