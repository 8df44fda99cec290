"""The document for the people who build the device: proofs, comparisons, counts, sizes and estimates of one file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import numpy as np

from ..costs.beside_relu import BesideRelu, beside_relu
from ..costs.energy import TABLES, Energy, energy_of
from ..costs.operation_counts import OperationCounts, count_operations
from ..costs.sizes import Flash, MemoryUse, flash, memory
from ..program.facts import Facts
from ..program.names import STATE_IN, is_state
from ..program.program import Program
from ..program.samples import Samples, by_name, sample_tensors
from ..program.step_form import is_step, unroll
from ..targets.check import check, check_target
from ..targets.report import TargetReport
from ..tflite import flatbuffer
from ..verification.report import Report
from ..verification.verify import verify
from ..verification.verify_steps import verify_steps
from .proof import Proof, prove
from .spikes import LayerSpikes, observe

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Certificate:
    """What `certify` found. `to_html()` is the page, `to_dict()` the same for JSON.

    report: of `verify`, value by value on the samples.
    proofs: one per spiking layer, for every operand.
    spikes: one per spiking layer, on the samples.
    work: additions and multiplications of one sample.
    memory: of the file.
    target: of `check`; None where no target was asked for.
    beside_relu: the same network as a ReLU CNN beside it; None where there was no model to make it of.
    sha256: of the file.
    metadata: of the file.
    flash: of the file before compression and of this one; None where that before was not given.
    energy: joules of one sample, one for each of the named tables.
    file: its name, where it was given.
    date: on which it was certified, UTC, as in 2026-11-29.
    """

    report: Report
    proofs: tuple[Proof, ...]
    spikes: tuple[LayerSpikes, ...]
    work: OperationCounts
    memory: MemoryUse
    target: TargetReport | None
    beside_relu: BesideRelu | None
    sha256: str
    metadata: Mapping[str, object]
    flash: tuple[Flash, Flash] | None = None
    energy: tuple[Energy, ...] = ()
    file: str = ""
    date: str = ""

    @property
    def facts(self) -> Facts:
        """The metadata, read."""
        return Facts.from_json(self.metadata)

    @property
    def exact(self) -> bool:
        """Whether no value differs on the samples and every proof holds."""
        return self.report.exact and all(proof.holds for proof in self.proofs)

    def to_dict(self) -> dict[str, object]:
        """Only dicts, lists, strings, numbers, booleans and None."""
        document = {
            "exact": self.exact,
            "file": self.file,
            "sha256": self.sha256,
            "date": self.date,
            "report": self.report.to_dict(),
            "proofs": [{"holds": proof.holds, **asdict(proof)} for proof in self.proofs],
            "spikes": [{"share": layer.share, **asdict(layer)} for layer in self.spikes],
            "work": asdict(self.work),
            "memory": asdict(self.memory),
            "target": None if self.target is None else self.target.to_dict(),
            "relu_twin": None if self.beside_relu is None else asdict(self.beside_relu),
            "metadata": self.metadata,
            "energy": [{**asdict(one), "bits_per_addition": one.bits_per_addition} for one in self.energy],
            "flash": None if self.flash is None else [asdict(sizes) for sizes in self.flash],
        }
        return json.loads(json.dumps(document, allow_nan=False))  # tuples become lists

    def to_json(self) -> str:
        """`to_dict()` as text."""
        return json.dumps(self.to_dict(), indent=2) + "\n"  # ASCII: a viewer obeys no character of a name

    def to_html(self) -> str:
        """One page that needs nothing else: no script, no style sheet, no image from elsewhere."""
        from .page import page

        return page(self)


def certify(
    model: keras.Model | None,
    tflite_bytes: bytes,
    samples: Samples,
    *,
    target: str | None = None,
    before: bytes | None = None,
    also: Collection[str] = (),
    file: str = "",
) -> Certificate:
    """Verifies a file, proves its spiking layers on every operand, counts its work and asks the target.

    Args:
        model: The Keras model that was exported, or None to leave out the comparison with Keras.
        tflite_bytes: The file, as `export_tflite` returns it. Of the step form all timesteps are run, each a call.
        samples: As `verify` takes them, whatever the form of the file.
        target: One of those of `check`, such as `"ethos-u55-128"`. Default: None, no target.
        before: The file of the network before compression, to show both in flash. Default: None, not shown.
        also: `("c",)` to run the C code of `export_c` too, as `verify` does.
        file: The file's name, which the page shows beside its SHA-256. Default: "", not named.

    Raises:
        ValueError: if the file is not one of `export_tflite`, the samples do not fit, or the target is unknown.
        ImportError: naming the extra to install, if the target's tool is missing.

    Example:
        >>> Path("certificate.html").write_text(certify(model, tflite_bytes, images).to_html())
    """
    if target is not None:
        check_target(target)
    samples = by_name(samples, [*sample_tensors(flatbuffer.read(tflite_bytes))])  # a generator is read once
    report, program = compare(model, tflite_bytes, samples, also=also)
    proofs = prove(program)
    spikes, activity, information = observe(model, program, proofs, samples)
    found = None if target is None else check(tflite_bytes, target=target)
    return Certificate(
        report=report,
        proofs=proofs,
        spikes=spikes,
        work=count_operations(program, activity),
        memory=memory(flatbuffer.read(tflite_bytes), tflite_bytes, report.arena_bytes),
        target=found,
        beside_relu=relu_costs(model, tflite_bytes, program.facts.timesteps, report.arena_bytes, found),
        sha256=hashlib.sha256(tflite_bytes).hexdigest(),
        metadata=program.metadata,
        flash=None if before is None else (flash(before), flash(tflite_bytes)),
        energy=tuple(energy_of(program, activity, information, table=table) for table in TABLES),
        file=file,
        date=datetime.now(timezone.utc).date().isoformat(),
    )


def compare(
    model: keras.Model | None, tflite_bytes: bytes, samples: Samples, *, also: Collection[str] = ()
) -> tuple[Report, Program]:
    """`verify` for files of either form, and the program of all timesteps."""
    program = flatbuffer.read(tflite_bytes)
    if not is_step(program):
        return verify(model, tflite_bytes, samples, also=also), program
    samples = by_name(samples, [*sample_tensors(program)])
    whole = unrolled(program, samples, alone=model is None)
    return verify_steps(model, program, tflite_bytes, samples, whole, also=also), whole


def unrolled(program: Program, samples: Samples, *, alone: bool = True) -> Program:
    """A program of the step form for as many timesteps as samples have, where the file takes any number of them.

    alone: whether nobody asks for Keras's mean over time, which is one of the window only where that is as long.
    """
    facts, sequence = program.facts, is_sequence(program, samples)
    timesteps = _length(program, samples) if sequence and facts.any_length else facts.timesteps
    if not alone and facts.window is not None and timesteps != facts.window:
        raise ValueError(
            f"The samples must be as long as the window of {facts.window} timesteps to be compared with the Keras "
            f"model, which averages over all. Received: {timesteps} timesteps. Give such samples, or no model."
        )
    return unroll(program, sequence=sequence, timesteps=timesteps)


def _length(program: Program, samples: Samples) -> int:
    frames = {name: program.tensors[index] for name, index in program.named_inputs.items()}
    arrays = by_name(samples, [name for name in frames if not is_state(name, STATE_IN)])
    return next(np.shape(values)[1] for name, values in arrays.items() if np.ndim(values) > len(frames[name].shape))


def is_sequence(program: Program, samples: Samples) -> bool:
    """Whether samples of a file of the step form have a frame for every timestep."""
    frames = {name: program.tensors[index] for name, index in program.named_inputs.items()}
    arrays = by_name(samples, [name for name in frames if not is_state(name, STATE_IN)])
    return isinstance(arrays, Mapping) and any(
        np.ndim(values) > len(frames[name].shape) for name, values in arrays.items() if name in frames
    )


def relu_costs(
    model: keras.Model | None, tflite_bytes: bytes, timesteps: int, arena: int | None, target: TargetReport | None
) -> BesideRelu | None:
    """The costs of a file beside those of its model with ReLU for neurons."""
    if model is None:
        return None
    from ..describe.model import describe

    described = describe(model, unknown=timesteps, averages=True)
    return beside_relu(described, tflite_bytes, arena=arena, target=target)
