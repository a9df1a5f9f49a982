"""Templates in a ``conf``: refused where they stand, for nobody renders them."""

from __future__ import annotations

from coordinator.model.conf import END_OF_RAW, RAW, template_in
from coordinator.model.documents.findings import Cursor, Findings, described
from coordinator.model.documents.json_text import Members


def refuse_templates(findings: Findings, cursor: Cursor) -> None:
    """Note each text and each name in a conf that holds a template."""
    match cursor.value:
        case str() as text:
            _refuse(findings, cursor, text)
        case Members():
            for member in cursor.members():
                _refuse(findings, member.at_key(), member.name)
                refuse_templates(findings, member)
        case list():
            for item in cursor.items():
                refuse_templates(findings, item)


def _refuse(findings: Findings, cursor: Cursor, text: str) -> None:
    if (template := template_in(text)) is not None:
        findings.add(
            cursor,
            f"conf is sent as it is written, without rendering {described(template)}",
            "let the DAG read its partition from dag_run.conf['coordinator']['partition']; to send the braces "
            f"themselves, put them between {RAW} and {END_OF_RAW}",
        )
