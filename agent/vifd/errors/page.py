"""The page of all error codes, from the classes: ``python -m vifd.errors.page`` prints it."""

from __future__ import annotations

import inspect
import sys
from itertools import groupby

from vifd import errors
from vifd.errors.elsewhere import ELSEWHERE

_HEAD = """\
# Error codes

Every refusal and failure is one object: in the body of an HTTP error, in the journal and in the
event stream. This page is generated from the classes in `vifd.errors`.

| key | meaning |
|---|---|
| `schema` | version of the object, {schema} |
| `code`, `class` | the cause and its family, both stable |
| `stage` | the step that ended with it |
| `port`, `host` | where |
| `message` | a sentence for people |
| `facts` | what was wanted and what was there |
| `remediation` | what to do next |
| `retryable` | the same request may succeed later on the same host |
| `retry_after` | seconds after which that makes sense, or null |
| `reschedulable` | the same request may succeed on another host |
| `scope` | what is concerned: request, port, plugin, host |
| `owner` | who can mend it: user, operator, host, backend, transient |
| `candidates` | the refusals of the other plugins, where several were asked |
| `cause` | the errors below, outermost first |
"""

_ELSEWHERE = """
## Decided elsewhere

Causes for which a port can fail in a cloud, and which are no error of this host:

| code | why |
|---|---|"""


def page() -> str:
    """The whole page in Markdown."""
    classes = list(errors.all_codes().values())
    parts = [_HEAD.format(schema=errors.SCHEMA)]
    for family, members in groupby(sorted(classes, key=_family), key=lambda c: c.klass):
        parts += [f"\n## {family}\n", *map(_entry, members)]
    parts += [_ELSEWHERE, *(f"| `{code}` | {why} |" for code, why in sorted(ELSEWHERE.items())), ""]
    return "\n".join(parts)


def _family(cls: type[errors.VifError]) -> tuple[str, str]:
    return cls.klass, cls.code


def _entry(cls: type[errors.VifError]) -> str:
    flags = f"retryable: {_yes(cls.retryable)}, reschedulable: {_yes(cls.reschedulable)}"
    return (
        f"### {cls.code}\n\n"
        f"{inspect.cleandoc(cls.__doc__ or '').splitlines()[0]}\n\n"
        f"- message: `{cls.template}`\n"
        f"- reached by: {cls.reached}\n"
        f"- next: {cls.remediation}\n"
        f"- HTTP {cls.http}, CNI {cls.cni}, {flags}, owner: {cls.owner}, scope: {cls.scope}\n"
    )


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


if __name__ == "__main__":
    sys.stdout.write(page())
