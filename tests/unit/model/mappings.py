"""Mappings of every kind, for properties."""

from __future__ import annotations

from hypothesis import reject
from hypothesis import strategies as st

from coordinator.model.partitions import (
    ALL,
    MOST_MEMBERS,
    AllowedKey,
    Chain,
    FanOut,
    FixedKey,
    Identity,
    Latest,
    Mapping,
    MappingError,
    Member,
    Offset,
    Period,
    Product,
    Rollup,
    SameInstant,
    Segments,
    StartOf,
    Unit,
    Wait,
)

WINDOWS = [(window, every) for window, made_of in MOST_MEMBERS.items() for every in made_of]
FORMATS: dict[Period, list[str | None]] = {
    Period.MINUTE: [None, "%Y-%m-%dT%H:%M", "%Y%m%d%H%M%z"],
    Period.HOUR: [None, "%Y-%m-%dT%H", "%Y-%m-%dT%H:%M:%S%z"],
    Period.DAY: [None, "%Y-%m-%d", "%Y-%j"],
    Period.WEEK: [None, "%G-W%V", "%Y-%m-%d (W%V)"],
    Period.MONTH: [None, "%Y-%m"],
    Period.QUARTER: [None, "%Y-Q{quarter}"],
    Period.YEAR: [None, "%Y"],
}
"""For each period, what names one; ``None`` names everything."""

places = st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"])
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@st.composite
def windows(draw: st.DrawFn) -> FanOut | Rollup:
    window, every = draw(st.sampled_from(WINDOWS))
    coarse, fine, place = draw(st.sampled_from(FORMATS[window])), draw(st.sampled_from(FORMATS[every])), draw(places)
    if draw(st.booleans()):
        return FanOut(window, every, place, input_format=coarse, output_format=fine)
    waits: st.SearchStrategy[Wait] = st.integers(-40, MOST_MEMBERS[window][every]).map(lambda n: n or ALL)
    return Rollup(window, every, place, wait=draw(waits), input_format=fine, output_format=coarse)


@st.composite
def starts(draw: st.DrawFn) -> StartOf:
    period = draw(st.sampled_from(list(MOST_MEMBERS)))
    fine, coarse = draw(st.sampled_from(FORMATS[Period.MINUTE])), draw(st.sampled_from(FORMATS[period]))
    return StartOf(period, draw(places), fine, coarse)


formats = st.sampled_from([None, "%Y-%m-%d", "%Y-%m-%dT%H:%M"])
offsets = st.builds(
    Offset,
    st.integers(-100_000, 100_000).filter(bool),
    st.sampled_from(Unit),
    places,
    input_format=formats,
    output_format=formats,
)
same_instants = st.builds(
    lambda pair, place: SameInstant(place, pair[0], pair[1]),
    st.tuples(formats, formats).filter(lambda pair: pair[0] != pair[1]),
    places,
)
lists_of_keys = st.lists(texts, min_size=1, max_size=8, unique=True).map(tuple)


@st.composite
def segments(draw: st.DrawFn) -> Segments:
    keys = draw(lists_of_keys)
    return Segments(keys, draw(texts), draw(st.integers(-9, len(keys)).map(lambda n: n or ALL)))


@st.composite
def composed(draw: st.DrawFn, members: st.SearchStrategy[Member]) -> Mapping:
    """A chain or a product of some members that go together."""
    chosen = tuple(draw(st.lists(members, min_size=2, max_size=3)))
    try:
        return Chain(chosen) if draw(st.booleans()) else Product(chosen, draw(st.sampled_from(["|", "/", "::"])))
    except MappingError:
        reject()


simple: st.SearchStrategy[Member] = st.one_of(
    st.just(Identity()),
    st.builds(FixedKey, texts),
    windows(),
    starts(),
    offsets,
    same_instants,
    st.builds(AllowedKey, lists_of_keys),
    segments(),
)
mappings: st.SearchStrategy[Mapping] = st.one_of(
    simple, st.just(Latest()), composed(simple), composed(st.one_of(simple, composed(simple)))
)
