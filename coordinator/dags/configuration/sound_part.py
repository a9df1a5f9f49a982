"""What of a wrong ``dags.yaml`` can be used all the same: mistakes of its templates are said together with its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError

from coordinator.dags.configuration.forms import Configuration

_GIVE_VALUES: Final = {"values", "templates", "environments"}
"""Fields without which a template lacks what it needs: nothing is to be said of that."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A configuration that can be used.

    :ivar unsound: the templates of entries of which something is wrong, by dag_id. What they are given is not known,
        and so nothing but the templates can be checked.
    """

    configuration: Configuration
    unsound: Mapping[str, str] = field(default_factory=dict)

    def without(self, dag_ids: Collection[str]) -> Sound:
        """The same, with these entries among the unsound ones."""
        dags = self.configuration.dags
        wrong = {dag_id: dags[dag_id].template for dag_id in dag_ids if dag_id in dags}
        kept = {dag_id: entry for dag_id, entry in dags.items() if dag_id not in wrong}
        return replace(
            self, configuration=self.configuration.model_copy(update={"dags": kept}), unsound={**self.unsound, **wrong}
        )


def sound_part(value: Any, errors: Iterable[Any]) -> Sound | None:
    """The part of a configuration that is sound.

    :param errors: of pydantic, about this value.
    :return: ``None``: what is wrong concerns all of it.
    """
    if not isinstance(value, dict) or not isinstance(value.get("dags"), dict):
        return None
    top, dags, has_values = dict(value), dict(value["dags"]), True
    unsound: dict[str, str] = {}
    for error in errors:
        match tuple(one for one in error["loc"] if one != "[key]"):
            case ("dags", str(dag_id), *_):
                entry = dags.pop(dag_id, None)
                template = entry.get("template") if isinstance(entry, dict) else None
                unsound |= {dag_id: template} if isinstance(template, str) else {}
            case ("name",):
                top["name"] = "unknown"
            case (str(field_name),) if error["type"] == "extra_forbidden":
                top.pop(field_name, None)
                has_values = has_values and not get_close_matches(field_name, _GIVE_VALUES, n=1)
            case _:
                return None
    try:
        sound = Sound(Configuration.model_validate({**top, "dags": dags}), unsound)
    except ValidationError:
        return None
    return sound if has_values else sound.without(sound.configuration.dags)
