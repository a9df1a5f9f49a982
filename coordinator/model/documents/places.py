"""Where the entries of a document stand, for what is found wrong only once other documents are known."""

from __future__ import annotations

import codecs
from collections.abc import Collection

from coordinator.model.assets.names import is_delivery
from coordinator.model.documents.bridges import ASSETS_KEY
from coordinator.model.documents.document import TOP_LEVEL
from coordinator.model.documents.json_text import Members, Spot, find, line_and_column, read_json
from coordinator.model.references import PipelineRef


def places_of_entries(text: bytes, pipelines: Collection[PipelineRef]) -> dict[PipelineRef, tuple[int, int, str]]:
    """Line, column and key of the entries of these pipelines; one that has no entry is left out.

    :param text: of a document that ``parse_document`` takes.
    """
    characters = text.removeprefix(codecs.BOM_UTF8).decode()
    root = read_json(characters)
    spots: dict[PipelineRef, tuple[Spot, str]] = {}
    for index, (name, _) in enumerate(root.pairs if isinstance(root, Members) else ()):
        if name == ASSETS_KEY:
            spots.update((one, (Spot((index,), key=True), name)) for one in pipelines if is_delivery(one))
        if name in TOP_LEVEL:
            continue
        try:
            pipeline = PipelineRef.parse(name)
        except ValueError:  # "$schema " and the like, which parse_document has its own words for
            continue
        if pipeline in pipelines:
            spots[pipeline] = Spot((index,), key=True), name
    offsets = find(characters, {spot for spot, _ in spots.values()})
    return {pipeline: (*line_and_column(characters, offsets[spot]), name) for pipeline, (spot, name) in spots.items()}
