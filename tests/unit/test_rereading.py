"""The configuration is read again: all of it is good, or the old one stays."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from vifd.daemon import config, parts
from vifd.daemon.rereading import Configuration, unknown

PLUGIN = [cfg.IntOpt("max_queues", default=8, min=1), cfg.BoolOpt("make", default=True)]


class Files:
    """An agent.conf that a test changes."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "agent.conf"
        self.write("[engine]\ncheck_interval = 30\n")
        self.conf: Any = config.load(["--config-file", str(self.path)], cfg.ConfigOpts())
        self.conf.register_group(cfg.OptGroup("tapper"))
        self.conf.register_opts(PLUGIN, group="tapper")
        self.configuration = Configuration(self.conf, lambda: {"installed"})

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def again(self, text: str) -> parts.Changeable | None:
        self.write(text)
        return self.configuration.again(parts.Changeable.of)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


BAD = {
    "type": ("[engine]\ncheck_interval = soon\n", "[engine] check_interval"),
    "range": ("[engine]\ncheck_interval = -1\n", "[engine] check_interval"),
    "choice": ("[negotiation]\nunenforced = perhaps\n", "[negotiation] unenforced"),
    "not finite": ("[engine]\nretry_first = nan\n", "[engine] retry_first"),
    "immutable": ("[plugins]\nstrict = perhaps\n", "[plugins] strict"),
    "garbage": ("[garbage]\ngrace = long\n", "[garbage] grace"),
    "network": ("[network]\nreassert_interval = x\n", "[network] reassert_interval"),
    "a plugin's": ("[tapper]\nmax_queues = 0\n", "[tapper] max_queues"),
    "library": ("[DEFAULT]\ndebug = perhaps\n", "[DEFAULT] debug"),
    "no pair": ("[engine\ncheck_interval = 3\n", "agent.conf"),
    "no option": ("check_interval\n", "agent.conf"),
}


@pytest.mark.parametrize("name", BAD)
def test_the_old_one_stays(files: Files, caplog: pytest.LogCaptureFixture, name: str) -> None:
    text, said = BAD[name]
    before = parts.Changeable.of(files.conf)
    assert files.again(text) is None
    assert parts.Changeable.of(files.conf) == before
    assert files.conf.engine.check_interval == 30
    reading = files.configuration.reading
    assert said in reading.problem
    assert "the old one stays in force" in caplog.text
    assert not caplog.records[-1].exc_info


def test_every_bad_value_is_named(files: Files) -> None:
    files.again("[engine]\ncheck_interval = x\nrepair = y\n[garbage]\ngrace = z\n")
    problem = files.configuration.reading.problem
    for said in ("check_interval", "repair", "grace"):
        assert said in problem


def test_a_file_that_is_gone_or_no_text(files: Files) -> None:
    os.unlink(files.path)
    assert files.configuration.again(parts.Changeable.of) is None
    assert "agent.conf" in files.configuration.reading.problem
    files.path.write_bytes(b"[engine]\n\xff\xfe = 1\n")
    assert files.configuration.again(parts.Changeable.of) is None


def test_a_good_one_takes_its_place(files: Files) -> None:
    files.again("[engine]\ncheck_interval = x\n")
    at = files.configuration.reading.at
    new = files.again("[engine]\ncheck_interval = 7\nrepair = false\n[garbage]\ngrace = 9\n")
    assert new is not None
    assert (new.check_interval, new.settings.repair, new.garbage.grace) == (7, False, 9)
    reading = files.configuration.reading
    assert (reading.problem, reading.at > at) == ("", True)


def test_a_directory_of_files(files: Files, tmp_path: Path) -> None:
    place = tmp_path / "conf.d"
    place.mkdir()
    conf: Any = config.load(
        ["--config-file", str(files.path), "--config-dir", str(place)], cfg.ConfigOpts()
    )
    configuration = Configuration(conf)
    (place / "a.conf").write_text("[engine]\ncheck_interval = x\n")
    assert configuration.again(parts.Changeable.of) is None
    (place / "a.conf").write_text("[engine]\ncheck_interval = 5\nretry_frist = 1\n")
    new = configuration.again(parts.Changeable.of)
    assert new is not None
    assert new.check_interval == 5
    assert configuration.reading.unknown == [
        "[engine] retry_frist is no option; did you mean retry_first?"
    ]


def test_what_is_read_at_the_start_alone_is_named(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    assert files.again("[engine]\ncheck_interval = 7\n[tapper]\nmax_queues = 2\n") is not None
    said = "[tapper] max_queues needs a restart: 8 is in force, 2 stands in the files"
    assert files.configuration.reading.pending == [said]
    assert said in caplog.text
    assert files.again("[tapper]\nmax_queues = many\n") is None
    assert files.configuration.reading.pending == [said]
    assert files.again("[tapper]\nmax_queues = 8\n") is not None
    assert files.configuration.reading.pending == []


def test_every_option_is_of_one_kind_or_the_other(files: Files) -> None:
    """What cannot be taken up is said, whichever it is: of all that this daemon has."""
    changed = {}
    for name, group in [(None, files.conf), *((g, files.conf[g]) for g in files.conf._groups)]:
        for option in group if name else ():
            opt = files.conf._groups[name]._opts[option]["opt"]
            if isinstance(opt, cfg.BoolOpt) and not opt.mutable:
                changed[f"[{name}] {opt.name}"] = (name, opt.name, not group[option])
    assert changed
    text = "".join(f"[{g}]\n{name} = {new}\n" for g, name, new in changed.values())
    assert files.again(text) is not None
    told = files.configuration.reading.pending
    assert {text.partition(" needs")[0] for text in told} == changed.keys()


def test_secrets_are_not_told_and_the_command_line_goes_first(tmp_path: Path) -> None:
    path = tmp_path / "agent.conf"
    path.write_text("[bus]\nurl = rabbit://a:b@c\n")
    conf: Any = config.load(["--config-file", str(path), "--debug"], cfg.ConfigOpts())
    conf.register_opts([cfg.StrOpt("url", secret=True)], group="bus")
    configuration = Configuration(conf)
    assert conf.bus.url == "rabbit://a:b@c"
    path.write_text("[bus]\nurl = rabbit://x:y@z\n")
    assert configuration.again(parts.Changeable.of) is not None
    (text,) = configuration.reading.pending
    assert text == "[bus] url needs a restart: a secret is in force, a secret stands in the files"


UNKNOWN = [
    ("[engine]\ncheck_intervall = 3\n",
     "[engine] check_intervall is no option; did you mean check_interval?"),
    ("[engin]\ncheck_interval = 3\n", "[engin] is no group; did you mean [engine]?"),
    ("[engine]\nunenforced = refuse\n",
     "[engine] unenforced is no option; did you mean it in [negotiation]?"),
    ("[tapper]\nmax_queue = 3\n", "[tapper] max_queue is no option; did you mean max_queues?"),
    ("[DEFAULT]\nstate-pth = /x\n",
     "[DEFAULT] state-pth is no option; did you mean state_path?"),
    ("[zzz]\nx = 1\n", "[zzz] is no group"),
    ("[instaled]\nx = 1\n", "[instaled] is no group; did you mean [installed]?"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), UNKNOWN)
def test_what_is_no_option_is_said(
    files: Files, caplog: pytest.LogCaptureFixture, text: str, said: str
) -> None:
    assert files.again(text) is not None
    assert files.configuration.reading.unknown == [said]
    assert f"configuration: {said}; it has no effect" in caplog.text


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("first", [True, False])
def test_what_is_no_option_is_said_beside_what_cannot_be_used(
    files: Files, caplog: pytest.LogCaptureFixture, name: str, first: bool
) -> None:
    """Whoever corrects the one shall see the other, and not come a second time."""
    bad, (text, said) = BAD[name][0], UNKNOWN[0]
    assert files.again(f"{text}{bad}" if first else f"{bad}{text}") is None
    assert files.configuration.reading.unknown == [said]
    assert f"configuration: {said}; it has no effect" in caplog.text
    assert files.again("") is not None
    assert files.configuration.reading.unknown == []


def test_every_line_that_is_none_is_named_and_none_is_shown(files: Files) -> None:
    """It may hold a password."""
    text = ("one = 1\n[engine]\n  hunter2\nurl hunter2\n = 1\n= hunter2\n[broken\n"
            "hunter2 = 3\n[]\n[engin]\nx = 1\n")  # fmt: skip
    assert files.again(text) is None
    reading = files.configuration.reading
    told = [part.split(", ")[1] for part in reading.problem.split("; ")]
    assert [part.partition(":")[0] for part in told] == [f"line {n}" for n in (1, 3, 4, 6, 7, 9)]
    assert "hunter2" not in reading.problem
    assert reading.unknown == ["[engin] is no group; did you mean [engine]?"]


def test_what_is_one_is_not(files: Files) -> None:
    files.write("[DEFAULT]\nlog-file = /tmp/x\ndebug = true\n[ENGINE]\nrepair = true\n"
                "[installed]\nwhatever = 1\n[tapper]\nmax_queues = 2\n")  # fmt: skip
    assert unknown(files.conf, {"installed"}) == []


def test_the_sample_has_no_unknown_option() -> None:
    sample = Path(__file__).parents[2] / "etc/agent.conf"
    conf: Any = config.load(["--config-file", str(sample)], cfg.ConfigOpts())
    assert unknown(conf, parts.elsewhere()) == []


def test_at_the_start_as_well(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    files.write("[engine]\nrepare = true\n")
    files.configuration.first()
    assert len(files.configuration.reading.unknown) == 1
    assert "did you mean repair?" in caplog.text
