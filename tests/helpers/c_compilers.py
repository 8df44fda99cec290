"""Generated C, compiled with every warning an error and run under the sanitizers."""

import shutil

import pytest

from keras_ternary_spike.export.c_code.compiled import compiler, run_programs

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-Wno-overlength-strings")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
needs_compiler = pytest.mark.skipif(compiler() is None, reason="needs a C compiler (cc, gcc or clang)")
needs_gcc_and_clang = pytest.mark.skipif(
    not (shutil.which("gcc") and shutil.which("clang")), reason="needs both gcc and clang"
)


def run_checked(cases, flags=("-std=c99", "-O0"), command=None):
    """`run_programs` with all warnings and sanitizers."""
    return run_programs(cases, flags=(*flags, *WARNINGS, *SANITIZERS), command=command)
