"""Cloud Composer's files for dependencies between clusters (a function that reads them triggers the targets):

* ``{workflow_id}.json``: ``{"source_workflow_id": ..., "target": {"on_success": [...], "on_failure": [...]}}``, each
  target ``{"environment_name": ..., "dag_id": ...}``
* ``composer-url-mapping-{env}.json``: ``{name: {"project_id": ..., "url": ...}}``

There, each message triggers its targets by itself: a DAG that is the target of two workflows runs after either. So
several upstreams become ``any``. A person may want ``all``: that is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from coordinator.model.imports.imported import (
    CannotImport,
    Imported,
    Remark,
    place_in,
    read_object,
    reference,
    remarks_of,
)

_ENDS = {"on_success": "success", "on_failure": "failure"}

_NO_ADDRESS = "https://example.invalid"

Upstreams = dict[str, dict[str, list[str]]]
"""By downstream, by upstream: the ends on which it is triggered."""

_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Form(BaseModel):
    """A part of a file. Fields that it does not have are remarked upon."""

    model_config = ConfigDict(extra="allow", strict=True)

    def unknown(self, *place: str | int) -> list[tuple[str | int, ...]]:
        """The places of its unknown fields. :param place: its own."""
        return [(*place, name) for name in self.model_extra or ()]


class WorkflowTarget(_Form):
    """A DAG that is triggered."""

    environment_name: _Name
    dag_id: _Name


class WorkflowTargets(_Form):
    """The targets of a workflow, by its end. Each is read by itself: a mistake in one concerns no other."""

    on_success: list[Any] = []
    on_failure: list[Any] = []


class WorkflowMapping(_Form):
    """``{workflow_id}.json``."""

    source_workflow_id: _Name
    target: WorkflowTargets


class UrlMapping(_Form):
    """The address of an environment in ``composer-url-mapping-{env}.json``."""

    project_id: str | None = None
    url: _Name


_EnvironmentName = TypeAdapter(Annotated[str, StringConstraints(min_length=1, pattern="^[^/]+$")])


def import_composer(files: Iterable[tuple[str, str]], *, environment: str) -> Imported:
    """Read any number of these files.

    :param files: each with its name, for messages, and its text.
    :param environment: that of the source workflows, which the files do not name.
    :raises CannotImport: a file is neither of the two kinds.
    """
    imported, upstreams = Imported(), Upstreams()
    named: dict[str, str] = {}
    for name, text in files:
        found = read_object(name, text)
        if "source_workflow_id" in found or "target" in found:
            try:
                mapping = WorkflowMapping.model_validate(found)
            except ValidationError as error:
                first = remarks_of(error, name)[0]
                raise CannotImport(f"{first.place}: {first.what}") from None
            _take_mapping(name, mapping, environment, imported, upstreams, named)
        elif found and all(isinstance(one, Mapping) and "url" in one for one in found.values()):
            _take_addresses(name, found, imported)
        else:
            raise CannotImport(
                f"{name}: neither a mapping (source_workflow_id, target) nor addresses (name to project_id and url)"
            )
    for downstream, of_upstream in sorted(upstreams.items()):
        imported.dependencies[downstream] = _entry(downstream, of_upstream, imported)
    for missing, place in sorted(named.items()):
        if missing not in imported.environments:
            imported.environments[missing] = {"kind": "composer", "url": _NO_ADDRESS}
            what = f"environment {missing!r} has no URL in any file: set [environments.{missing}] url"
            imported.left.append(Remark(place, what))
            imported.to_set.append(f"[environments.{missing}] url")
    if imported.environments:
        imported.to_set += ["airflow_version = 2 where it is an Airflow 2", "observe = true where it takes no plugin"]
        what = "each environment is taken for Airflow 3: where it is Airflow 2, set airflow_version = 2"
        imported.changed.append(Remark("coordinator.toml", what))
    return imported


def _take_mapping(
    name: str,
    mapping: WorkflowMapping,
    environment: str,
    imported: Imported,
    upstreams: Upstreams,
    named: dict[str, str],
) -> None:
    upstream = _reference(f"{name}: source_workflow_id", environment, mapping.source_workflow_id, imported)
    if upstream is None:
        return
    named.setdefault(environment, name)
    unknown = mapping.unknown() + mapping.target.unknown("target")
    for end, state in _ENDS.items():
        for number, given in enumerate(getattr(mapping.target, end)):
            loc = ("target", end, number)
            place = place_in(name, loc)
            try:
                target = WorkflowTarget.model_validate(given)
            except ValidationError as error:
                imported.left += remarks_of(error, name, *loc)
                continue
            downstream = _reference(place, target.environment_name, target.dag_id, imported)
            if downstream is None:
                continue
            if downstream == upstream:
                imported.left.append(Remark(place, f"{downstream} triggers itself"))
                continue
            named.setdefault(target.environment_name, place)
            ends = upstreams.setdefault(downstream, {}).setdefault(upstream, [])
            if state in ends:
                imported.changed.append(Remark(place, f"duplicate target ignored: {downstream}"))
            else:
                ends.append(state)
            unknown += target.unknown(*loc)
    imported.left += [Remark(place_in(name, loc), "an unknown field") for loc in unknown]


def _take_addresses(name: str, found: Mapping[str, Any], imported: Imported) -> None:
    for environment, given in found.items():
        try:
            _EnvironmentName.validate_python(environment)
            mapping = UrlMapping.model_validate(given)
        except ValidationError as error:
            imported.left += remarks_of(error, name, environment)
            continue
        url = mapping.url.rstrip("/")
        known = imported.environments.get(environment)
        if known is not None and known["url"] != url:
            what = f"left out: {environment} keeps the address of a file before, {known['url']}, and not {url}"
            imported.left.append(Remark(place_in(name, (environment,)), what))
            continue
        imported.left += [Remark(place_in(name, loc), "an unknown field") for loc in mapping.unknown(environment)]
        imported.environments[environment] = {"kind": "composer", "url": url}


def _reference(place: str, environment: str, dag_id: str, imported: Imported) -> str | None:
    try:
        return reference(environment, dag_id)
    except ValueError as error:
        imported.left.append(Remark(place, str(error)))
        return None


def _entry(downstream: str, of_upstream: dict[str, list[str]], imported: Imported) -> Any:
    branches: list[Any] = []
    for upstream, ends in sorted(of_upstream.items()):
        on = ends[0] if len(ends) == 1 else "done"
        branches.append(upstream if on == "success" else {"pipeline": upstream, "on": on})
    if len(branches) == 1:
        return branches[0] if isinstance(branches[0], str) else {"upstream": branches[0]}
    imported.changed.append(
        Remark(
            f"dependencies.json: {downstream}",
            f"each of {len(branches)} upstreams starts it, as before ('any'; once where several end together); "
            "where it needs all of them, write 'all'",
        )
    )
    return {"upstream": {"any": branches}}
