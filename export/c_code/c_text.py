"""Text of C: identifiers, comments, strings, constants. A layer's name may hold anything; none of it becomes code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

LINE = 112
INDENT = "    "
OWN = "@"  # stands for the name in the text of a constant
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
WORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl concept const const_cast
    consteval constexpr constinit continue co_await co_return co_yield decltype default delete do double dynamic_cast
    else enum explicit export extern false float for friend goto if inline int long main mutable namespace new noexcept
    not not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires restrict return
    short signed sizeof static static_assert static_cast struct switch template this thread_local throw true try typedef
    typeid typename union unsigned using virtual void volatile wchar_t while xor xor_eq
"""
KEYWORDS = frozenset(WORDS.split())
# Of the functions around the kernels, and macros of compilers and of the standard library.
FOREIGN = (
    "arena input inputs output outputs frame main NULL EOF errno stdin stdout stderr assert unix linux i386 arm mips"
)
KERNELS = Path(__file__).with_name("kernels")
DEFINED = re.compile(r"(?m)^#define (\w+)|^static [\w ]+?\W(\w+)\(|\b(\w+_t)\b")  # macros, functions, types
TYPES = re.compile(r"(u?int(_least|_fast)?(8|16|32|64)|u?int(ptr|max)|s?size|ptrdiff|wchar|char(8|16|32)|max_align)")


def check_name(name: str) -> str:
    """`name`, the prefix of every symbol. Raises: ValueError unless it is an identifier of C and C++."""
    if not IDENTIFIER.fullmatch(name) or name in KEYWORDS or TYPES.fullmatch(name):
        raise ValueError(
            "`name` must be a C identifier that starts with a letter, no keyword of C or C++ and no type of <stdint.h> "
            f"without its _t. Received: name={name!r}"
        )
    return name


def identifier(text: str) -> str:
    """`text` with every character that C has no use for replaced; no word that means something in C or in a kernel."""
    made = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:48] or "tensor"
    made = made if made[0].isalpha() else f"layer_{made}"
    return f"{made}_" if made in reserved() else made


@cache
def reserved() -> frozenset[str]:
    """Words that no constant and no member of a struct may be called."""
    kernels = (word for path in KERNELS.glob("*/*") for found in DEFINED.findall(path.read_text()) for word in found)
    return KEYWORDS | frozenset(kernels) | frozenset(FOREIGN.split())


def comment(text: str) -> str:
    """`text` inside a comment: printable ASCII without an end of a comment, a beginning, or a continued line."""
    plain = "".join(c if " " <= c <= "~" else "?" for c in text)
    return plain.replace("*/", "* /").replace("/*", "/ *").replace("\\", "/").replace("??/", "?")


def string(text: str) -> str:
    """`text` as a string literal, UTF-8; every byte that is no letter, digit or blank escaped in octal."""
    escaped = "".join(
        chr(byte) if (chr(byte).isalnum() and byte < 128) or byte == 32 else f"\\{byte:03o}" for byte in text.encode()
    )
    return f'"{escaped}"'


def filled(items: Sequence[str], indent: str = INDENT) -> str:
    """Items with commas between, in lines of at most LINE characters."""
    lines, line = [], indent
    for position, item in enumerate(items):
        piece = item + ("," if position + 1 < len(items) else "")
        if len(line) + len(piece) + 1 > LINE and line != indent:
            lines.append(line.rstrip())
            line = indent
        line += piece + " "
    return "\n".join([*lines, line.rstrip()])


def number(value: int) -> str:
    """An integer constant of C; INT32_MIN has none."""
    return "(-2147483647 - 1)" if value == -(2**31) else str(value)


@dataclass
class Constants:
    """The constants of a source file; equal ones of one type stand once.

    texts: their definitions, in order. flash: their bytes, by name.
    """

    texts: list[str] = field(default_factory=list)
    flash: dict[str, int] = field(default_factory=dict)
    _known: dict[str, str] = field(default_factory=dict)

    def array(self, name: str, values: np.ndarray) -> str:
        """An array of integers, of the type that `values` has. Returns its name in C."""
        return self._define(name, _array(values), values.nbytes)

    def either(self, condition: str, name: str, values: np.ndarray, others: np.ndarray) -> str:
        """As `array`, of `values` where a condition of the preprocessor holds and `others` elsewhere."""
        return self.variants(name, {condition: values}, others)

    def variants(self, name: str, values: Mapping[str, np.ndarray], others: np.ndarray) -> str:
        """As `array`, of the first values whose condition of the preprocessor holds, else of `others`."""
        if all(one.dtype == others.dtype and np.array_equal(one, others) for one in values.values()):
            return self.array(name, others)
        parts = "#el".join(f"if {condition}\n{_array(one)}\n" for condition, one in values.items())
        return self._define(name, f"#{parts}#else\n{_array(others)}\n#endif", others.nbytes)

    def struct(self, kind: str, name: str, values: Sequence[int | str | Sequence[int]], size: int) -> str:
        """A struct of `size` bytes, its members in order."""
        items = [str(one) if isinstance(one, int | str) else "{" + ", ".join(map(str, one)) + "}" for one in values]
        return self._define(name, f"static const {kind} {OWN} = {{\n{filled(items)}\n}};", size)

    def names(self, code: str) -> set[str]:
        """The constants that some code needs, with those that they need."""
        texts, waiting, found = dict(zip(self.flash, self.texts, strict=True)), [code], set()
        while waiting:
            for name in set(WORD.findall(waiting.pop())) & set(texts) - found:
                found.add(name)
                waiting.append(texts[name])
        return found

    def used(self, code: str) -> list[str]:
        """The definitions that some code needs, in order, with those that they need."""
        names = self.names(code)
        return [text for name, text in zip(self.flash, self.texts, strict=True) if name in names]

    def _define(self, name: str, text: str, size: int) -> str:
        if text not in self._known:
            base = identifier(name)
            free = (base, *(f"{base}_{n}" for n in range(2, len(self.flash) + 3)))
            self._known[text] = own = next(one for one in free if one not in self.flash and one not in KEYWORDS)
            self.flash[own] = size
            self.texts.append(text.replace(OWN, own))
        return self._known[text]


def _array(values: np.ndarray) -> str:
    items = filled([number(value) for value in values.reshape(-1).tolist()])
    return f"static const {values.dtype.name}_t {OWN}[{values.size}] = {{\n{items}\n}};"
