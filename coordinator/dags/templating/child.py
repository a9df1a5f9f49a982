"""The process in which templates are rendered: ``python -P -m coordinator.dags.templating.child MEMORY_LIMIT``.

On stdin it gets JSON objects, one a line, and answers each by a line of JSON: first where the templates are, then the
values that the jobs after it have in common, or a job. So it holds the values of one job at a time. A template that
takes too long is interrupted here, so that the place can be told; the parent ends a process that no signal interrupts.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from coordinator.dags.limits import limit_memory
from coordinator.dags.templating.compiling import check_output
from coordinator.dags.templating.expressions import literal, written
from coordinator.dags.templating.templates import BadTemplate, Templates, TooLong

_LONGEST_REASON: Final = 1_000
"""In characters: an error of an expression may quote a whole value."""


def main() -> None:
    """Render what stdin asks for."""
    limit_memory(int(sys.argv[1]))
    work = json.loads(sys.stdin.buffer.readline())
    templates = Templates(Path(work["templates"]), written=written, filters={"literal": literal})
    _say({})
    common: dict[str, Any] = {}
    for line in sys.stdin.buffer:
        told = json.loads(line)
        if "common" in told:
            common = told["common"]
            _say({})
        else:
            values = None if told["values"] is None else common | told["values"]
            _say(_done(templates, {**told, "values": values}, work["time_limit"]))


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
        missing, undefined = bad.missing == job["template"], bad.undefined[:_LONGEST_REASON]
        return _wrong({**told, "missing": missing, "undefined": undefined, "near": near})
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
    try:
        near = get_close_matches(undefined, templates.unused(job["template"], job["own"]), n=1)
    except BadTemplate:  # another mistake, which is said once this one is corrected
        return ""
    return near[0] if near else ""


def _wrong(*findings: dict[str, Any]) -> dict[str, Any]:
    return {"findings": list(findings)}


def _finding(rule: str, line: int, reason: str, remedy: str, *, file: str | None = None) -> dict[str, Any]:
    """:param file: a template; empty: the configuration; ``None``: the output."""
    return {"rule": rule, "line": line, "reason": reason[:_LONGEST_REASON], "remedy": remedy, "file": file}


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


if __name__ == "__main__":
    main()
