"""The checks of ``doctor``. They find and grade; they print nothing and raise nothing."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from coordinator.cli.document_checkup import read_document, warning_of
from coordinator.cli.finding import Finding, Grade
from coordinator.cli.reporters_checkup import examine_reporters
from coordinator.cli.runs_checkup import examine_observed, examine_sensors
from coordinator.config.airflow import AirflowSettings
from coordinator.config.credentials import exposed
from coordinator.config.environments import EnvironmentSettings
from coordinator.config.etcd import EtcdSettings
from coordinator.config.http import HttpSettings
from coordinator.config.insecure import insecure_settings
from coordinator.config.kinds import AIRFLOW
from coordinator.config.same_airflow import same_airflow
from coordinator.config.settings import Settings
from coordinator.errors import ConfigurationError, CoordinatorError
from coordinator.model import bounds
from coordinator.model.assets.bridges import bridges_in
from coordinator.model.assets.names import is_asset, is_of_assets
from coordinator.model.conditions import leaves
from coordinator.model.dependencies import Document
from coordinator.model.partitions import Identity, Latest
from coordinator.model.phrases import some_of
from coordinator.model.publishing.never_met import never_met
from coordinator.model.publishing.unmet_lately import seen_in, unmet_lately
from coordinator.model.references import PipelineRef
from coordinator.reading.files import differing_files, file_problems
from coordinator.runners.making import make_runner
from coordinator.runners.port import NO_TASKS, EnvironmentFault, EnvironmentReport
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

_REMEDIES = {
    EnvironmentFault.UNREACHABLE: "start its API server, or correct the url in {section}",
    EnvironmentFault.LOGIN: "correct the username and the password, or the token, in {section}",
    EnvironmentFault.RIGHTS: (
        "give the user of {section} the rights in docs/deploy.md: to read DAGs; to read, create and edit DAG runs; for "
        "tasks and sensors, to read and edit task instances"
    ),
    EnvironmentFault.ANSWER: (
        "correct the url in {section}: expected that of an Airflow 3, without /api/v2; Airflow 2 needs "
        'kind = "airflow2"'
    ),
    EnvironmentFault.DATABASE: "start the database of this Airflow, or see why its API server cannot reach it",
    EnvironmentFault.SCHEDULER: "start its scheduler (airflow scheduler); if it runs, its log says what it waits for",
    EnvironmentFault.SETTINGS: "correct {section}",
    EnvironmentFault.MISTAKE: "report it",
}

_REMEDIES_OF_KINDS = {
    ("airflow2", EnvironmentFault.ANSWER): (
        "correct the url in {section}: expected that of an Airflow 2.9 to 2.11, without /api/v1; Airflow 3 needs "
        'kind = "airflow"'
    ),
    ("composer", EnvironmentFault.LOGIN): (
        "give the coordinator Google's application default credentials, of an account that may use this environment"
    ),
    ("composer", EnvironmentFault.ANSWER): "correct the url in {section}, or airflow_version: 2 or 3",
    ("mwaa", EnvironmentFault.LOGIN): (
        "give the coordinator AWS credentials (variables, a profile or a role) that may call airflow:InvokeRestApi"
    ),
    ("mwaa", EnvironmentFault.RIGHTS): "give the role of {section} the right airflow:InvokeRestApi, as Op or Admin",
    ("mwaa", EnvironmentFault.ANSWER): "correct mwaa_name, region or airflow_version in {section}",
}
"""Where the general remedy is wrong."""

_WHERE = "in dependencies.json, or in the sensor that waits (coordinator waits), whose task is then to be cleared"

_SAFE = "3.6.14, 3.7.1 or later"


def examine(settings: Settings, dependencies: Path | None) -> list[Finding]:
    """Check etcd, the dependencies and every environment.

    :param dependencies: the file; ``None``: the published documents.
    """
    document, of_document = read_document(
        dependencies, settings.etcd, environments=settings.environments, sources=settings.items
    )
    pipelines, waited_for = _named_in(document), set[PipelineRef]()
    findings = [
        _configuration(settings),
        *_examine_etcd(settings, document, waited_for),
        *_examine_http(settings.http),
        *(Finding(Grade.WARNING, "encryption", *insecure) for insecure in insecure_settings(settings)),
        *_exposed_files(settings),
        *of_document,
        *_unconfigured(pipelines, settings),
        *(Finding(Grade.WARNING, "environments", *same) for same in same_airflow(settings)),
        *silent_sources(document, settings),
    ]
    pipelines |= {each.whole for each in waited_for}
    dag_ids = {
        name: sorted({each.dag_id for each in pipelines if each.environment == name and not is_of_assets(each)})
        for name in settings.environments
    }
    tasks = tasks_by_environment(
        [*(leaf.upstream for entry in document.values() for leaf in leaves(entry.condition)), *waited_for]
    )
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        reports = pool.map(
            lambda name: ask_environment(
                name, settings.environments[name], dag_ids[name], tasks=tasks.get(name, NO_TASKS)
            ),
            settings.environments,
        )
        for name, report in zip(settings.environments, reports, strict=True):
            kind = settings.environments[name].kind
            findings += evaluate_environment(name, report, len(dag_ids[name]), kind=kind)
            entries = {each.dag_id for each in document if each.environment == name}
            findings += started_by_both(name, report, entries)
    return findings


def started_by_both(name: str, report: EnvironmentReport, entries: Collection[str]) -> Iterator[Finding]:
    """DAGs that a dependency starts, and assets as well. :param entries: the DAGs of this environment with an entry."""
    if both := [dag_id for dag_id in report.asset_dags if dag_id in entries]:
        found = f"DAGs with an entry whose own schedule names assets, so that both start them: {some_of(both, _NAMED)}"
        remedy = (
            'give them schedule=None, and let them wait for {"asset": ...} in dependencies.json; or take their entries '
            "out"
        )
        yield Finding(Grade.PROBLEM, f"environment {name}", found, remedy)


def silent_sources(document: Document, settings: Settings) -> Iterator[Finding]:
    """Environments whose asset events are handed on or waited for, and where nobody reports them."""
    upstreams = (leaf.upstream for entry in document.values() for leaf in leaves(entry.condition))
    sources = {bridge.source for bridge in bridges_in(document)}
    sources |= {upstream.environment for upstream in upstreams if is_asset(upstream)}
    for name in sorted(sources & set(settings.environments)):
        environment = settings.environments[name]
        if not isinstance(environment, AirflowSettings):
            found = f"its asset events are needed, and it is no Airflow but of the kind {environment.kind}"
            remedy = "take its assets out of the dependencies"
        elif environment.api_version == 2:
            found = "its asset events are needed, and an Airflow 2 tells no plugin of them"
            remedy = f"take its assets out of the dependencies, or upgrade {name} to Airflow 3"
        elif not environment.reports:
            found = "its asset events are needed, and by its settings no plugin reports there"
            remedy = f"install the plugin in {name}, and take 'observe' or 'plugin' out of [environments.{name}]"
        else:
            continue
        yield Finding(Grade.PROBLEM, f"asset events of {name}", found, remedy)


def evaluate_member(member: MemberStatus, *, quota: int) -> Iterator[Finding]:
    """Findings about an etcd member.

    :param quota: bytes that its database may have, if the member does not report it.
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


def evaluate_environment(
    name: str, report: EnvironmentReport, dags: int, *, kind: str = "airflow"
) -> Iterator[Finding]:
    """Findings about an environment.

    :param dags: how many DAGs it was asked about.
    :param kind: as in the settings.
    """
    subject = f"environment {name}"
    what = "DAGs" if kind in AIRFLOW else "pipelines"
    if report.problem is not None:
        yield Finding(Grade.PROBLEM, subject, report.problem, _remedy(name, report, kind))
    if report.missing_dags:
        found = f"{what} that do not exist there: {some_of(report.missing_dags, _NAMED)}"
        remedy = f"deploy them, or correct their names {_WHERE}"
        if kind in AIRFLOW:
            remedy += "; a DAG whose file cannot be imported does not exist either (airflow dags list-import-errors)"
        yield Finding(Grade.PROBLEM, subject, found, remedy)
    if report.paused_dags:
        found = f"{what} that are paused: {some_of(report.paused_dags, _NAMED)}"
        remedy = "unpause them: what is paused takes a run and never starts it"
        if kind in AIRFLOW:
            remedy = "unpause them (airflow dags unpause DAG): a paused DAG takes a run and never starts it"
        yield Finding(Grade.PROBLEM, subject, found, remedy)
    for dag_id, why in sorted(report.unusable_dags.items()):
        yield Finding(Grade.PROBLEM, subject, f"{dag_id} cannot run: {why}", f"correct it in [environments.{name}]")
    for missing in report.missing_tasks:
        found = f"{what[:-1]} {missing.dag_id} has no task {missing.task_id!r}, which something waits for"
        meant = f": did you mean {' or '.join(missing.near)}?" if missing.near else ""
        yield Finding(Grade.PROBLEM, subject, found, f"correct its name {_WHERE}{meant}")
    if not (
        report.problem or report.missing_dags or report.paused_dags or report.unusable_dags or report.missing_tasks
    ):
        version = f"version {report.version}" if report.version is not None else f"kind {kind}"
        yield Finding(Grade.OK, subject, f"{version}, {dags} {what} there and not paused")


def _remedy(name: str, report: EnvironmentReport, kind: str) -> str:
    """What to do about the problem of an environment."""
    section = f"[environments.{name}]"
    if report.remedy is not None or kind not in AIRFLOW:
        return report.remedy or f"see to it, or correct {section}"
    remedy = _REMEDIES_OF_KINDS.get((kind, report.fault), _REMEDIES[report.fault])
    if kind == "airflow" and (report.version or "").startswith("2."):
        remedy = _REMEDIES[EnvironmentFault.ANSWER]
    return remedy.format(section=section)


def _examine_etcd(settings: Settings, document: Document, waited_for: set[PipelineRef]) -> Iterator[Finding]:
    """:param waited_for: filled with the pipelines and tasks that sensors wait for."""
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
            yield from _watchers(store, keys, settings)
            yield from _unmet(store, keys, document)
            yield from examine_sensors(store, keys, settings, waited_for)
            yield from examine_observed(store, keys, settings)
    finally:
        store.close()


def evaluate_authentication(endpoints: Sequence[str], versions: Collection[str], *, is_on: bool) -> Iterator[Finding]:
    """Findings about authentication, on or off."""
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
    """Whether the HTTP server would start. Its address is not checked: a running watcher uses it."""
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
    """Files with secrets that everybody on this machine may read."""
    found = [("etcd", settings.etcd.password_source().exposed())]
    for section, key in (("etcd", settings.etcd.key), ("http", settings.http.key), ("ui", settings.ui.key)):
        found.append((section, exposed(key, "key") if key is not None else None))
    for name, environment in settings.environments.items():
        for source in environment.credentials(name):
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


def _watchers(store: EtcdStore, keys: Keys, settings: Settings) -> Iterator[Finding]:
    """Findings about the configurations and the dependencies files of the live watchers."""
    try:
        presences = [read_presence(item.value) for page in store.pages(keys.watchers) for item in page.items]
    except StoreError:
        return  # the finding about the leader's key says so already
    for presence in presences:
        if presence.environments is not None and (new := sorted({*settings.environments} - {*presence.environments})):
            found = f"it does not know {some_of(new, _NAMED)}; when it started, it was configured with "
            found += some_of(presence.environments, _NAMED)
            yield Finding(Grade.PROBLEM, f"watcher {presence.id}", found, "restart it, with this configuration")
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
    """Dependencies that the states of the upstreams never meet. If all dependencies are ``identity``, nothing is
    read."""
    told = {never.pipeline for never in never_met(document)}
    entries = [
        entry
        for entry in document.values()
        if entry.pipeline not in told
        and not all(isinstance(leaf.mapping, Identity | Latest) for leaf in leaves(entry.condition))
    ]
    upstreams = {leaf.pipeline for entry in entries for leaf in leaves(entry.condition)}
    try:
        states = [
            item.key
            for upstream in sorted(upstreams)
            for page in store.pages(keys.states_of(upstream))
            for item in page.items
        ]
    except StoreError as error:
        found = f"not compared with what has run: {error}"
        yield Finding(Grade.WARNING, "dependencies", found, "see to etcd first, then run doctor again")
        return
    seen = seen_in(key.target for key in map(keys.parse, states) if isinstance(key, StateKey))
    yield from map(warning_of, unmet_lately(entries, seen))


def _named_in(document: Document) -> set[PipelineRef]:
    return {*document, *(leaf.pipeline for entry in document.values() for leaf in leaves(entry.condition))}


def _configuration(settings: Settings) -> Finding:
    """Which file everything else is held against."""
    if settings.file is not None:
        return Finding(Grade.OK, "configuration", settings.file)
    remedy = "name the file with --config or COORDINATOR_CONFIG, if there is one"
    return Finding(Grade.OK, "configuration", "no file: variables and defaults alone", remedy)


def _unconfigured(pipelines: Collection[PipelineRef], settings: Settings) -> Iterator[Finding]:
    if (none := settings.without_environments) is not None:
        yield Finding(Grade.PROBLEM, "environments", *none)
        return
    for name in sorted({pipeline.environment for pipeline in pipelines} - set(settings.environments)):
        named = sorted(str(pipeline) for pipeline in pipelines if pipeline.environment == name)
        found = f"not configured, and named by {some_of(named, _NAMED)}"
        yield Finding(Grade.PROBLEM, f"environment {name}", found, f"add [environments.{name}]")


def tasks_by_environment(upstreams: Iterable[PipelineRef]) -> dict[str, dict[str, set[str]]]:
    """The tasks among these, by environment and DAG."""
    found: dict[str, dict[str, set[str]]] = {}
    for one in upstreams:
        if one.task:
            found.setdefault(one.environment, {}).setdefault(one.dag_id, set()).add(one.task)
    return found


def ask_environment(
    name: str,
    settings: EnvironmentSettings,
    dag_ids: list[str],
    *,
    tasks: Mapping[str, Collection[str]] = NO_TASKS,
) -> EnvironmentReport:
    """The report of an environment about these DAGs; if it did not answer, ``problem`` says why.

    :param tasks: by DAG, those that something waits for.
    """
    try:
        # Before any request: a missing credential is a problem even while the environment is down.
        for source in settings.credentials(name):
            source.read()
        runner = make_runner(name, settings)
        try:
            return runner.check(dag_ids, tasks=tasks)
        finally:
            runner.close()
    except CoordinatorError as error:
        return EnvironmentReport(problem=str(error), fault=EnvironmentFault.of(error))
