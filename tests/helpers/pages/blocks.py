"""The fenced blocks and the commands that the pages show, and what keeps one from being run.

A block that no test can run has a comment in front of it, which readers of the page do not see:

    <!-- not run: why -->
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGES = ("README.md", *sorted(f"docs/{path.relative_to(ROOT / 'docs')}" for path in (ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(r"^(?:<!-- not run: (?P<reason>.+?) -->\n\n?)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
OURS = ("keras-ternary-spike", "python -m keras_ternary_spike.export")


@dataclass(frozen=True)
class Block:
    """line: of the page, where the text begins. reason: why it is not run, or None."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None


def blocks(page, *languages):
    """The page's fenced blocks in some languages, in order."""
    text = (ROOT / page).read_text()
    found = (
        Block(page, text[: match.start("text")].count("\n") + 1, match["language"], match["text"], match["reason"])
        for match in BLOCK.finditer(text)
    )
    return [block for block in found if block.language in languages]


def to_run(page, *languages):
    return [block for block in blocks(page, *languages) if block.reason is None]


def run(block, namespace):
    """A failure names page and line."""
    code = "\n" * (block.line - 1) + block.text
    exec(compile(code, str(ROOT / block.page), "exec"), namespace)


def our_commands(block):
    """The arguments of each line of a shell block that is this package's command."""
    lines = block.text.replace("\\\n", " ").splitlines()
    for line in lines:
        for name in OURS:
            if line.startswith(f"{name} "):
                yield shlex.split(line.removeprefix(name), comments=True)


def named_programs(page):
    """`(example or benchmark, options)` of every `python FILE` and `python -m MODULE`, also within sentences."""
    text = re.sub(r"\\?\s+", " ", (ROOT / page).read_text())
    found = re.findall(r"python (?:-m )?((?:examples/|benchmarks\.)[\w./]*\w)((?: [\w./:-]+)*)", text)
    return [(name, re.findall(r"--[\w-]+", rest)) for name, rest in found]
