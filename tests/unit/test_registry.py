"""Discovery on real distributions: made on disk, found through importlib.metadata."""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from vifd.plugin import CONTRACT_VERSION, VifPlugin, registry
from vifd.plugin.registry import Found

GROUP = "vifd.test_plugins"

GOOD = """
    from vifd.testing.plugin import FakePlugin

    class Plugin(FakePlugin):
        plugin_name = {name!r}
"""


@dataclass
class Site:
    """A directory on the path in which distributions are installed."""

    path: Path

    def install(
        self, dist: str, code: str, *names: str, target: str = "Plugin", version: str = "1.0"
    ) -> None:
        """One distribution with one module and an entry point per name."""
        module = f"{dist.replace('-', '_')}_mod"
        (self.path / f"{module}.py").write_text(dedent(code).format(name=names[0]))
        info = self.path / f"{dist.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")
        points = "".join(f"{name} = {module}:{target}\n" for name in names)
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{points}")

    def discover(self, *enabled: str) -> dict[str, Found]:
        importlib.invalidate_caches()
        return {f.name: f for f in registry.discover(enabled, group=GROUP)}

    def reason(self, name: str) -> str:
        """Why a plugin is refused, while a good one beside it is admitted."""
        self.install("zz-good", GOOD, "good")
        found = self.discover()
        assert found["good"].cls is not None
        assert found["good"].refusal is None
        refusal = found[name].refusal
        assert refusal is not None
        assert found[name].cls is None
        assert refusal.facts["plugin"] == name
        assert refusal.facts["distribution"] in refusal.message
        return str(refusal.facts["reason"])


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield_site = Site(tmp_path)
    for name in set(sys.modules) - before:
        monkeypatch.delitem(sys.modules, name)
    return yield_site


@pytest.fixture(autouse=True)
def _forget_modules() -> object:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.endswith("_mod"):
            del sys.modules[name]


def test_a_good_plugin_is_admitted_with_its_distribution(site: Site) -> None:
    site.install("acme-vif", GOOD, "acme", version="2.3")
    found = site.discover()["acme"]
    assert found.refusal is None
    assert found.cls is not None
    assert issubclass(found.cls, VifPlugin)
    assert found.distribution == "acme-vif 2.3"
    assert found.target == "acme_vif_mod:Plugin"


def test_the_group_of_the_product_is_served() -> None:
    assert {f.name for f in registry.discover() if f.cls} >= {"ovs"}


def test_one_that_cannot_be_imported(site: Site) -> None:
    site.install("bad", "import a_module_that_does_not_exist", "bad")
    assert site.reason("bad") == (
        "it cannot be imported: ModuleNotFoundError: No module named 'a_module_that_does_not_exist'"
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("assert False, 'never'", "AssertionError: never"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def broken(:", "SyntaxError"),
        ("", "AttributeError"),
    ],
)
def test_whatever_a_module_does_at_import_costs_only_itself(
    site: Site, code: str, said: str
) -> None:
    site.install("bad", code, "bad")
    assert said in site.reason("bad")


def test_one_that_lacks_verbs_names_them(site: Site) -> None:
    code = """
        from vifd.plugin import VifPlugin

        class Plugin(VifPlugin):
            plugin_name = {name!r}
            def probe(self): ...
    """
    site.install("bad", code, "bad")
    reason = site.reason("bad")
    assert reason.startswith("it lacks the verbs")
    assert "unplug" in reason
    assert "probe" not in reason


def test_one_that_is_no_subclass_but_has_all_verbs(site: Site) -> None:
    code = """
        from vifd.plugin import VERBS

        class Plugin:
            plugin_name = {name!r}
            contract_version = "1.0"

        for verb in VERBS:
            setattr(Plugin, verb, lambda self: None)
    """
    site.install("bad", code, "bad")
    assert "not derived from vifd.plugin.VifPlugin" in site.reason("bad")


def test_one_of_another_contract_version(site: Site) -> None:
    site.install("bad", GOOD + "        contract_version = '2.0'\n", "bad")
    reason = site.reason("bad")
    assert "'2.0'" in reason
    assert CONTRACT_VERSION in reason


@pytest.mark.parametrize(
    ("theirs", "ours", "works"),
    [
        ("1.0", "1.0", True), ("1.0", "1.3", True), ("1.4", "1.3", False), ("2.0", "1.3", False),
        ("0.9", "1.0", False), ("1", "1.0", False), ("", "1.0", False), (None, "1.0", False),
        ("1.x", "1.0", False), ("1.0.0", "1.0", False), (1.0, "1.0", True),
    ],
)  # fmt: skip
def test_contract_versions(theirs: object, ours: str, works: bool) -> None:
    assert registry.compatible(theirs, ours) is works


def test_one_that_is_not_a_class(site: Site) -> None:
    site.install("bad", "def Plugin(): ...", "bad")
    assert site.reason("bad") == "the entry point does not name a class"


def test_one_that_calls_itself_otherwise(site: Site) -> None:
    site.install("bad", GOOD.replace("{name!r}", "'other'"), "bad")
    assert site.reason("bad") == "its class calls itself 'other'"


def test_namesakes_are_refused_also_when_they_do_not_stand_together(site: Site) -> None:
    site.install("aa-one", GOOD, "twin")
    site.install("mm-between", GOOD, "between")
    site.install("xx-two", GOOD, "twin")
    importlib.invalidate_caches()
    found = registry.discover(group=GROUP)
    twins = [f for f in found if f.name == "twin"]
    assert {f.distribution for f in twins} == {"aa-one 1.0", "xx-two 1.0"}
    for twin in twins:
        assert twin.refusal is not None
        assert "2 distributions bring a plugin named 'twin'" in twin.refusal.message
    assert [f.cls is not None for f in found if f.name == "between"] == [True]


def test_one_class_under_two_names_serves_its_own(site: Site) -> None:
    site.install("acme", GOOD, "acme", "alias")
    found = site.discover()
    assert found["acme"].cls is not None
    assert found["alias"].refusal is not None


def test_a_second_copy_of_a_distribution_is_not_a_namesake(site: Site, tmp_path: Path) -> None:
    site.install("acme", GOOD, "acme")
    other = Site(tmp_path / "other")
    other.path.mkdir()
    other.install("acme", GOOD, "acme", version="0.9")
    sys.path.append(str(other.path))
    try:
        assert site.discover()["acme"].distribution == "acme 1.0"
    finally:
        sys.path.remove(str(other.path))


def test_a_distribution_with_a_broken_file_costs_only_itself(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.install("bad", GOOD, "bad")
    (site.path / "bad-1.0.dist-info" / "entry_points.txt").write_text(f"[{GROUP}]\nnonsense\n")
    site.install("acme", GOOD, "acme")
    with caplog.at_level(logging.WARNING):
        assert site.discover()["acme"].cls is not None
    assert "bad-1.0.dist-info" in caplog.text


def test_enabled_plugins_limit_and_order(site: Site) -> None:
    for name in ("aa", "bb", "cc"):
        site.install(name, GOOD, name)
    assert list(site.discover()) == ["aa", "bb", "cc"]
    assert list(site.discover("cc", "aa")) == ["cc", "aa"]


def test_an_enabled_plugin_that_is_not_installed_is_refused_by_name(site: Site) -> None:
    site.install("aa", GOOD, "aa")
    found = site.discover("ghost", "aa")
    assert found["aa"].cls is not None
    refusal = found["ghost"].refusal
    assert refusal is not None
    assert "'ghost'" in refusal.message
    assert "it is not installed" in refusal.message


def test_what_is_installed_later_is_seen_at_once(site: Site) -> None:
    """No cache, neither of the process nor in the home directory."""
    assert "late" not in site.discover()
    site.install("late", GOOD, "late")
    assert site.discover()["late"].cls is not None


def test_nothing_is_written_into_the_home_directory(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    code = (
        "from vifd.plugin import registry; from vifd.network import GROUP;"
        "assert [f.name for f in registry.discover()]; assert registry.load(GROUP).points"
    )
    env = {**os.environ, "HOME": str(home), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    env.pop("XDG_CACHE_HOME", None)
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=env, check=True, timeout=60)
    assert list(home.iterdir()) == []


# --- making them ----------------------------------------------------------------------------------


def made(cls: type[VifPlugin]) -> VifPlugin:
    from vifd.testing.plugin import FakeBackend

    return cls(FakeBackend(), None)  # type: ignore[arg-type]


def test_a_constructor_that_raises_costs_only_its_plugin(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    code = GOOD + "        def __init__(self, *args): raise RuntimeError('no key')\n"
    site.install("bad", code, "bad")
    site.install("good", GOOD, "good")
    with caplog.at_level(logging.ERROR):
        plugins, found = registry.build(list(site.discover().values()), made)
    assert list(plugins) == ["good"]
    refused = next(f for f in found if f.name == "bad")
    assert refused.cls is None
    assert refused.refusal is not None
    assert refused.refusal.facts["reason"] == "it cannot be made: RuntimeError: no key"
    assert refused.distribution == "bad 1.0"
    assert refused.refusal.message in caplog.text


@pytest.mark.parametrize("body", ["raise KeyError('x')", "return None"])
def test_an_advert_that_cannot_be_had_costs_only_its_plugin(site: Site, body: str) -> None:
    code = GOOD + f"        @classmethod\n        def describe(cls): {body}\n"
    site.install("bad", code, "bad")
    site.install("good", GOOD, "good")
    plugins, found = registry.build(list(site.discover().values()), made)
    assert list(plugins) == ["good"]
    assert [f.name for f in found if f.refusal] == ["bad"]


def test_the_order_of_preference_is_kept(site: Site) -> None:
    for name in ("aa", "bb"):
        site.install(name, GOOD, name)
    plugins, _ = registry.build(list(site.discover("bb", "aa").values()), made)
    assert list(plugins) == ["bb", "aa"]
