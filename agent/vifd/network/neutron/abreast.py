"""Questions that are asked abreast: the service has several workers, and each answer takes its
time, of which little is work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

#: Questions of one host that wait for an answer at once, at most: after an outage of the service
#: all hosts ask.
MOST = 4


def answers(questions: Sequence[Callable[[], T]], most: int = MOST) -> Iterator[T]:
    """The answers in the order of the questions, each as soon as it is there.

    :param most: questions under way at once
    :raises Exception: what a question raised, in its turn; those not begun by then are not asked
    """
    if len(questions) < 2:
        yield from (question() for question in questions)
        return
    asked: list[Future[T]] = [Future() for _ in questions]
    work = iter(list(zip(asked, questions, strict=True)))
    taking, ended = threading.Lock(), threading.Event()

    def ask() -> None:
        while not ended.is_set():
            with taking:
                answer, question = next(work, (None, None))
            if answer is None or question is None:
                return
            try:
                answer.set_result(question())
            except BaseException as error:  # noqa: BLE001 - it is whoever takes the answer's
                answer.set_exception(error)

    # not of a pool, whose end would wait for an answer that never comes
    for _ in range(min(most, len(questions))):
        threading.Thread(target=ask, name="neutron-asks", daemon=True).start()
    try:
        for answer in asked:
            yield answer.result()
    finally:
        ended.set()
