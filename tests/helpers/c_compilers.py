"""Generated C, compiled with every warning an error and run under the sanitizers."""

import shutil
import subprocess

import pytest

from keras_ternary_spike.export.c_code.compiled import compiler, run_programs

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-Wno-overlength-strings")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
needs_compiler = pytest.mark.skipif(compiler() is None, reason="needs a C compiler (cc, gcc or clang)")
needs_gcc_and_clang = pytest.mark.skipif(
    not (shutil.which("gcc") and shutil.which("clang")), reason="needs both gcc and clang"
)


def has_avx2():
    """Whether this processor is one that `-mavx2` builds for."""
    compiled = subprocess.run([compiler(), "-march=native", "-dM", "-E", "-"], input=b"", capture_output=True)
    return b"__AVX2__" in compiled.stdout


needs_avx2 = pytest.mark.skipif(compiler() is None or not has_avx2(), reason="needs a processor with AVX2")


def run_checked(cases, flags=("-std=c99", "-O0"), command=None):
    """`run_programs` with all warnings and sanitizers."""
    return run_programs(cases, flags=(*flags, *WARNINGS, *SANITIZERS), command=command)
