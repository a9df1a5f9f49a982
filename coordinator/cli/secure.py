"""``coordinator secure``: roles and users in etcd, each with the least permissions that its work needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.failures import ExitCode
from coordinator.cli.options import ConfigOption, JsonOption

if TYPE_CHECKING:
    from coordinator.config.etcd import EtcdSettings
    from coordinator.config.settings import Settings
    from coordinator.store.keys import Keys
    from coordinator.store.roles import Role
    from coordinator.store.securing import Changes, WantedUser

Names = list[str] | None


def secure(
    *,
    reporter: Annotated[
        Names, typer.Option(help="An environment that reports its runs; may be repeated.", metavar="ENV")
    ] = None,
    owner: Annotated[
        Names, typer.Option(help="Whose document is published: an environment, or 'default'.", metavar="NAME")
    ] = None,
    operator: Annotated[
        Names,
        typer.Option(help="An environment that has operators of its own, for its pipelines alone.", metavar="ENV"),
    ] = None,
    user: Annotated[
        Names,
        typer.Option(
            help="A user to add, or to give a role. One without a password is a certificate's CN.", metavar="USER=ROLE"
        ),
    ] = None,
    password_env: Annotated[
        Names, typer.Option(help="The variable that holds a user's password.", metavar="USER=VARIABLE")
    ] = None,
    password_file: Annotated[Names, typer.Option(help="The file that holds it.", metavar="USER=PATH")] = None,
    as_user: Annotated[
        str | None,
        typer.Option("--as", help="Who does it: a user with the role root.", show_default="as etcd.username says"),
    ] = None,
    do_apply: Annotated[bool, typer.Option("--apply", help="Add and correct these roles and users in etcd.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 unless etcd has exactly these.")
    ] = False,
    enable_auth: Annotated[
        bool,
        typer.Option(
            "--enable-auth",
            help="With --apply: turn authentication on at the end; clients without a user are refused from then on.",
        ),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who needs which rights in etcd, as a table and as etcdctl commands; with --apply, grant them.

    A reporter and an owner for each configured environment, or for those that are named; always the watcher, an
    operator for everything, and a viewer. What is missing is granted, what is too much is revoked. Other roles and
    users are never touched, and authentication is not turned on unasked.

    Exit code 1 with --check when etcd lacks something, or has too much.

    Example: [bold]coordinator secure --apply --as root --password-env root=ETCD_ROOT_PASSWORD[/bold]

    With users: [bold]--user watcher=watcher --password-file watcher=/run/secrets/etcd-watcher --user ann=viewer[/bold]
    """
    from coordinator.cli import secure_output
    from coordinator.cli.logins import etcd_as, logins_of, passwords_of
    from coordinator.config.loading import load_settings
    from coordinator.store.keys import Keys

    if enable_auth and not do_apply:
        raise typer.BadParameter("only with --apply", param_hint="--enable-auth")
    if check and do_apply:
        raise typer.BadParameter("expected one of them", param_hint="--apply, --check")
    settings = load_settings(config)
    keys = Keys(settings.etcd.prefix)
    roles = _roles(settings, keys, reporters=reporter, owners=owner, operators=operator)
    passwords = passwords_of(password_env or (), password_file or ())
    logins = logins_of(keys, roles, user or (), passwords)
    if unused := sorted(passwords.keys() - {login.user for login in logins} - {as_user}):
        raise typer.BadParameter(
            f"a password for {', '.join(unused)}, and no --user or --as of that name", param_hint="--password-*"
        )
    if not (do_apply or check):
        secure_output.print_description(keys, roles, logins, as_json=as_json)
        return
    changes, held, enabled = _seen_to(
        etcd_as(settings.etcd, as_user, passwords),
        keys,
        roles,
        [login.wanted() for login in logins],
        write=do_apply,
        enable=enable_auth,
    )
    secure_output.print_changes(changes, held, written=do_apply, enabled=enabled, as_json=as_json)
    if check and changes:
        raise typer.Exit(ExitCode.PROBLEM)


def _roles(settings: Settings, keys: Keys, *, reporters: Names, owners: Names, operators: Names) -> tuple[Role, ...]:
    """:raises ConfigurationError: environments are configured, and one of these is not among them."""
    from coordinator.commands.publish import check_owner
    from coordinator.model.publishing.owners import CENTRAL_OWNER
    from coordinator.model.references import DEFAULT_ENVIRONMENT
    from coordinator.store.roles import roles_of

    configured = sorted(settings.environments)
    if not (reporters or owners or operators):
        reporters, owners = configured or [DEFAULT_ENVIRONMENT], [CENTRAL_OWNER, *configured]
    elif configured:  # a mistyped name would become a role that fits no reporter
        for name in (*(reporters or ()), *(owners or ()), *(operators or ())):
            check_owner(name, configured)
    return roles_of(keys, reporters=reporters or (), owners=owners or (), operators=operators or ())


def _seen_to(
    etcd: EtcdSettings, keys: Keys, roles: Sequence[Role], people: Sequence[WantedUser], *, write: bool, enable: bool
) -> tuple[Changes, dict[str, list[str]], bool | None]:
    """The changes (made if ``write``), the users of each role, and whether authentication was turned on."""
    from coordinator.store import securing
    from coordinator.store.port import AccessDenied
    from coordinator.store.users import Users

    try:
        with Users(etcd) as users:
            changes = securing.find_changes(users, keys, roles, people)
            if write:
                securing.carry_out(users, changes)
            held = securing.holders(users, [role.name for role in roles])
            return changes, held, securing.enable_authentication(users) if enable else None
    except AccessDenied as error:
        raise AccessDenied(
            f"{error}; roles and users are for a user with the role root: --as root --password-env root=VARIABLE, or "
            "root's client certificate in etcd.cert and etcd.key"
        ) from error
