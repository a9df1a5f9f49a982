"""Reading ``dependencies.json`` (docs/architecture.md#interfaces): from text to checked values, or to every problem
with its place.

``document``    ``parse_file``: the entries, the cycles they would close, and what is said of the file
``entries``     a pipeline: what it waits for, and how it is started then
``conditions``  the tree of what a pipeline waits for
``bridges``     which asset events are handed on, there and back
``mappings``    partition mappings, there and back
``deadlines``   when a partition is late, there and back
``forms``       the objects of the document: their fields, and what each takes
``fields``      what every object needs: known fields only, each once, of the right type
``findings``    what is wrong so far, and where
``cycles``      who would wait for itself
``json_text``   JSON with duplicate keys and places
``places``      where the entries stand, for what is wrong only beside other documents
``problems``    what a person gets to see
``dumping``     the way back: the canonical JSON of a document
``schema``      the JSON Schema, dependencies.schema.json, for editors
``schema_of_forms``  makes it of the forms

Import from here: the modules are private to this package.
"""

from coordinator.model.documents.document import DependenciesFile, parse_document, parse_file
from coordinator.model.documents.dumping import dump_document
from coordinator.model.documents.places import places_of_entries
from coordinator.model.documents.problems import DependenciesError, Problem
from coordinator.model.documents.schema import json_schema

__all__ = [
    "DependenciesError",
    "DependenciesFile",
    "Problem",
    "dump_document",
    "json_schema",
    "parse_document",
    "parse_file",
    "places_of_entries",
]
