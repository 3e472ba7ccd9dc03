"""The documentation is built without a warning, and has what it should."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vifd.cli.app import COMMANDS

ROOT = Path(__file__).parents[2]
pytest.importorskip("sphinx", reason="needs the extra docs")


def build(builder: str, out: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", builder,
         "-d", out / ".doctrees", ROOT / "docs", out],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    build("html", out)
    return out


def test_every_page_is_reached_from_the_first(site: Path) -> None:
    index = (site / "index.html").read_text()
    for page in ("get-started", "install", "troubleshooting", "plugin-authors", "design/index"):
        assert f'href="{page}.html"' in index, page


def test_every_command_is_in_the_reference(site: Path) -> None:
    text = (site / "reference/commands.html").read_text()
    assert [
        name for name in COMMANDS if f'<section id="{name.replace(" ", "-")}"' not in text
    ] == []


def test_every_call_is_in_the_reference(site: Path) -> None:
    described = json.loads((ROOT / "build/docs/openapi.json").read_text())
    text = (site / "reference/openapi.html").read_text()
    assert [p for p in described["paths"] if p.rpartition("/")[2].strip("{}") not in text] == []


def test_the_site_needs_nobody_else(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        for tag in ('<script src="http', '<link rel="stylesheet" href="http', "<script src='http"):
            assert tag not in text, page


def test_the_manual_pages(tmp_path: Path) -> None:
    build("man", tmp_path)
    for name in ("vifd.8", "vifctl.1", "agent.conf.5"):
        text = (tmp_path / name).read_text()
        assert text.count(".SH NAME") + text.count(".SH Name") == 1, name
