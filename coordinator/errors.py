"""The root of every error that this package raises on purpose.

The tree, so that a caller can catch as widely as it means to::

    CoordinatorError                  anything below
    +-- ConfigurationError            a file or variable that people wrote is wrong: place, reason, remedy
    |   +-- DependenciesError         ... in dependencies.json
    +-- CredentialUnavailable         the command that gives a credential failed: it may work again soon
    +-- InvalidReport                 a run state that nobody could read back
    +-- StoreError                    etcd
    |   +-- StoreUnavailable          no answer, or none that can be trusted: a write may have happened
    |   +-- Compacted                 the revision asked for is no longer kept
    |   +-- TransactionTooLarge       more operations or bytes than etcd takes in one transaction
    |   +-- AnswerTooLarge            an answer is larger than what the client takes: ask for less at once
    |   +-- AccessDenied              etcd knows us and says no
    |   +-- LeaseNotFound             the lease that a key was to be put on has expired
    +-- PublicationTooLarge           a document that nobody would read back: nothing is written
    +-- InputsUnknown                 what a run stands on is not recorded, or not for this run
    +-- NoSuchRevision                the etcd revision asked about is compacted, or has not come yet
    +-- ChangedMeanwhile              a state is not the one any more that a person looked at: look again
    +-- UnknownPipeline               nobody has ever named the pipeline asked about
    +-- NotOurs                       a role in etcd that looks like somebody else's: nothing was changed
    +-- CannotEnable                  etcd has no root: its authentication stays off
    +-- PasswordNotTaken              etcd gives a user that was added without a password none
    +-- EmbeddedEtcdError             our own etcd did not start, or is not the one that answers
    +-- EnvironmentUnavailable        an Airflow gave no answer that settles the question: ask again later
    +-- WatcherIdTaken                another watcher that lives has the same id
    +-- LeadershipLost                the lease is gone, or too short for what was about to be done

Each message says what was expected, what was found, where, and what to do.
"""


class CoordinatorError(Exception):
    """Anything that the coordinator raises on purpose."""


class ConfigurationError(CoordinatorError):
    """Something that people wrote (a file, a variable, an option) cannot be used as it stands.

    :param lines: one for each mistake. A line break inside one is part of a name.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(self.lines)


class CredentialUnavailable(CoordinatorError):
    """A command that was to give a credential failed, or took too long."""


class WatcherIdTaken(CoordinatorError):
    """Another watcher has the id of this one."""


class LeadershipLost(CoordinatorError):
    """This watcher may not write or send any more: its lease is gone or about to end."""
