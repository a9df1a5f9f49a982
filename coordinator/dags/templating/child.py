"""The process in which templates are rendered: ``python -P -m coordinator.dags.templating.child``.

On stdin it gets one JSON object, and answers each of its jobs, in their order, by a line of JSON. A template that takes
too long is interrupted here, so that the place can be told; the parent ends a process that no signal interrupts.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from coordinator.dags.templating.compiling import check_output
from coordinator.dags.templating.expressions import literal, written
from coordinator.dags.templating.templates import BadTemplate, Templates, TooLong


def main() -> None:
    """Render what stdin asks for."""
    work = json.load(sys.stdin)
    _limit_memory(work["memory_limit"])
    templates = Templates(Path(work["templates"]), written=written, filters={"literal": literal})
    for job in work["jobs"]:
        _say(_done(templates, job, work["time_limit"]))


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _done(templates: Templates, job: dict[str, Any], time_limit: float) -> dict[str, Any]:
    """The text, or what is wrong, as the fields of a finding. Without a file it is about the output.

    Of a job without values the template is checked only.
    """
    try:
        if job["values"] is None:
            templates.check(job["template"])
            return _wrong()
        with _limited(time_limit):
            text = templates.render(job["template"], job["values"])
            unused = templates.unused(job["template"], job["own"])
    except BadTemplate as bad:
        told = _finding("template", bad.line, bad.reason, bad.remedy, file=str(bad.file))
        near = _near(templates, job, bad.undefined) if bad.undefined else ""
        return _wrong({**told, "missing": bad.missing, "undefined": bad.undefined, "near": near})
    findings = [_finding(bad.rule, bad.line, bad.reason, bad.remedy) for bad in check_output(text, job["dag_id"])]
    findings += [
        {
            **_finding(
                "unused-value", 0, f"no template uses the value {name}", "correct its name, or remove it", file=""
            ),
            "value": name,
        }
        for name in unused
    ]
    return _wrong(*findings) if findings else {"text": text}


def _near(templates: Templates, job: dict[str, Any], undefined: str) -> str:
    """The value of the entry itself that no template uses, and that may be meant; empty: there is none."""
    near = get_close_matches(undefined, templates.unused(job["template"], job["own"]), n=1)
    return near[0] if near else ""


def _wrong(*findings: dict[str, Any]) -> dict[str, Any]:
    return {"findings": list(findings)}


def _finding(rule: str, line: int, reason: str, remedy: str, *, file: str | None = None) -> dict[str, Any]:
    """:param file: a template; empty: the configuration; ``None``: the output."""
    return {"rule": rule, "line": line, "reason": reason, "remedy": remedy, "file": file}


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def too_long(*_: object) -> None:
        raise TooLong(f"it is not done after {seconds:g} s")

    signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _limit_memory(limit: int) -> None:
    """Linux keeps to it; where a system refuses, the limit on an output's length remains."""
    import resource

    try:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    except (ValueError, OSError):
        return


if __name__ == "__main__":
    main()
