"""Pieces of a page: sections, tables, cells, and how they look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .text import count, shown

STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #b42318; --doubt: #b26a00; --quiet: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .75rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
p { margin: .4rem 0; max-width: 46rem; }
.verdict { border-left: .5rem solid var(--good); background: var(--quiet); padding: .7rem 1rem; max-width: none; }
.verdict.doubt { border-color: var(--doubt); }
.verdict.bad { border-color: var(--bad); }
.verdict b { color: var(--good); font-size: 1.2rem; margin-right: .5rem; }
.verdict.doubt b { color: var(--doubt); }
.verdict.bad b, td.bad { color: var(--bad); font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; margin: .5rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 600; vertical-align: bottom; }
td:first-child, th:first-child, th.text, td.text, th.unit, td.unit, .facts td { text-align: left; }
.wide td:first-child, .wide th:first-child { position: sticky; left: 0; background: Canvas; white-space: nowrap; }
td.text { min-width: 11rem; }
.facts td:first-child { white-space: nowrap; opacity: .75; padding-right: 1.5rem; }
.facts td { overflow-wrap: anywhere; }
td.less { font-weight: 600; }
tr.total td { font-weight: 600; border-bottom: none; }
code { font-size: .85em; overflow-wrap: anywhere; }
@media screen and (prefers-color-scheme: dark) { :root { --good: #57c274; --bad: #ff8574; --doubt: #e2a33d; } }
@media (max-width: 600px) {
  body { padding: 1rem .75rem 2rem; }
  table { font-size: .85rem; }
  /* A long name would leave no room beside it. */
  .wide td:first-child, .wide th:first-child { position: static; }
  .facts, .facts tbody, .facts tr, .facts td { display: block; border: none; padding: 0; }
  .facts tr { border-bottom: 1px solid var(--line); padding: .3rem 0; }
  .facts td:first-child { white-space: normal; font-size: .8rem; }
}
@media print {
  :root { color-scheme: light; }
  body { font-size: 10pt; max-width: none; padding: 0; }
  .wide { overflow: visible; }
  table { font-size: 8pt; }
  th, td { padding-right: .5rem; }
  tr, .verdict { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""

Cell = str | tuple[str, str]  # text, or (text, class)


def section(title: str, text: str, content: str) -> str:
    paragraph = f"<p>{text}</p>" if text else ""
    return f"<h2>{shown(title)}</h2>{paragraph}{content}\n"


def table(heads: Sequence[Cell], rows: Iterable[Sequence[Cell]], *, total: bool = False) -> str:
    """total: the last row is the sum of the others."""
    rows = list(rows)
    head = "".join(cell(text, "th") for text in heads)
    lines = [f"<tr{' class=total' if total and row is rows[-1] else ''}>{''.join(map(cell, row))}</tr>" for row in rows]
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f"<tr>{cell(name)}{cell(value)}</tr>" for name, value in rows)
    return f'<table class="facts">{lines}</table>'


def cell(content: Cell, tag: str = "td") -> str:
    text, kind = content if isinstance(content, tuple) else (content, "")
    return f"<{tag}{f' class={kind}' if kind else ''}>{shown(text)}</{tag}>"


def zero(number: int) -> Cell:
    """A number that should be 0: anything else stands out."""
    return (count(number), "bad") if number else "0"


def some(number: int) -> str:
    """A number, or nothing for 0."""
    return count(number) if number else ""
