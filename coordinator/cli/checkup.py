"""What ``doctor`` looks at, and what it makes of it. Finds and grades; prints nothing, raises nothing."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from coordinator.cli.document_checkup import read_document, warning_of
from coordinator.cli.files_output import differing_files, file_problems
from coordinator.cli.finding import Finding, Grade
from coordinator.cli.reporters_checkup import examine_reporters
from coordinator.config.credentials import exposed
from coordinator.config.insecure import insecure_settings
from coordinator.config.settings import EnvironmentSettings, EtcdSettings, HttpSettings, Settings
from coordinator.errors import ConfigurationError, CoordinatorError
from coordinator.model import bounds
from coordinator.model.conditions import leaves
from coordinator.model.dependencies import Document
from coordinator.model.partitions import Identity, Latest
from coordinator.model.phrases import some_of
from coordinator.model.publishing.never_met import never_met
from coordinator.model.publishing.unmet_lately import seen_in, unmet_lately
from coordinator.model.references import PipelineRef
from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.port import EnvironmentReport
from coordinator.store.capacity import PROBLEM_FROM, REMEDY, WARNING_FROM, fullness_of
from coordinator.store.connection import EtcdStore, MemberStatus, connect
from coordinator.store.keys import Keys, StateKey
from coordinator.store.port import StoreError
from coordinator.store.presence import read_presence
from coordinator.store.roles import is_enforced
from coordinator.store.users import Users

_AT_ONCE = 8
_NAMED = 10

_INCONSISTENT = ((3, 5, 0), (3, 5, 2))
"""etcd's own announcement: data of a member may become inconsistent when it is killed under load."""

_KEEPS_EVENTS_SINCE = (3, 5, 18)
"""Releases before it may lose events of a watch."""

_SAFE = "3.6.14, 3.7.1 or later"


def examine(settings: Settings, dependencies: Path | None) -> list[Finding]:
    """Look at etcd, the dependencies and every environment.

    :param dependencies: the file with them; ``None``: what is published.
    """
    document, of_document = read_document(dependencies, settings.etcd)
    pipelines = _named_in(document)
    findings = [
        *_examine_etcd(settings, document),
        *_examine_http(settings.http),
        *(Finding(Grade.WARNING, "encryption", *insecure) for insecure in insecure_settings(settings)),
        *_exposed_files(settings),
        *of_document,
        *_unconfigured(pipelines, settings.environments),
    ]
    dag_ids = {
        name: sorted({each.dag_id for each in pipelines if each.environment == name}) for name in settings.environments
    }
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        reports = pool.map(
            lambda name: ask_environment(name, settings.environments[name], dag_ids[name]), settings.environments
        )
        for name, report in zip(settings.environments, reports, strict=True):
            findings += evaluate_environment(name, report, len(dag_ids[name]))
    if not settings.environments:
        findings.append(Finding(Grade.PROBLEM, "environments", "none is configured", "add [environments.default]"))
    return findings


def evaluate_member(member: MemberStatus, *, quota: int) -> Iterator[Finding]:
    """What an etcd member's answer means.

    :param quota: bytes that its database may have, where it does not say it.
    """
    subject = f"etcd {member.endpoint}"
    if member.problem is not None:
        yield Finding(Grade.PROBLEM, subject, member.problem, "start it, or correct [etcd] in the configuration")
        return
    for alarm in member.alarms:
        remedy = "compact, defragment and disarm" if alarm == "NOSPACE" else "restore this member from a good one"
        yield Finding(Grade.PROBLEM, subject, f"alarm {alarm}", remedy)
    if not member.has_leader:
        yield Finding(Grade.PROBLEM, subject, "its cluster has no leader", "start the other members")
    version = _numbers(member.version)
    if _INCONSISTENT[0] <= version <= _INCONSISTENT[1]:
        found = f"version {member.version}: a member that is killed under load may lose consistency"
        yield Finding(Grade.WARNING, subject, found, f"not for production: use {_SAFE}")
    elif version < _KEEPS_EVENTS_SINCE:
        found = f"version {member.version}: watches may lose events (the coordinator makes up for it)"
        yield Finding(Grade.WARNING, subject, found, f"for production use {_SAFE}")
    elif not is_enforced(version):
        found = f"version {member.version}: a client can get past the roles of users"
        yield Finding(Grade.WARNING, subject, found, f"for production use {_SAFE}")
    else:
        yield Finding(Grade.OK, subject, f"version {member.version}, {member.db_size / 2**20:.1f} MiB")
    fullness = fullness_of(member, quota=quota)
    if fullness.share >= WARNING_FROM:
        grade = Grade.PROBLEM if fullness.share >= PROBLEM_FROM else Grade.WARNING
        yield Finding(grade, subject, str(fullness), f"before etcd takes no more: {REMEDY}")


def evaluate_environment(name: str, report: EnvironmentReport, dags: int) -> Iterator[Finding]:
    """What an environment's answer means. ``dags``: how many it was asked about."""
    subject = f"environment {name}"
    if report.problem is not None:
        yield Finding(Grade.PROBLEM, subject, report.problem, f"see that it runs, and correct [environments.{name}]")
    if report.missing_dags:
        found = f"not there: {some_of(report.missing_dags, _NAMED)}"
        yield Finding(Grade.PROBLEM, subject, found, "deploy them, or correct dependencies.json")
    if report.paused_dags:
        found = f"paused: {some_of(report.paused_dags, _NAMED)}"
        yield Finding(Grade.PROBLEM, subject, found, "unpause them: a paused DAG takes a run and never starts it")
    if not (report.problem or report.missing_dags or report.paused_dags):
        yield Finding(Grade.OK, subject, f"version {report.version}, {dags} DAGs there and not paused")


def _examine_etcd(settings: Settings, document: Document) -> Iterator[Finding]:
    try:
        store = connect(settings.etcd)
    except ConfigurationError as error:
        yield Finding(Grade.PROBLEM, "etcd", str(error), "correct [etcd] in the configuration")
        return
    try:
        members = store.status()
        for member in members:
            yield from evaluate_member(member, quota=settings.etcd.quota_mib * bounds.MIB)
        if any(member.problem is None for member in members):
            yield from _authentication(settings.etcd, members)
            keys = Keys(settings.etcd.prefix)
            yield _leader(store, keys)
            yield from examine_reporters(settings, store, keys, {one.environment for one in _named_in(document)})
            yield from _files(store, keys)
            yield from _unmet(store, keys, document)
    finally:
        store.close()


def evaluate_authentication(endpoints: Sequence[str], versions: Collection[str], *, is_on: bool) -> Iterator[Finding]:
    """What it means that etcd asks, or does not ask, who somebody is."""
    if is_on:
        leaky = [version for version in sorted({*versions}) if not is_enforced(_numbers(version))]
        if leaky:
            found = f"version {', '.join(leaky)}: a client can get past the roles of users"
            yield Finding(Grade.WARNING, "etcd users", found, f"use {_SAFE}")
    elif not all(map(_is_this_machine, endpoints)):
        found = "authentication is off: whoever reaches etcd may change everything in it"
        yield Finding(Grade.WARNING, "etcd users", found, "give each one its rights: coordinator secure")


def _authentication(etcd: EtcdSettings, members: Sequence[MemberStatus]) -> Iterator[Finding]:
    try:
        with Users(etcd) as users:
            is_on = users.authentication_is_on()
    except StoreError as error:
        yield Finding(Grade.WARNING, "etcd users", str(error), "ask again as a user who may see it: [etcd] username")
        return
    versions = {member.version for member in members if member.version}
    yield from evaluate_authentication(etcd.endpoints, versions, is_on=is_on)


def _is_this_machine(endpoint: str) -> bool:
    host = endpoint.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def _examine_http(http: HttpSettings) -> Iterator[Finding]:
    """Whether the server would start. Not its address: a watcher that runs has taken that."""
    if http.listen is None:
        return
    from coordinator.controller.http_tls import tls_context

    try:
        tls = tls_context(http)
    except ConfigurationError as error:
        yield Finding(Grade.PROBLEM, "http", str(error), "correct [http] in the configuration")
        return
    secured = "without TLS" if tls is None else "with TLS" if http.client_ca is None else "with TLS for known clients"
    yield Finding(Grade.OK, "http", f"{http.listen}, {secured}")


def _exposed_files(settings: Settings) -> Iterator[Finding]:
    """Files with secrets in them that everybody on this machine may read."""
    found = [("etcd", settings.etcd.password_source().exposed())]
    for section, key in (("etcd", settings.etcd.key), ("http", settings.http.key)):
        found.append((section, exposed(key, "key") if key is not None else None))
    for name, environment in settings.environments.items():
        for source in (environment.password_source(name), environment.token_source(name)):
            found.append((f"environment {name}", source.exposed()))
    for subject, problem in found:
        if problem is not None:
            yield Finding(Grade.WARNING, subject, problem, "chmod o-r, and let who runs the coordinator own it")


def _leader(store: EtcdStore, keys: Keys) -> Finding:
    try:
        leader = store.get(keys.leader)
    except StoreError as error:
        return Finding(Grade.PROBLEM, f"keys {keys.root}", str(error), "give this user a role: coordinator secure")
    if leader is None:
        return Finding(Grade.WARNING, "watcher", "none leads", "start one: coordinator watch")
    return Finding(Grade.OK, "watcher", f"leads: {read_presence(leader.value)}")


def _files(store: EtcdStore, keys: Keys) -> Iterator[Finding]:
    """The dependencies files of the watchers that are there."""
    try:
        presences = [read_presence(item.value) for page in store.pages(keys.watchers) for item in page.items]
    except StoreError:
        return  # told of the leader's key already
    for place, problem in file_problems(presences).items():
        yield Finding(
            Grade.PROBLEM,
            place,
            problem,
            "correct the file, or publish it nevertheless: coordinator plan FILE says how",
        )
    for difference in differing_files(presences):
        yield Finding(Grade.WARNING, "dependencies files", difference, "give all of these watchers the same file")


def _unmet(store: EtcdStore, keys: Keys, document: Document) -> Iterator[Finding]:
    """What pipelines wait for in vain, by the states of their upstreams. Where all dependencies are ``identity``,
    nothing is read."""
    told = {never.pipeline for never in never_met(document)}
    entries = [
        entry
        for entry in document.values()
        if entry.pipeline not in told
        and not all(isinstance(leaf.mapping, Identity | Latest) for leaf in leaves(entry.condition))
    ]
    upstreams = {leaf.upstream for entry in entries for leaf in leaves(entry.condition)}
    try:
        states = [
            item.key
            for upstream in sorted(upstreams)
            for page in store.pages(keys.states_of(upstream))
            for item in page.items
        ]
    except StoreError as error:
        found = f"not held against what has run: {error}"
        yield Finding(Grade.WARNING, "dependencies", found, "see to etcd first, then run doctor again")
        return
    seen = seen_in(key.target for key in map(keys.parse, states) if isinstance(key, StateKey))
    yield from map(warning_of, unmet_lately(entries, seen))


def _named_in(document: Document) -> set[PipelineRef]:
    return {*document, *(leaf.upstream for entry in document.values() for leaf in leaves(entry.condition))}


def _unconfigured(
    pipelines: Collection[PipelineRef], environments: Mapping[str, EnvironmentSettings]
) -> Iterator[Finding]:
    for name in sorted({pipeline.environment for pipeline in pipelines} - set(environments)):
        named = sorted(str(pipeline) for pipeline in pipelines if pipeline.environment == name)
        found = f"not configured, and named by {some_of(named, _NAMED)}"
        yield Finding(Grade.PROBLEM, f"environment {name}", found, f"add [environments.{name}]")


def ask_environment(name: str, settings: EnvironmentSettings, dag_ids: list[str]) -> EnvironmentReport:
    """What an environment says of these DAGs; what kept it from answering is in ``problem``."""
    try:
        # Before any request: a credential that is not there is a problem also while the environment is away.
        settings.password(name)
        settings.token(name)
        runner = AirflowRunner(name, settings)
        try:
            return runner.check(dag_ids)
        finally:
            runner.close()
    except CoordinatorError as error:
        return EnvironmentReport(problem=str(error))
