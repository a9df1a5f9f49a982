"""The playground's ``dependencies.json``: child to parent, or to a list of parents."""

from __future__ import annotations

from coordinator.model.imports.imported import Imported, Remark, read_object, reference
from coordinator.model.references import DEFAULT_ENVIRONMENT


def import_playground(name: str, text: str) -> Imported:
    """Read such a file. Its form is one of ours; what it cannot mean is left out, with the reason.

    :param name: the file, for messages.
    :raises CannotImport: it is no JSON object.
    """
    imported = Imported(environments={DEFAULT_ENVIRONMENT: {"kind": "airflow", "url": "http://127.0.0.1:8080"}})
    imported.to_set.append('[compat] etl_state = "/etl_state/tasks" where DAGs write their states there themselves')
    for child, parents in read_object(name, text).items():
        place = f"{name}: {child}"
        named = parents if isinstance(parents, list) else [parents]
        if not named or not all(isinstance(one, str) and one.strip() for one in named):
            imported.left.append(Remark(place, "expected the name of a DAG, or a list of such names"))
            continue
        upstreams = list(dict.fromkeys(one.strip() for one in named))
        if child.strip() in upstreams:
            imported.left.append(Remark(place, "it waits for itself"))
            continue
        try:
            entry = [reference(DEFAULT_ENVIRONMENT, one) for one in upstreams]
            imported.dependencies[reference(DEFAULT_ENVIRONMENT, child.strip())] = (
                entry[0] if len(entry) == 1 else entry
            )
        except ValueError as error:
            imported.left.append(Remark(place, str(error)))
    return imported
