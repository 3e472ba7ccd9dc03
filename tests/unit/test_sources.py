"""Plugins that are brought by a source, on real distributions."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from oslo_config import cfg

from vifd.daemon import config
from vifd.plugin import registry, sources

SOURCE = """
    from oslo_config import cfg
    from vifd.plugin import registry
    from vifd.plugin.sources import Source
    from vifd.testing.plugin import FakePlugin

    class Bridge(Source):
        name = "acmehost"

        @classmethod
        def options(cls):
            return [cfg.ListOpt("plugins", default=["one", "ovs"], help="Which.")]

        def find(self):
            {find}
"""
FIND = (
    "return [registry.Found(n, 'acme 1', 'acme:' + n, "
    "cls=type('P', (FakePlugin,), {'plugin_name': n})) for n in self.conf.acmehost.plugins]"
)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def put(find: str = FIND, name: str = "acmehost", code: str = SOURCE) -> None:
        (tmp_path / "acmehost_mod.py").write_text(dedent(code).replace("{find}", find))
        info = tmp_path / "acmehost-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acmehost\nVersion: 1.0\n")
        point = f"[{sources.GROUP}]\n{name} = acmehost_mod:Bridge\n"
        (info / "entry_points.txt").write_text(point)
        importlib.invalidate_caches()

    yield put
    sys.modules.pop("acmehost_mod", None)


def find(own: tuple[str, ...] = ()) -> dict[str, registry.Found]:
    conf = cfg.ConfigOpts()
    config.load(["--config-file", "/dev/null"], conf)

    def register(cls: type[sources.Source]) -> Any:
        return config.register_source(conf, cls)

    return {f.name: f for f in sources.find(register, own)}


def test_it_brings_plugins_with_its_options(install: Any) -> None:
    install()
    found = find()
    assert found["one"].cls is not None
    assert found["one"].distribution == "acme 1"


def test_a_namesake_of_a_plugin_is_refused(install: Any) -> None:
    install()
    found = find(own=("ovs",))
    assert found["ovs"].cls is None
    assert "another plugin is named 'ovs'" in str(found["ovs"].refusal)
    assert found["one"].cls is not None


def test_one_that_fails_is_refused_by_name_and_costs_only_itself(install: Any) -> None:
    install(find="1 / 0")
    found = find()
    assert "the source failed: ZeroDivisionError" in str(found["acmehost"].refusal)


@pytest.mark.parametrize("code", ["import nowhere", "Bridge = 7", SOURCE.replace("acmehost", "x")])
def test_one_that_is_no_source_is_left_out(
    install: Any, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    install(code=code)
    assert find() == {}
    assert "the plugin source acmehost (acmehost_mod:Bridge) cannot be used" in caplog.text


def test_what_a_source_brings_has_its_place_in_the_order(install: Any) -> None:
    install()

    def more(names: Any) -> list[registry.Found]:
        return [f for n, f in find(tuple(names)).items()]

    found = registry.discover(["one", "noop"], more=more)
    assert [f.name for f in found] == ["one", "noop"]
    assert all(f.cls is not None for f in found)


def test_os_vif_without_anything_to_host_imports_nothing() -> None:
    assert find() == {}
    assert sources.installed()["osvif"].__module__ == "vifd.plugin.osvif.source"
