"""`python -m results.readme`: remake the README's tables from the committed records.

A block stands between `<!-- results ARGUMENTS -->` and `<!-- end -->`: the output of
`python -m results ARGUMENTS --format markdown`, so the marker itself is the command behind a table.
"""

import contextlib
import io
import re
import shlex
import sys
from pathlib import Path

from results.__main__ import main as results_main

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"(<!-- results (?P<arguments>.*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def regenerated(text: str) -> str:
    """The README's text with every block made anew; paths are relative to the project."""

    def block(match: re.Match[str]) -> str:
        arguments = shlex.split(match["arguments"])
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown), contextlib.chdir(README.parent):
            status = results_main([*arguments, "--format", "markdown"])
        if status:
            raise SystemExit(f"{README.name}: `results {match['arguments']}` failed: {status}")
        return f"{match[1]}{shown.getvalue().strip()}\n{match[3]}"

    return BLOCK.sub(block, text)


def main() -> None:
    """Rewrite README.md; with --check only say whether it is stale (exit 1)."""
    before = README.read_text(encoding="utf-8")
    after = regenerated(before)
    if "--check" in sys.argv[1:]:
        sys.exit(f"{README.name} is stale: run make readme" if after != before else 0)
    README.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
