"""agent.conf: bad values are told by name before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from vifd.daemon import config
from vifd.testing.plugin import FakePlugin


def load(tmp_path: Path, text: str, *argv: str) -> Any:
    path = tmp_path / "agent.conf"
    path.write_text(text)
    return config.load(["--config-file", str(path), *argv], cfg.ConfigOpts())


BAD = [
    ("engine", "verify_timeout", "soon"),
    ("engine", "verify_timeout", "0"),
    ("engine", "verify_timeout", "nan"),
    ("engine", "retry_first", "inf"),
    ("engine", "check_interval", "-1"),
    ("engine", "check_interval", "1.5"),
    ("plugins", "call_timeout", "0"),
    ("plugins", "strict", "perhaps"),
    ("network", "reassert_interval", "x"),
    ("api", "socket_mode", "rw-rw----"),
    ("api", "socket_mode", "0999"),
]


@pytest.mark.parametrize(("group", "option", "value"), BAD)
def test_a_bad_value_is_named(tmp_path: Path, group: str, option: str, value: str) -> None:
    with pytest.raises(cfg.Error) as caught:
        load(tmp_path, f"[{group}]\n{option} = {value}\n")
    assert option in str(caught.value)


def test_good_values_are_read(tmp_path: Path) -> None:
    conf = load(tmp_path, "[DEFAULT]\nstate_path = /x\n[plugins]\nenabled_plugins = b, a\n"
                          "[api]\nsocket_mode = 660\n[engine]\nverify_timeout = 2.5\n")  # fmt: skip
    assert conf.state_path == "/x"
    assert conf.plugins.enabled_plugins == ["b", "a"]
    assert int(conf.api.socket_mode, 8) == 0o660
    assert conf.engine.verify_timeout == 2.5


def test_defaults_are_valid() -> None:
    conf = config.load(["--config-file", "/dev/null"], cfg.ConfigOpts())
    assert conf.engine.verify_timeout == 10.0
    assert conf.plugins.strict is False


@pytest.mark.parametrize("text", ["state_path", "[engine\nx=1", " = 3\n"])
def test_a_file_that_cannot_be_parsed_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(cfg.Error, match=r"agent\.conf"):
        load(tmp_path, text)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(cfg.Error, match="nowhere"):
        config.load(["--config-file", str(tmp_path / "nowhere.conf")], cfg.ConfigOpts())


@pytest.mark.parametrize(
    ("argv", "code"), [(["--help"], 0), (["--version"], 0), (["--nonsense"], 2)]
)
def test_the_command_line_ends_with_its_code(
    argv: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        config.load(argv, cfg.ConfigOpts())
    assert caught.value.code == code
    out = capsys.readouterr()
    assert out.out or out.err


class Spoken(FakePlugin):
    plugin_name = "spoken"

    @classmethod
    def options(cls) -> list[cfg.Opt]:
        return [cfg.IntOpt("size", default=3, min=1)]


def test_a_plugin_reads_its_own_group(tmp_path: Path) -> None:
    conf = load(tmp_path, "[spoken]\nsize = 5\n")
    assert config.register_plugin(conf, Spoken).size == 5


def test_every_option_has_help() -> None:
    for options in config.GROUPS.values():
        for option in options:
            assert option.help, option.name
            assert option.help.endswith("."), option.name
