"""Whether what is told under each topic reaches this host."""

from __future__ import annotations

from vifd.network.neutron.echo import Echo


class Air:
    """Carries what is sent, under the topics that somebody listens to."""

    def __init__(self, *topics: str) -> None:
        self.listened = {*topics}
        self.sent: list[tuple[str, str]] = []
        self.echo = Echo(self.send)

    def send(self, topic: str, word: str) -> None:
        self.sent.append((topic, word))
        if topic in self.listened:
            self.echo.heard(topic, word)


def test_nothing_was_called():
    assert Air().echo.complete()


def test_all_topics_are_heard():
    air = Air("a", "b")
    air.echo.call(["a", "b"])
    assert air.echo.complete()
    assert [topic for topic, _ in air.sent] == ["a", "b"]


def test_only_what_did_not_come_back_is_sent_again():
    air = Air("a")
    air.echo.call(["a", "b"])
    assert not air.echo.complete()
    assert air.echo.silent == ["b"]
    air.listened.add("b")
    air.echo.repeat()
    assert air.echo.complete()
    assert [topic for topic, _ in air.sent] == ["a", "b", "b"]


def test_what_an_earlier_call_sent_does_not_count():
    air = Air()
    air.echo.call(["a"])
    (_, word), *_ = air.sent
    air.echo.call(["a"])
    air.echo.heard("a", word)
    assert not air.echo.complete()


def test_a_topic_that_is_left_is_not_waited_for():
    air = Air()
    air.echo.call(["a"])
    air.echo.forget(["a"])
    assert air.echo.complete()


def test_a_word_of_somebody_else_says_that_he_is_there():
    now = [0.0]
    echo = Echo(lambda _topic, _word: None, lambda: now[0])
    echo.call(["a"])
    echo.heard("a", "sent by an earlier life")
    assert not echo.stranger
    now[0] = 100.0
    echo.heard("a", "sent by another agent")
    found = [echo.stranger]
    now[0] = 2000.0
    assert [*found, echo.stranger] == [True, False]


def test_words_of_ones_own_that_come_late_are_nobody_elses():
    now, sent = [0.0], list[str]()
    echo = Echo(lambda _topic, word: sent.append(word), lambda: now[0])
    for _ in range(3):
        echo.call(["a"])
    now[0] = 100.0
    for word in sent:
        echo.heard("a", word)
    assert not echo.stranger
