"""The dependencies that ``doctor`` checks, and their own problems.

They are read from a file, or, if there is none, from the published documents: an operator of the service need not have
the file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from coordinator.cli.finding import Finding, Grade
from coordinator.commands.publish import read_publications
from coordinator.config.etcd import EtcdSettings
from coordinator.errors import ConfigurationError
from coordinator.model.dependencies import Document
from coordinator.model.documents import DependenciesError, Problem, parse_document
from coordinator.model.graph import CycleFound
from coordinator.model.phrases import counted
from coordinator.model.publishing.misspelled import misspelled
from coordinator.model.publishing.never_met import NeverMet, never_met
from coordinator.model.publishing.owners import merge
from coordinator.model.publishing.started_twice import started_twice
from coordinator.store.connection import connect
from coordinator.store.keys import Keys
from coordinator.store.port import StoreError

_PUBLISHED = "published dependencies"


def read_document(
    dependencies: Path | None,
    etcd: EtcdSettings,
    *,
    environments: Collection[str] = (),
    sources: Collection[str] | None = None,
) -> tuple[Document, list[Finding]]:
    """The dependencies, and findings about them. An unreadable document is empty.

    :param dependencies: the file; ``None``: the published documents.
    :param environments: those that are configured. Others that a file with mistakes names are mistakes, too; of a good
        file its pipelines say it.
    :param sources: those of rows that are configured; ``None``: not looked at.
    """
    document, findings = _of_file(dependencies, environments) if dependencies is not None else _of_etcd(etcd)
    return document, [
        *findings,
        *(() if sources is None else _without_source(document, sources)),
        *map(warning_of, (*never_met(document), *misspelled(document), *started_twice(document))),
    ]


def _without_source(document: Document, sources: Collection[str]) -> Iterator[Finding]:
    """The pipelines that fan out over rows of a source that is not configured."""
    for pipeline, entry in document.items():
        if entry.items is not None and entry.items.file and entry.items.file not in sources:
            found = f"its rows are in the source {entry.items.file!r}, which is not configured"
            yield Finding(Grade.PROBLEM, f"items of {pipeline}", found, f"add [items.{entry.items.file}]")


def warning_of(never: NeverMet) -> Finding:
    """The finding about a dependency that is never met."""
    return Finding(Grade.WARNING, f"dependencies of {never.pipeline}", never.reason, never.remedy)


def _of_file(dependencies: Path, environments: Collection[str]) -> tuple[Document, list[Finding]]:
    subject = str(dependencies)
    try:
        text = dependencies.read_bytes()
        document = parse_document(text, source=subject)
    except OSError as error:
        remedy = "name it with --dependencies"
        return {}, [Finding(Grade.PROBLEM, subject, f"cannot be read: {error.strerror}", remedy)]
    except DependenciesError as error:
        return {}, [
            Finding(
                Grade.PROBLEM,
                f"{subject}:{problem.line}:{problem.column}",
                f"{problem.path} {problem.reason}".strip(),
                problem.remedy,
            )
            for problem in _mistakes(error, text, environments)
        ]
    return document, [Finding(Grade.OK, subject, f"{_waiting(document)} for others")]


def _mistakes(error: DependenciesError, text: bytes, environments: Collection[str]) -> Sequence[Problem]:
    """All of them, with the environments that are not configured."""
    if environments:
        try:
            parse_document(text, source=error.source, environments=environments)
        except DependenciesError as of_all:
            return of_all.problems
    return error.problems


def _of_etcd(etcd: EtcdSettings) -> tuple[Document, list[Finding]]:
    try:
        store = connect(etcd)
    except ConfigurationError:  # the findings about etcd say why
        return {}, [_unread("etcd cannot be asked")]
    try:
        published = read_publications(store, Keys(etcd.prefix)).by_owner
    except StoreError as error:
        return {}, [_unread(str(error))]
    finally:
        store.close()
    try:
        graph, problems = merge(published)
    except CycleFound as error:
        problem = f"the documents together close a cycle: {error}"
        return {}, [Finding(Grade.PROBLEM, _PUBLISHED, problem, "remove one dependency of it, and publish that")]
    document = {node.downstream.pipeline: node.downstream for node in graph.nodes()}
    return document, [*_of_documents(sorted(published), document, problems)]


def _waiting(document: Document) -> str:
    return counted(len(document), "pipeline waits", "pipelines wait")


def _of_documents(owners: list[str], document: Document, problems: list[str]) -> Iterator[Finding]:
    for problem in problems:
        yield Finding(Grade.PROBLEM, _PUBLISHED, problem, "publish that document again: coordinator apply FILE")
    if owners:
        found = f"{_waiting(document)} for others, in the documents of {', '.join(owners)}"
        yield Finding(Grade.OK, _PUBLISHED, f"{found}; no file was looked at: there is no dependencies.json here")
    else:
        remedy = "publish one: coordinator apply FILE; or name a file with --dependencies"
        yield Finding(Grade.WARNING, _PUBLISHED, "there are none, and no dependencies.json here", remedy)


def _unread(why: str) -> Finding:
    remedy = "name a file with --dependencies"
    return Finding(Grade.WARNING, _PUBLISHED, f"cannot be read: {why}; no dependencies.json is here either", remedy)
