"""The root of every error that this package raises on purpose.

The tree, so that a caller can catch as widely as it means to::

    CoordinatorError                  anything below
    +-- ConfigurationError            a file, a variable or an option is wrong: place, reason, remedy
    |   +-- DependenciesError         ... in dependencies.json
    |   +-- DagsConfigurationError    ... in dags.yaml
    +-- CredentialUnavailable         the command that gives a credential failed: it may work again soon
    +-- InvalidReport                 a run state that nobody could read back
    +-- StoreError                    etcd
    |   +-- StoreUnavailable          no answer, or an unreliable one: a write may have happened
    |   +-- Compacted                 the requested revision is no longer kept
    |   +-- TransactionTooLarge       more operations or bytes than etcd accepts in one transaction
    |   +-- AnswerTooLarge            an answer is larger than the client accepts: ask for less at once
    |   +-- AccessDenied              etcd refuses: the user may not do this
    |   +-- LeaseNotFound             the lease of a put has expired
    +-- PublicationTooLarge           a document that readers would refuse: nothing is written
    +-- InputsUnknown                 the inputs of a run are not recorded
    +-- NoSuchRevision                the requested etcd revision is compacted, or lies in the future
    +-- ChangedMeanwhile              something has changed since a person looked at it: look again
    +-- UnknownPipeline               no document names the pipeline, and it has no keys
    +-- UnknownPartition              neither the pipeline nor an upstream of it has a key in the partition
    +-- RunNotFound                   no key names the run, nor does its run_id say what it is about
    +-- BadAddress                    an address of the page can name nothing
    +-- NoAnswer                      the page has too many questions, or one takes too long: ask again later
    +-- NotOurs                       a role in etcd that looks like somebody else's: nothing was changed
    +-- CannotEnable                  etcd has no root user: its authentication stays off
    +-- PasswordNotTaken              a user that was added without a password cannot get one
    +-- EmbeddedEtcdError             our own etcd did not start, or another server answers
    +-- EnvironmentUnavailable        an Airflow gave no answer that settles the question: ask again later
    +-- DeployError                   somebody else is, or was, at work in the target of a deploy
    +-- TargetUnavailable             the target of a deploy gives no answer: the same command goes on later
    +-- TargetRefused                 the target of a deploy says no
    +-- WatcherIdTaken                another live watcher has the same id
    +-- LeadershipLost                the lease has ended, or is too short for the next step

Each message says what was expected, what was found, where, and what to do.
"""


class CoordinatorError(Exception):
    """Anything that the coordinator raises on purpose."""


class ConfigurationError(CoordinatorError):
    """A file, a variable or an option is wrong.

    :param lines: one for each mistake. A line break inside one is part of a name.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(self.lines)


class CredentialUnavailable(CoordinatorError):
    """A command that provides a credential failed, or took too long."""


class WatcherIdTaken(CoordinatorError):
    """Another watcher has the id of this one."""


class LeadershipLost(CoordinatorError):
    """This watcher may not write or send any more: its lease is gone or about to end."""
