"""Credentials by reference: the settings contain none, and name a variable, a file or a command that provides them.

No message contains a credential, or anything that could be one: of a command only the program is named, without its
arguments; its standard error is discarded, because tools print their input there.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.errors import ConfigurationError, CredentialUnavailable

if TYPE_CHECKING:
    import subprocess

COMMAND_WITHIN = 10.0
"""Seconds that a command may take; less if the request that waits for it has less time."""

AGAIN_AFTER = 5.0
"""Seconds after which a command may run again: a thousand refused requests must not run a thousand commands."""

LARGEST = 64 * 1024
"""Bytes of a credential, far more than any token has: a command that prints endlessly is ended."""


@dataclass(frozen=True, slots=True)
class CredentialSource:
    """Where to find one credential. Without value, variable, file and command there is none.

    :ivar owner: the section of the settings, for messages: ``environments.team_b``.
    :ivar kind: ``password`` or ``token``.
    :ivar command: program and arguments, run without a shell.
    :ivar value: the credential itself, from somewhere else than the settings: an Airflow connection.
    """

    owner: str
    kind: str
    variable: str | None = None
    file: Path | None = None
    command: tuple[str, ...] | None = None
    value: str | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return any(one is not None for one in (self.value, self.variable, self.file, self.command))

    def read(self, *, within: float = COMMAND_WITHIN, environ: Mapping[str, str] = os.environ) -> str | None:
        """The credential; ``None`` if none is configured.

        :param within: seconds that a command may take.
        :raises ConfigurationError: it is missing or malformed.
        :raises CredentialUnavailable: the command failed, perhaps temporarily.
        """
        if self.value is not None:
            return self.value
        if self.variable is not None:
            return self._of_variable(self.variable, environ)
        if self.file is not None:
            return self._of_file(self.file)
        if self.command is not None:
            return self._of_command(self.command, min(within, COMMAND_WITHIN))
        return None

    def exposed(self) -> str | None:
        """Why the file's permissions are unsafe; ``None``: they are not, or there is no file."""
        return None if self.file is None else exposed(self.file, f"{self.kind}_file")

    def _of_variable(self, variable: str, environ: Mapping[str, str]) -> str:
        if variable not in environ:
            raise ConfigurationError(
                f"{self.owner}: the environment variable {variable} is not set; it holds a credential"
            )
        return self._filled(environ[variable], f"the environment variable {variable}")

    def _of_file(self, file: Path) -> str:
        place = f"the credential file {file}"
        try:
            with file.open("rb") as opened:
                content = opened.read(LARGEST + 1)
        except OSError as error:
            raise ConfigurationError(f"{self.owner}: {place} cannot be read: {error.strerror}") from error
        if len(content) > LARGEST:
            raise ConfigurationError(f"{self.owner}: {place} has more than {LARGEST} bytes; expected a credential")
        return self._filled(self._text(content, place).strip(), place)

    def _of_command(self, command: tuple[str, ...], within: float) -> str:
        place = f"{self.kind}_command ({command[0]})"
        content = _output_of(command, within, f"{self.owner}: {place}")
        text = self._text(content, place).removesuffix("\n").removesuffix("\r")
        if "\n" in text:
            raise ConfigurationError(f"{self.owner}: {place} printed several lines; expected the credential alone")
        return self._filled(text, place)

    def _text(self, content: bytes, place: str) -> str:
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:  # its text would quote the content
            raise ConfigurationError(f"{self.owner}: {place} is not UTF-8 text; expected a credential") from None

    def _filled(self, text: str, place: str) -> str:
        if not text:
            raise ConfigurationError(f"{self.owner}: {place} is empty; expected a credential")
        return text


class Credential:
    """A credential, read whenever it is needed, by any thread, so that a rotated one is picked up.

    A variable and a file are read each time. The output of a command, or its failure, is kept for a short time.
    """

    def __init__(self, source: CredentialSource, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._read_at: float | None = None
        self._value: str | None = None
        self._failure: str | None = None

    def __repr__(self) -> str:
        return f"<Credential {self._source.owner} {self._source.kind}>"

    def get(self, *, within: float = COMMAND_WITHIN) -> str | None:
        """The credential. Raises as :meth:`CredentialSource.read` does.

        :param within: seconds that this may take in all; while one thread runs the command, others wait for it.
        """
        if self._source.command is None:
            return self._source.read()
        until = self._monotonic() + within
        if not self._lock.acquire(timeout=max(0.0, within)):
            raise CredentialUnavailable(
                f"{self._source.owner}: another thread's {self._source.kind}_command took longer than {within:.1f} s"
            )
        try:
            if not self._is_fresh():
                self._run(max(0.0, until - self._monotonic()))
            if self._failure is not None:
                raise CredentialUnavailable(self._failure)
            return self._value
        finally:
            self._lock.release()

    def _is_fresh(self) -> bool:
        return self._read_at is not None and self._monotonic() - self._read_at < AGAIN_AFTER

    def _run(self, within: float) -> None:
        self._value, self._failure = None, None
        try:
            self._value = self._source.read(within=within)
        except CredentialUnavailable as failure:
            self._failure = str(failure)  # not the error itself: its frames contain the output of the command
        self._read_at = self._monotonic()


def exposed(file: Path, name: str) -> str | None:
    """Why the permissions of a file with a secret are unsafe; ``None``: they are not, or there is no file.

    :param name: the name of the setting, for the message.
    """
    try:
        mode = file.stat().st_mode
    except OSError:  # reading the file reports the error
        return None
    if not mode & stat.S_IROTH:
        return None
    return f"{name} {file} is readable by everybody on this machine (mode {stat.S_IMODE(mode):04o})"


def _output_of(command: tuple[str, ...], within: float, place: str) -> bytes:
    """The output of a program, bounded by time and by :data:`LARGEST` bytes."""
    import subprocess

    until = time.monotonic() + within
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that its children end with it, and Ctrl-C reaches only us
        )
    except OSError as error:
        raise ConfigurationError(f"{place} cannot be run: {error.strerror}") from error
    except ValueError as error:  # a NUL in an argument
        raise ConfigurationError(f"{place} cannot be run: {error}") from error
    assert process.stdout is not None
    with process.stdout:  # not the process: that would wait for it without a bound
        try:
            output = _read_all(process, until)
            if output is None:
                raise ConfigurationError(f"{place} printed more than {LARGEST} bytes; expected a credential")
            status = process.wait(max(0.001, until - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            raise CredentialUnavailable(
                f"{place} took longer than {within:.1f} s, and was ended; expected it to print the credential, and to "
                "end together with its children: run it by hand"
            ) from None
        finally:
            # Not poll(): the program itself may have ended while its children keep its output open and live on. Its
            # number is not reused before somebody waits for it.
            if process.returncode is None:
                _end(process)
    if status:
        raise CredentialUnavailable(
            f"{place} ended with {status}, expected 0; its standard error is not shown, as it may contain a "
            "credential: run it by hand"
        )
    return output


def _read_all(process: subprocess.Popen[bytes], until: float) -> bytes | None:
    """The whole output; ``None`` if it is too long. :raises TimeoutError: it does not end in time."""
    import selectors

    assert process.stdout is not None
    output = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            left = until - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise TimeoutError
            piece = os.read(process.stdout.fileno(), LARGEST)
            if not piece:
                return output
            output += piece
            if len(output) > LARGEST:
                return None


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        # Not process.kill(): that would end a shell script, but not the program that it waits for.
        os.killpg(process.pid, signal.SIGKILL)
    except PermissionError:  # it runs as another user, as with sudo; without its pipe, it may end by itself
        return
    process.wait()
