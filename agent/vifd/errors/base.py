"""The error object: what every "no" of vifd has in common.

The HTTP body of every error is :meth:`VifError.to_dict`.
"""

from __future__ import annotations

import copy
import socket
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

from vifd.safety import limits
from vifd.safety.plain import plain, said, writable

Owner = Literal["user", "operator", "host", "backend", "transient"]
Scope = Literal["request", "port", "host", "plugin"]

#: Version of the error object itself.
SCHEMA = 1

_registry: dict[str, type[VifError]] = {}


class VifError(Exception):
    """Base of all coded errors.

    ``template`` is formatted with the facts, so that the sentence never disagrees with them.

    :param message: a sentence that replaces the formatted template
    :param stage: the step that failed (``decode``, ``negotiate``, ``tap``, ``ovsdb``, ``verify``…)
    :param port: the port's id
    :param facts: what was wanted and what was there; JSON values only
    :param retry_after: seconds after which a retry makes sense
    :param candidates: the refusals behind an aggregated one
    :param reschedulable: where this case differs from the class
    """

    code: ClassVar[str] = "E_INTERNAL"
    klass: ClassVar[str] = "internal"
    http: ClassVar[int] = 500
    #: the error number that the CNI specification would use for this cause
    cni: ClassVar[int] = 999
    retryable: ClassVar[bool] = False
    reschedulable: ClassVar[bool] = True
    owner: ClassVar[Owner] = "host"
    scope: ClassVar[Scope] = "port"
    #: whether it stands for its candidates, so that what helps one of them helps
    aggregates: ClassVar[bool] = True
    template: ClassVar[str] = "internal error"
    #: how a caller or an operator meets it, for the page of all codes
    reached: ClassVar[str] = ""
    remediation: ClassVar[str] = "see the log of vifd on this host under the request id"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        other = _registry.setdefault(cls.code, cls)
        if other is not cls and "code" in cls.__dict__:
            raise TypeError(f"{cls.__name__} reuses the code {cls.code} of {other.__name__}")

    def __init__(
        self,
        message: str | None = None,
        *,
        stage: str = "",
        port: str = "",
        facts: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
        candidates: Sequence[VifError] = (),
        hint: str | None = None,
        reschedulable: bool | None = None,
    ) -> None:
        self.facts: dict[str, Any] = writable(dict(facts or {}))
        # facts hold what others wrote: a sentence is one line
        self.message = plain(message if message is not None else self._sentence())
        self.stage = stage
        self.port = plain(port)
        self.retry_after = retry_after
        self.candidates = list(candidates)
        #: what else stands in the way of the same candidate; it all has to go
        self.also: list[VifError] = []
        self._elsewhere = reschedulable
        self.hint = hint if hint is not None else self._advice()
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message

    def _sentence(self) -> str:
        try:
            return self.template.format_map(self.facts)
        except (KeyError, IndexError, AttributeError):
            return self.template

    def _advice(self) -> str:
        """What helps, where the facts do not call for something else."""
        return self.remediation

    def at(self, stage: str = "", port: str = "") -> VifError:
        """Fill in stage and port where they are still unknown, and return self."""
        self.stage = self.stage or stage
        self.port = self.port or plain(port)
        return self

    @property
    def may_succeed_later(self) -> bool:
        """Whether a retry on this host makes sense, with all that is known of the case."""
        if self.candidates and self.aggregates:
            return any(one.may_succeed_later for one in self.candidates)
        return self.retryable and all(one.may_succeed_later for one in self.also)

    @property
    def may_succeed_elsewhere(self) -> bool:
        """Whether another host may do it, with all that is known of the case."""
        if self.candidates and self.aggregates:
            return any(one.may_succeed_elsewhere for one in self.candidates)
        own = self.reschedulable if self._elsewhere is None else self._elsewhere
        return own and all(one.may_succeed_elsewhere for one in self.also)

    def copy(self) -> Self:
        """The same error as an object of its own: one cause can meet every port of a batch."""
        twin = copy.copy(self)
        twin.facts = dict(self.facts)
        twin.candidates = list(self.candidates)
        twin.also = list(self.also)
        twin.__cause__ = self.__cause__
        return twin

    def to_dict(self) -> dict[str, Any]:
        """The error object of the API, journal and events.

        Where it stands for several candidates, the flags are those of the most hopeful one; one
        candidate's are those of the worst that stands in its way.
        """
        return {
            "schema": SCHEMA,
            "code": self.code,
            "class": self.klass,
            "stage": self.stage,
            "port": self.port or None,
            "host": socket.gethostname(),
            "message": self.message,
            "facts": self.facts,
            "remediation": self.hint,
            "retryable": self.may_succeed_later,
            "retry_after": self.retry_after,
            "reschedulable": self.may_succeed_elsewhere,
            "scope": self.scope,
            "owner": self.owner,
            "candidates": [c.to_dict() for c in self.candidates],
            "cause": causes(self),
        }


def causes(error: BaseException) -> list[str]:
    """The chain of ``__cause__`` below an error, outermost first, one line each."""
    chain: list[str] = []
    below = error.__cause__
    while below is not None and len(chain) < 8:
        chain.append(f"{type(below).__name__}: {said(below)}")
        below = below.__cause__
    return chain


def all_codes() -> dict[str, type[VifError]]:
    """Every code there is, with its class."""
    return dict(_registry)


def wrap(error: BaseException, *, stage: str = "", port: str = "") -> VifError:
    """The one place where an unknown exception becomes ``E_INTERNAL``.

    A coded error is copied: who raised it may raise the same object again, for another port.
    """
    if isinstance(error, VifError):
        return error.copy().at(stage, port)
    if limit := limits.word(error):
        kind = _registry["E_HOST_RESOURCES"]
        exhausted = kind(facts={"problem": limit}, stage=stage, port=port)
        exhausted.__cause__ = error
        return exhausted
    text = f"unexpected {type(error).__name__}: {said(error)}"
    wrapped = InternalError(text, stage=stage, port=port)
    wrapped.__cause__ = error
    return wrapped


class InternalError(VifError):
    """A defect of vifd or of a plugin."""

    code = "E_INTERNAL"
    reached = "a plugin raises something that is no coded error, or breaks its contract"
