"""Which of Neutron's tests are meant, and what their output says."""

import pytest

from fullstack.choice import chosen, listed, short
from fullstack.results import Row, line, verdict

IDS = [
    "neutron.tests.fullstack.test_a.TestA.test_stop(VLANs)",
    "neutron.tests.fullstack.test_a.TestA.test_stop(GRE and l2pop)",
    "neutron.tests.fullstack.test_b.TestB.test_stop[0]",
]


def test_words_choose_in_their_order_and_each_test_once():
    assert chosen(IDS, ["test_b", "stop("]) == [IDS[2], IDS[0], IDS[1]]
    assert chosen(IDS, ["stop(GRE?and", "test_a"]) == [IDS[1], IDS[0]]


def test_brackets_mean_themselves():
    assert chosen(IDS, ["stop[0]"]) == [IDS[2]]


def test_a_word_that_no_test_has_is_refused():
    with pytest.raises(ValueError, match="no test has 'test_c'"):
        chosen(IDS, ["test_a", "test_c"])


def test_a_list_may_have_remarks():
    assert listed("# all\n\none # first\n two\n") == ["one", "two"]


def test_the_last_result_counts_and_a_failure_names_its_last_error():
    assert verdict("RESULT FAIL\n...\nRESULT ok\n") == ("ok", "")
    text = "foo.BarException: one\nTraceback\nfoo.WaitTimeout: two\nRESULT FAIL\n"
    assert verdict(text) == ("FAIL", "foo.WaitTimeout: two")
    assert verdict("ended early") == ("FAIL (no result)", "")


def test_a_restart_that_the_pings_did_not_see_is_told():
    note = 'NOTE {"restarted": 2, "reported": 1, "seconds": 30.5}\n'
    result, why = verdict(note + "RESULT ok\n")
    assert result == "ok"
    assert why == "1 of 2 agents reported in 30.5 s of pings"


def test_a_row_is_test_result_and_seconds():
    row = Row("vifd", short(IDS[0]), "ok", 12.34, "")
    assert [word.strip() for word in line(row).split("|")] == [
        "test_a.TestA.test_stop(VLANs)", "ok", "12.3",
    ]  # fmt: skip
