"""Reading the tree of what a pipeline waits for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from coordinator.model import bounds
from coordinator.model.assets.names import LONGEST_URI, asset_of
from coordinator.model.conditions import AtLeast, Condition, Dependency, On, all_of, any_of
from coordinator.model.documents.cycles import Edges
from coordinator.model.documents.fields import FieldReader
from coordinator.model.documents.findings import Cursor, Findings, TooManyFindings, described
from coordinator.model.documents.forms import ASSET, CONDITIONS
from coordinator.model.documents.json_text import Members
from coordinator.model.documents.mappings import MappingReader
from coordinator.model.partitions import Identity, Offset
from coordinator.model.partitions import Mapping as PartitionMapping
from coordinator.model.partitions.patterns import ANY
from coordinator.model.references import PipelineRef

CONDITION_FIELDS = tuple(name for form in CONDITIONS.values() for name in form.names)


class ConditionReader:
    """Reads conditions, and notes who waits for whom on the way: ``edges``."""

    def __init__(self, findings: Findings, fields: FieldReader) -> None:
        self._findings = findings
        self._fields = fields
        self._mappings = MappingReader(findings, fields)
        self.edges: Edges = {}
        self._dependencies = 0

    def read(self, cursor: Cursor, downstream: PipelineRef | None) -> Condition | None:
        """A condition; ``None`` when a part of it could not be read.

        :param downstream: who waits; ``None`` when its own name could not be read.
        """
        match cursor.value:
            case str():
                return self._dependency(cursor, {}, downstream)
            case list():
                branches = self._branches(cursor, downstream)
                return None if branches is None else all_of(*branches)
            case Members():
                return self.read_fields(cursor, self._fields.members(cursor, "a condition"), downstream)
            case _:
                forms = ", ".join(CONDITIONS)
                self._findings.expected(cursor, f"a pipeline reference, a list, or an object with one of {forms}")
                return None

    def read_fields(
        self, cursor: Cursor, fields: Mapping[str, Cursor], downstream: PipelineRef | None
    ) -> Condition | None:
        """A condition whose fields have been taken out of an object. :param cursor: of that object."""
        forms = [form for form in CONDITIONS if form in fields]
        if not forms:
            self._fields.refuse_unknown(fields, known=CONDITION_FIELDS)
            self._findings.add(cursor, f"expected one of {', '.join(map(repr, CONDITIONS))}; found none of them")
            return None
        self._fields.refuse_unknown(fields, known=[name for form in forms for name in CONDITIONS[form].names])
        if len(forms) > 1:
            self._findings.add(cursor, f"{' and '.join(map(repr, forms))} in one object", "nest one in the other")
        read = [self._form(form, cursor, fields, downstream) for form in forms]
        return read[0] if len(read) == 1 else None

    def _form(
        self, form: str, cursor: Cursor, fields: Mapping[str, Cursor], downstream: PipelineRef | None
    ) -> Condition | None:
        match form:
            case "pipeline":
                return self._dependency(fields["pipeline"], fields, downstream)
            case "asset":
                return self._asset(cursor, fields, downstream)
            case "at_least":
                return self._at_least(cursor, fields, downstream)
            case _:
                branches = self._branches(fields[form], downstream)
                if branches is None:
                    return None
                return all_of(*branches) if form == "all" else any_of(*branches)

    def _at_least(
        self, cursor: Cursor, fields: Mapping[str, Cursor], downstream: PipelineRef | None
    ) -> Condition | None:
        n = self._fields.whole_number(fields["at_least"])
        if "of" not in fields:
            self._findings.add(cursor, "'of' is missing", 'write {"at_least": n, "of": [...]}')
            return None
        of = fields["of"].value
        branches = self._branches(fields["of"], downstream)
        if n is None:
            return None
        if isinstance(of, list) and of and not 1 <= n <= len(of):
            expected = f"expected 1 to {len(of)}, as 'of' has {len(of)} branches"
            self._findings.add(fields["at_least"], f"{expected}; found {n}")
            return None
        return None if branches is None else AtLeast(n, branches)

    def _branches(self, cursor: Cursor, downstream: PipelineRef | None) -> tuple[Condition, ...] | None:
        if not isinstance(cursor.value, list):
            self._findings.expected(cursor, "a list")
            return None
        if not cursor.value:
            self._findings.add(cursor, "empty list: nothing to wait for", "name an upstream, or remove the entry")
            return None
        first_given: dict[Condition, Cursor] = {}
        whole = True
        for item in cursor.items():
            branch = self.read(item, downstream)
            if branch is None:
                whole = False
            elif (first := first_given.setdefault(branch, item)) is not item:
                self._findings.add(item, f"{branch} is listed twice", "remove one", first=first)
                whole = False
        return tuple(first_given) if whole else None

    def _on(self, fields: Mapping[str, Cursor]) -> On:
        words = {str(on): on for on in On}
        shown = [word for word, on in words.items() if on is not On.SKIPPED or "task" in fields]
        found = self._fields.one_of(fields["on"], words, shown=shown) if "on" in fields else None
        return found or On.SUCCESS

    def _count(self, cursor: Cursor) -> None:
        self._dependencies += 1
        if self._dependencies > bounds.DEPENDENCIES:
            self._findings.add(
                cursor, f"more than {bounds.DEPENDENCIES} dependencies in a document", "split it by owner"
            )
            raise TooManyFindings

    def _of_any_upstream(self, fields: Mapping[str, Cursor]) -> tuple[PartitionMapping | None, bool, timedelta | None]:
        """What is said alike of pipelines, tasks and assets."""
        mapping = self._mappings.read(fields["partition"]) if "partition" in fields else Identity()
        trigger = self._fields.yes_or_no(fields.get("trigger"), True)
        max_age = self._fields.duration(fields["max_age"]) if "max_age" in fields else None
        return mapping, trigger, max_age

    def _asset(self, of: Cursor, fields: Mapping[str, Cursor], downstream: PipelineRef | None) -> Dependency | None:
        """An asset whose events are waited for. :param of: the object that says so."""
        cursor = fields["asset"]
        self._count(cursor)
        mapping, trigger, max_age = self._of_any_upstream(fields)
        uri = self._fields.name(cursor, "the URI of an asset", most=LONGEST_URI)
        if not self._fields.require(of, fields, ASSET.required):
            return None
        environment = self._fields.environment(fields["environment"])
        if uri is None or environment is None or mapping is None:
            return None
        if ANY in uri:
            remedy = "write out the URI of one asset; to wait for one of several, use 'any'"
            self._findings.add(cursor, f"{described(uri)} is a pattern, as bridges have it", remedy)
            return None
        upstream = asset_of(environment, uri)
        if downstream is not None:
            self.edges.setdefault(downstream, {}).setdefault(upstream, cursor)
        return Dependency(upstream, mapping=mapping, trigger=trigger, max_age=max_age)

    def _dependency(
        self, cursor: Cursor, fields: Mapping[str, Cursor], downstream: PipelineRef | None
    ) -> Dependency | None:
        """:param cursor: of the reference. :param fields: what else is said of the dependency."""
        self._count(cursor)
        on = self._on(fields)
        mapping, trigger, max_age = self._of_any_upstream(fields)
        text = self._fields.text(cursor, "a pipeline reference")
        upstream = None if text is None else self._fields.reference(text, cursor)
        if upstream is None:
            return None
        if upstream == downstream and not (isinstance(mapping, Offset) and mapping.goes_back):
            self._findings.add(cursor, f"{upstream} depends on itself", "remove it, or name an earlier partition")
            return None
        if downstream is not None:
            self.edges.setdefault(downstream, {}).setdefault(upstream, cursor)
        if "task" in fields:
            task = self._fields.name(fields["task"], "the id of a task", most=bounds.AIRFLOW_NAME)
            if task is None:
                return None
            upstream = upstream._replace(task=task)
        elif on is On.SKIPPED:
            self._findings.add(fields["on"], "a run is not skipped, only a task can be", "name the 'task'")
            return None
        return None if mapping is None else Dependency(upstream, on, mapping, trigger, max_age)
