"""Cloud Composer's files for dependencies between clusters (a function that reads them triggers the targets):

* ``{workflow_id}.json``: ``{"source_workflow_id": ..., "target": {"on_success": [...], "on_failure": [...]}}``, each
  target ``{"environment_name": ..., "dag_id": ...}``
* ``composer-url-mapping-{env}.json``: ``{name: {"project_id": ..., "url": ...}}``

There, each message triggers its targets by itself: a DAG that is the target of two workflows runs after either. So
several upstreams become ``any``. A person may want ``all``: that is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from coordinator.model.imports.imported import CannotImport, Imported, Remark, read_object, reference

_ENDS = {"on_success": "success", "on_failure": "failure", "on_done": "done"}

Upstreams = dict[str, dict[str, list[str]]]
"""By downstream, by upstream: the ends on which it is triggered."""


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
            _read_mapping(name, found, environment, imported, upstreams, named)
        elif found and all(isinstance(one, Mapping) and "url" in one for one in found.values()):
            _read_addresses(name, found, imported)
        else:
            raise CannotImport(
                f"{name}: neither a mapping (source_workflow_id, target) nor addresses (name to project_id and url)"
            )
    for downstream, of_upstream in sorted(upstreams.items()):
        imported.dependencies[downstream] = _entry(downstream, of_upstream, imported)
    for missing, place in sorted(named.items()):
        if missing not in imported.environments:
            imported.environments[missing] = {"kind": "airflow", "url": "https://example.invalid"}
            imported.left.append(Remark(place, f"the address of the environment {missing}: no file names it"))
    return imported


def _read_mapping(
    name: str,
    found: Mapping[str, Any],
    environment: str,
    imported: Imported,
    upstreams: Upstreams,
    named: dict[str, str],
) -> None:
    source, targets = found.get("source_workflow_id"), found.get("target")
    if not isinstance(source, str) or not source.strip() or not isinstance(targets, Mapping):
        raise CannotImport(f"{name}: expected source_workflow_id, a name, and target, an object")
    upstream = _reference(f"{name}: source_workflow_id", environment, source.strip(), imported)
    if upstream is None:
        return
    named.setdefault(environment, name)
    imported.left += [
        Remark(f"{name}: {key}", "an unknown field") for key in found.keys() - {"source_workflow_id", "target"}
    ]
    for end, those in targets.items():
        place = f"{name}: target.{end}"
        if end not in _ENDS or not isinstance(those, list):
            imported.left.append(Remark(place, f"expected one of {', '.join(_ENDS)}, with a list"))
            continue
        for number, target in enumerate(those):
            if not isinstance(target, Mapping):
                imported.left.append(Remark(f"{place}[{number}]", "expected environment_name and dag_id"))
                continue
            where, dag_id = target.get("environment_name"), target.get("dag_id")
            if not isinstance(where, str) or not isinstance(dag_id, str) or not where.strip() or not dag_id.strip():
                imported.left.append(Remark(f"{place}[{number}]", "expected environment_name and dag_id"))
                continue
            downstream = _reference(f"{place}[{number}]", where.strip(), dag_id.strip(), imported)
            if downstream is None:
                continue
            if downstream == upstream:
                imported.left.append(Remark(f"{place}[{number}]", f"{downstream} triggers itself"))
                continue
            named.setdefault(where.strip(), place)
            ends = upstreams.setdefault(downstream, {}).setdefault(upstream, [])
            if _ENDS[end] in ends:
                imported.changed.append(Remark(f"{place}[{number}]", f"{downstream} is named twice; once is enough"))
            else:
                ends.append(_ENDS[end])
            imported.left += [
                Remark(f"{place}[{number}].{key}", "an unknown field")
                for key in target.keys() - {"environment_name", "dag_id"}
            ]


def _read_addresses(name: str, found: Mapping[str, Any], imported: Imported) -> None:
    for environment, settings in found.items():
        url = settings["url"]
        if not isinstance(url, str) or "/" in environment:
            imported.left.append(Remark(f"{name}: {environment}", "expected a name without '/', and a url"))
            continue
        known = imported.environments.get(environment)
        if known is not None and known["url"] != url.rstrip("/"):
            imported.left.append(Remark(f"{name}: {environment}", f"another address is known: {known['url']}"))
            continue
        imported.environments[environment] = {"kind": "composer", "url": url.rstrip("/")}


def _reference(place: str, environment: str, dag_id: str, imported: Imported) -> str | None:
    try:
        return reference(environment, dag_id)
    except ValueError as error:
        imported.left.append(Remark(place, str(error)))
        return None


def _entry(downstream: str, of_upstream: dict[str, list[str]], imported: Imported) -> Any:
    branches: list[Any] = []
    for upstream, ends in sorted(of_upstream.items()):
        on = "done" if {"success", "failure"} <= {*ends} else ends[0]
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
