"""How `make docs` builds the site and the manual pages."""

from __future__ import annotations

import importlib.metadata
import json
import re
from pathlib import Path
from typing import Any

from cliff.sphinxext import AutoprogramCliffDirective
from pygments.lexers.special import TextLexer

HERE = Path(__file__).parent
BUILD = HERE.parent / "build" / "docs"

project = "vifd"
author = "The vifd project"
copyright = "The vifd project, Apache-2.0"
version = release = importlib.metadata.version("vifd")

extensions = [
    "myst_parser",
    "sphinx_copybutton",
    "sphinxcontrib.openapi",
    "oslo_config.sphinxext",
    "stevedore.sphinxext",
    "cliff.sphinxext",
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
exclude_patterns = ["README.md"]
html_theme = "furo"
html_title = f"vifd {release}"
html_show_sphinx = False
copybutton_prompt_text = r"\$ |# "
copybutton_prompt_is_regexp = True
man_show_urls = True
man_pages = [
    ("vifd.8", "vifd", "the VIF daemon of this host", author, 8),
    ("vifctl.1", "vifctl", "talk to vifd, the VIF daemon of this host", author, 1),
    ("agent.conf.5", "agent.conf", "the configuration of vifd(8)", author, 5),
]
# Examples of guests, hosts and services have addresses that nobody serves here.
linkcheck_ignore = [r"https?://.*"]
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r".*"), (r"cliff:.*", r".*")]


class Commands(AutoprogramCliffDirective):  # type: ignore[misc]
    """The commands of vifctl, which are a table and no entry points."""

    def _load_commands(self) -> dict[str, Any]:
        from vifd.cli.app import COMMANDS, Lazy

        return {name: Lazy(name, value).load() for name, value in COMMANDS.items()}


def _plain(value: Any) -> Any:
    """Descriptions are text; the extension reads them as markup."""
    if isinstance(value, dict):
        return {
            key: item.replace("*", "\\*") if key == "description" and isinstance(item, str)
            else _plain(item)
            for key, item in value.items()
        }  # fmt: skip
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _openapi() -> None:
    """Write the description that the daemon serves, as the reference shows it."""
    from vifd.api import routes

    text = routes.document()
    for path in text["paths"].values():
        for call in path.values():
            # the extension knows numbers only; errors stand on their own page
            if isinstance(call, dict):
                call.get("responses", {}).pop("default", None)
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "openapi.json").write_text(json.dumps(_plain(text)))


def _one_screen(app: Any, name: str, source: list[str]) -> None:
    """DESIGN.md stands at the root of the source, and is a page of the site."""
    if app.builder.name == "man":
        # the builder writes this section itself
        source[0] = re.sub(r"## Name\n.*?(?=\n## )", "", source[0], flags=re.DOTALL)
    # what lies outside of this directory is in the source, and no page of the site
    up = r"\.\./" * (name.count("/") + 1)
    source[0] = re.sub(rf"\[([^\]]+)\]\({up}(?!DESIGN)([^).][^)]*)\)", r"\1 (`\2`)", source[0])
    if name == "design/overview":
        text = (HERE.parent / "DESIGN.md").read_text()
        source[0] = text.replace("](docs/design/", "](").replace("](docs/", "](../")
    else:
        here = "" if name.startswith("design/") else "design/"
        for up in ("../../DESIGN.md", "../DESIGN.md"):
            source[0] = source[0].replace(f"]({up}", f"]({here}overview.md")


def setup(app: Any) -> None:
    _openapi()
    app.add_directive("vifctl-commands", Commands)
    # drawn where a forge shows the page; drawing it here would take a script from elsewhere
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", _one_screen)
