"""The code blocks of a tutorial, and a script that does what a reader of it does."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

# first lines of blocks that cannot be run here
ELSEWHERE = ("# on the robot", "# on another machine", "# with ROS 2")
# first line of a block -> a package that it needs, and that `make setup` leaves out
OPTIONAL = {"# with Ray": "ray"}
# first line of a block whose command runs until it is stopped
SERVES = "# until Ctrl-C"
_FENCE = re.compile(r"^```(\S*)[ ]*([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_END = "END-OF-THE-FILE"


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block: its language, the file that the reader saves it as ("" = none), its text, its first line."""

    language: str
    name: str
    text: str
    line: int

    @property
    def elsewhere(self) -> bool:
        """Whether it is for another machine, or for one with more packages."""
        missing = tuple(begin for begin, package in OPTIONAL.items() if find_spec(package) is None)
        return self.text.startswith((*ELSEWHERE, *missing))

    @property
    def runs(self) -> bool:
        """Whether the reader types it here."""
        return self.language == "bash" and not self.elsewhere


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page in order."""
    return [
        Block(language=match[1], name=match[2].strip(), text=match[3], line=page.count("\n", 0, match.start()) + 2)
        for match in _FENCE.finditer(page)
    ]


def _served(block: Block) -> str:
    """Start a command that serves a page, look at the page, stop it as Ctrl-C does."""
    return f"""set -m
{{ {block.text.strip()}
}} > served.log 2>&1 &
for try in $(seq 300); do grep -q http:// served.log && break; kill -0 %% && sleep 0.1; done
cat served.log
page=$(grep --only-matching 'http://[[:alnum:].:/]*' served.log)
python -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1])' "$page"
kill -INT %%
wait %% || test $? = 130
set +m
"""


def script(page: str) -> str:
    """What a reader does in one terminal: saves the files, types the blocks. Ends with the first command that fails.

    The file `block` names the line of the page whose block is running.
    """
    parts = ["set -eo pipefail"]
    for block in blocks(page):
        if block.runs:
            text = _served(block) if block.text.startswith(SERVES) else block.text
            parts.append(f"echo {block.line} > block\n{text}")
        elif block.name:
            parts.append(f"mkdir -p {shlex.quote(str(Path(block.name).parent))}")
            parts.append(f"cat > {shlex.quote(block.name)} << '{_END}'\n{block.text}{_END}")
    return "\n".join(parts) + "\n"


def commands(block: Block) -> list[list[str]]:
    """The commands of a block as words, one for each line that is no comment."""
    return [
        words for line in block.text.replace("\\\n", " ").splitlines() if (words := shlex.split(line, comments=True))
    ]
