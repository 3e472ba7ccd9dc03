"""What shells propose for a command line, asked of the real shells."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from unit.cli.conftest import ARGV, environment

needs = {
    shell: pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")
    for shell in ("zsh", "fish")
}

#: What zsh would insert is printed instead, one match a line.
_ZSH = r"""
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PROMPT=; unsetopt zle_bracketed_paste; TERM=dumb; fpath=($1 \$fpath)"
zpty -w z 'autoload -Uz compinit; compinit -u -D'
cat > $1/hits <<'HITS'
compadd() {
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return $?; fi
  local -a __hits
  builtin compadd -A __hits "$@"
  local hit
  for hit in $__hits; do print -r -- "hit<$hit>"; done
  (( $#__hits ))
}
zle -C said complete-word ask
ask() { _main_complete; compstate[insert]=; compstate[list]=; print "hits over"; exit }
bindkey '^I' said
HITS
zpty -w z "source $1/hits; print -r -- rea''dy"
zpty -r z out '*ready*'
zpty -n -w z "$2"$'\t'
zpty -r z out '*hits over*'
print -r -- "$out"
"""


class Shells:
    """The scripts of completion, and a vifctl on the path that talks to this daemon."""

    def __init__(self, directory: Path, socket: str) -> None:
        self._directory = directory
        program = directory / "vifctl"
        program.write_text(f'#!/bin/sh\nexec {" ".join(ARGV)} "$@"\n')
        program.chmod(0o755)
        self._env = {**environment(socket), "PATH": f"{directory}:{os.environ['PATH']}",
                     "HOME": str(directory)}  # fmt: skip
        for shell in ("bash", "zsh", "fish"):
            (directory / self._name(shell)).write_text(
                self._run("vifctl", "complete", "--shell", shell)
            )

    @staticmethod
    def _name(shell: str) -> str:
        return "_vifctl" if shell == "zsh" else f"vifctl.{shell}"

    def bash(self, line: str) -> set[str]:
        words = line.split(" ")
        quoted = " ".join(f"'{word}'" for word in words)
        return set(self._run("bash", "-c", (
            "_get_comp_words_by_ref()\n"
            "{ cur=${COMP_WORDS[COMP_CWORD]}; words=(${COMP_WORDS[@]}); }\n"
            f"source vifctl.bash\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}\n"
            "$(complete -p vifctl | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n"
            'printf "%s\\n" "${COMPREPLY[@]}"\n'
        )).split())  # fmt: skip

    def fish(self, line: str) -> set[str]:
        asked = f"source vifctl.fish; complete -C '{line}'"
        return {row.split("\t")[0] for row in self._run("fish", "-N", "-c", asked).splitlines()}

    def zsh(self, line: str) -> set[str]:
        out = self._run("zsh", "-f", "-c", _ZSH, "zsh", str(self._directory), line)
        return set(re.findall(r"hit<(.*?)>", out))

    def _run(self, *argv: str) -> str:
        return subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=300, check=True,
                              env=self._env, cwd=self._directory).stdout  # fmt: skip
