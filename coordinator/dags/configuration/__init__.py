"""Reading ``dags.yaml`` (docs/dags.md#the-configuration): from text to checked values, or to every problem with its
place.

``yaml_text``  YAML 1.2 and JSON, with the place of each value
``forms``      the objects of the file
``reading``    ``read_configuration``
``consistency``  what does not fit together
``directories``  where templates are, and where files go
``sound_part``   what can be used all the same
``schema``     the JSON Schema, dags.schema.json, for editors
``schema_of_forms``  makes it of the forms

Import from here: the modules are private to this package.
"""

from coordinator.dags.configuration.directories import output_of, templates_of
from coordinator.dags.configuration.forms import Configuration, DagEntry, Environment
from coordinator.dags.configuration.reading import DagsConfigurationError, Examined, examine, read_configuration
from coordinator.dags.configuration.schema import json_schema
from coordinator.dags.configuration.yaml_text import Path as ValuePath
from coordinator.dags.configuration.yaml_text import Place

__all__ = [
    "Configuration",
    "DagEntry",
    "DagsConfigurationError",
    "Environment",
    "Examined",
    "Place",
    "ValuePath",
    "examine",
    "json_schema",
    "output_of",
    "read_configuration",
    "templates_of",
]
