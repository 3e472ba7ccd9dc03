"""The documentation is built without a warning, and has what it should."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

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


# --- links ---


class _Page(HTMLParser):
    """The links of a page, and what can be linked to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {name: value for name, value in attrs if value}
        self.anchors |= {of[name] for name in ("id", "name") if name in of}
        if link := of.get("href") or of.get("src"):
            self.links.append(link)


def dead(site: Path) -> list[str]:
    """Links within the site that lead nowhere, each with the page that it is on."""
    pages = {path: _Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}
    found = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            known = target not in pages or not anchor or anchor in pages[target].anchors
            if not target.exists() or not known:
                found.append(f"{path.relative_to(site)}: {link}")
    return found


def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    assert dead(site) == []


def test_a_dead_link_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="b.html">b</a> <a href="#here">x</a> <a href="#gone">y</a>'
        '<a href="c.html">c</a><a href="b.html#no">z</a><a href="https://example.org/q">w</a>'
    )
    (tmp_path / "b.html").write_text("<p>b")
    assert dead(tmp_path) == ["a.html: #gone", "a.html: c.html", "a.html: b.html#no"]


#: Directories of the tree; what begins with one of them is a path of it.
_TREE = ("agent", "bench", "docs", "etc", "examples", "integrations", "packaging", "plugins",
         "tests", "tools")  # fmt: skip
_PATH = re.compile(rf"`((?:{'|'.join(_TREE)})/[\w./-]+?)(?:::\w+)?`")
#: Roots that pages leave out, where they say so.
_ROOTS = (ROOT, ROOT / "tests", ROOT / "agent/vifd", ROOT / "plugins/ovs/vifd_ovs")
_TARGETS = frozenset(re.findall(r"^([\w/-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    "page",
    [*sorted((ROOT / "docs").rglob("*.md")), *(ROOT / f for f in (
        "README.md", "CONTRIBUTING.md", "DESIGN.md"
    ))],
    ids=lambda page: str(page.relative_to(ROOT)),
)  # fmt: skip
def test_every_path_that_is_named_exists(page: Path) -> None:
    named = {found.rstrip("/.") for found in _PATH.findall(page.read_text())}
    # figures are kept by whoever measures, targets are the Makefile's
    named = {n for n in named if not re.fullmatch(r"bench/[A-Z]+\.md", n)} - _TARGETS
    assert [n for n in named if not any((root / n).exists() for root in _ROOTS)] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "DESIGN.md", "CHANGELOG.md"])
def test_every_link_of_the_pages_beside_the_site_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", (ROOT / page).read_text())
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []
