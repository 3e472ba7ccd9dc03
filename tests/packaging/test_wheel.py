"""What is installed is what is in the tree, and it works without the tree."""

import configparser
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Package to the directory it lies in, found in the tree and not in setup.cfg.
SOURCES = {path.name: path.parent for path in (ROOT / "agent/vifd", *ROOT.glob("plugins/*/vifd_*"))}

LOAD = """
import importlib.metadata, json, sys
found = []
for point in importlib.metadata.distribution("vifd").entry_points:
    point.load()
    file = sys.modules[point.module].__file__
    found.append((point.group, point.name, file))
print(json.dumps(found))
"""


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def lines(section: str, option: str) -> list[str]:
    return setup_cfg().get(section, option).split("\n")[1:]


def run(*argv: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(word) for word in argv], cwd=cwd, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tree() -> set[str]:
    """Every module, marker file and file of the page, as the wheel names them."""
    return {
        str(path.relative_to(source))
        for package, source in SOURCES.items()
        for path in (source / package).rglob("*")
        if path.suffix == ".py"
        or path.name == "py.typed"
        or (path.parent.name == "page" and path.is_file())
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the tree stays clean."""
    work = tmp_path_factory.mktemp("build")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, work)
    for name in ("agent", "plugins"):
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, work / name, ignore=ignore)
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index",
        "--wheel-dir", "out", ".", cwd=work)  # fmt: skip
    (found,) = (work / "out").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it; its dependencies are this environment's."""
    work = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", "venv", cwd=work)
    python = work / "venv/bin/python"
    run(sys.executable, "-m", "pip", f"--python={python}", "install", "--no-deps", "--no-index",
        wheel, cwd=work)  # fmt: skip
    (site,) = (work / "venv/lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return work / "venv"


def test_wheel_equals_tree(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == tree()


def test_every_package_is_listed() -> None:
    packages = {str(Path(name).parent).replace("/", ".") for name in tree() if name.endswith(".py")}
    assert set(lines("options", "packages")) == packages


def test_wheel_has_its_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    assert any(name.endswith("/LICENSE") for name in names)
    assert re.search(r"^License(-Expression)?: Apache-2.0$", text, re.MULTILINE)


def test_every_entry_point_loads_from_the_wheel(environment: Path, tmp_path: Path) -> None:
    found = json.loads(run(environment / "bin/python", "-Ic", LOAD, cwd=tmp_path))
    declared = {
        (group, line.partition(" = ")[0])
        for group in setup_cfg()["options.entry_points"]
        for line in lines("options.entry_points", group)
    }
    assert {(group, name) for group, name, _ in found} == declared
    outside = [file for _, _, file in found if not Path(file).is_relative_to(environment)]
    assert outside == []


@pytest.mark.parametrize("command", ["vifd", "vifctl"])
def test_commands_are_installed(environment: Path, tmp_path: Path, command: str) -> None:
    assert "usage" in run(environment / "bin" / command, "--help", cwd=tmp_path).lower()
