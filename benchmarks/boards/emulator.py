"""Microcontrollers in QEMU: compile C for one, run it there, read what it printed; instructions are counted.

Wanted: Debian's gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm; for RISC-V gcc-riscv64-unknown-elf,
picolibc-riscv64-unknown-elf and qemu-system-misc.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
KILOBYTE, MEGABYTE = 1 << 10, 1 << 20
LAST_WORDS = 2000  # of a program that fails
SECONDS = 3600  # the longest build or run
STANDARD = ("-O2", "-ffunction-sections", "-fdata-sections")


@dataclass(frozen=True)
class Board:
    """One machine of QEMU and how code for it is made.

    core: processor, as in tables.
    machine: QEMU's name.
    emulator, compiler: programs; the C++ compiler is `compiler` with "g++" for "gcc".
    flags: the compiler's, for the core.
    startup: C file beside this one that starts it and counts instructions.
    link: the linker's flags.
    ram: its bytes.
    """

    core: str
    machine: str
    flags: tuple[str, ...]
    startup: str
    link: tuple[str, ...]
    ram: int
    emulator: str = "qemu-system-arm"
    compiler: str = "arm-none-eabi-gcc"


def cortex_m(
    core: str, machine: str, cpu: str, clock: float, *, code: tuple[int, int], ram: tuple[int, int], fpu: str = ""
) -> Board:
    """A board with a Cortex-M. clock: in hertz. code, ram: address and bytes."""
    floats = ("-mfloat-abi=hard", f"-mfpu={fpu}") if fpu else ("-mfloat-abi=soft",)
    symbols = {"CODE": code[0], "CODE_BYTES": code[1], "RAM": ram[0], "RAM_BYTES": ram[1]}
    return Board(
        core=core,
        machine=machine,
        flags=(f"-mcpu={cpu}", "-mthumb", *floats, f"-DPICOSECONDS_PER_TICK={round(1e12 / clock)}u"),
        startup="cortex_m.c",
        link=(
            "-nostartfiles",
            "--specs=nano.specs",
            "--specs=rdimon.specs",
            f"-T{SOURCES / 'cortex_m.ld'}",
            *(f"-Wl,--defsym={name}={value:#x}" for name, value in symbols.items()),
        ),
        ram=ram[1],
    )


MPS2 = {"clock": 25e6, "code": (0, 4 * MEGABYTE), "ram": (0x21000000, 16 * MEGABYTE)}
AN500 = MPS2 | {"ram": (0x60000000, 16 * MEGABYTE)}
BOARDS: Mapping[str, Board] = {
    "m0": cortex_m(
        "Cortex-M0", "microbit", "cortex-m0", 16e6, code=(0, 256 * KILOBYTE), ram=(0x20000000, 16 * KILOBYTE)
    ),
    # The M3's machine with code for the M0, which the M3 executes instruction by instruction: more than 16 kB of RAM.
    "m0-large": cortex_m("Cortex-M0", "mps2-an385", "cortex-m0", **MPS2),
    "m3": cortex_m("Cortex-M3", "mps2-an385", "cortex-m3", **MPS2),
    "m4": cortex_m("Cortex-M4", "mps2-an386", "cortex-m4", **MPS2, fpu="fpv4-sp-d16"),
    "m7": cortex_m("Cortex-M7", "mps2-an500", "cortex-m7", **AN500, fpu="fpv5-d16"),
    "m55": cortex_m(
        "Cortex-M55", "mps3-an547", "cortex-m55", 32e6,
        code=(0, 512 * KILOBYTE), ram=(0x70000000, 64 * MEGABYTE), fpu="auto",
    ),
    "riscv": Board(
        core="RISC-V (RV32IMC)",
        machine="virt",
        flags=("-march=rv32imc", "-mabi=ilp32", "--specs=picolibc.specs"),
        startup="risc_v.c",
        link=(
            "--oslib=semihost",
            "--crt0=hosted",
            "-Wl,--defsym=__flash=0x80000000,--defsym=__flash_size=0x1000000",
            "-Wl,--defsym=__ram=0x81000000,--defsym=__ram_size=0x4000000,--defsym=__stack_size=0x10000",
        ),
        ram=64 * MEGABYTE,
        emulator="qemu-system-riscv32",
        compiler="riscv64-unknown-elf-gcc",
    ),
}  # fmt: skip


def missing(board: Board) -> str:
    """The programs that this machine lacks for a board, "" if none."""
    return ", ".join(tool for tool in (board.compiler, board.emulator) if shutil.which(tool) is None)


def versions() -> tuple[str, ...]:
    """The first line of what every program says of its version, if it is installed."""
    tools = dict.fromkeys(tool for board in BOARDS.values() for tool in (board.compiler, board.emulator))
    return tuple(call([tool, "--version"]).splitlines()[0] for tool in tools if shutil.which(tool))


def build(board: Board, sources: Iterable[Path], image: Path, *, options: Sequence[str] = STANDARD) -> Path:
    """Compiles and links C sources with the board's start into an ELF file, and returns its path.

    Raises: RuntimeError with the compiler's words if it fails.
    """
    files = [SOURCES / board.startup, *sources]
    command = [board.compiler, *board.flags, *options, f"-I{SOURCES}", *map(str, files)]
    call([*command, *board.link, "-Wl,--gc-sections", "-o", str(image)])
    return image


def run(board: Board, image: Path, folder: Path | None = None) -> str:
    """What an ELF file prints on a board. folder: where the files that it opens are; default: the image's.

    Raises: RuntimeError if its main() does not return 0.
    """
    command = [board.emulator, "-machine", board.machine, "-icount", "shift=0", "-kernel", str(image.resolve())]
    bios = ["-bios", "none"] if board.machine == "virt" else []
    plain = ["-nographic", "-monitor", "none", "-serial", "none", "-semihosting-config", "enable=on,target=native"]
    return call([*command, *bios, *plain], cwd=folder or image.resolve().parent)


def call(command: Sequence[str], cwd: Path | None = None) -> str:
    """What a program prints. Raises: RuntimeError with its words if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(
            f"{command[0]} must succeed. Received: {done.returncode}, {(done.stdout + done.stderr)[-LAST_WORDS:]}"
        )
    return done.stdout + done.stderr
