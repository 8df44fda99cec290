"""The verdict on a file: what was compared on which runtime, and what the file is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ..runtimes.timing import Latency
from ..text import aligned, duration, listed, printable, printable_lines

LOW_AGREEMENT, LOW_CORRELATION = 0.9, 0.9  # below: the verdict says so


@dataclass(frozen=True)
class Comparison:
    """int8 values of one runtime against Program.run.

    values, differing: over every tensor that an operator writes, all of them exposed as outputs.
    output_values, output_differing: on the outputs of the file as shipped.
    first_tensor: the first tensor in order of execution that differs; None where all are equal.
    """

    values: int
    differing: int
    output_values: int
    output_differing: int
    first_tensor: str | None = None


@dataclass(frozen=True)
class Agreement:
    """Predictions of the file and of the Keras model: on how many of `compared` the largest output is the same."""

    same: int
    compared: int

    @property
    def share(self) -> float:
        return self.same / self.compared


@dataclass(frozen=True)
class Distance:
    """Numbers of the file and of the Keras model.

    error: root of the mean square difference, in the units of the output.
    correlation: in [-1, 1]; None where either is constant, or there is one number.
    """

    error: float
    correlation: float | None


@dataclass(frozen=True)
class Saturation:
    """How many of `values` numbers lie at or beyond the ends of their range."""

    count: int
    values: int

    @property
    def share(self) -> float:
        return self.count / self.values if self.values else 0.0


@dataclass(frozen=True)
class Report:
    """What `verify` found. `print(report)` shows a table, `report.to_dict()` is ready for JSON.

    runtimes: by runtime, compared with Program.run.
    pairs: "one / other" to the number of values that differ between two runtimes.
    agreements: with the Keras model, by output; outputs of a single value are no classes and have none.
    distances: from the Keras model, by output.
    inputs, outputs: the samples' values that saturate, and the output values at a limit of int8, which may have.
    float_tensors: names of tensors that are neither int8 nor int32.
    operators: how many of each kind.
    spike_tensors: names of the tensors that hold spikes.
    improper_spikes: those that are not int8 of zero point 0 with values in {-1, 0, 1} at scale 1, or, of graded spikes,
        within the levels that the scale and the fused activation stand for.
    firing_rates: by layer, mean |spike| over samples, timesteps and neurons.
    file_bytes, arena_bytes: the .tflite file, and TFLite Micro's tensor arena (None: not installed).
    latency: of one sample on XNNPACK, one thread.
    notes: one sentence each.
    versions: of the packages that took part.
    """

    name: str
    samples: int
    runtimes: Mapping[str, Comparison]
    pairs: Mapping[str, int]
    agreements: Mapping[str, Agreement]
    distances: Mapping[str, Distance]
    inputs: Saturation
    outputs: Saturation
    float_tensors: tuple[str, ...]
    operators: Mapping[str, int]
    spike_tensors: tuple[str, ...]
    improper_spikes: tuple[str, ...]
    firing_rates: Mapping[str, float]
    file_bytes: int
    arena_bytes: int | None
    latency: Latency
    notes: tuple[str, ...]
    versions: Mapping[str, str]

    @property
    def agreement(self) -> Agreement | None:
        """Of all outputs together; None where none was compared."""
        found = self.agreements.values()
        return Agreement(sum(part.same for part in found), sum(part.compared for part in found)) if found else None

    @property
    def exact(self) -> bool:
        """Whether no value differs anywhere and every spike tensor holds spikes."""
        differing = [comparison.differing + comparison.output_differing for comparison in self.runtimes.values()]
        return not any(differing) and not any(self.pairs.values()) and not self.improper_spikes

    @property
    def doubts(self) -> tuple[str, ...]:
        """What a file can be wrong in although it is exact: its range does not fit, or it is no longer the model."""
        found = []
        if self.inputs.count:
            found.append(f"{percent(self.inputs.share)} of the input values saturate")
        if self.outputs.count:
            found.append(f"{percent(self.outputs.share)} of the output values lie at a limit of int8")
        if self.agreement is not None and self.agreement.share < LOW_AGREEMENT:
            found.append(f"only {percent(self.agreement.share)} same class as Keras")
        for name, distance in self.distances.items():
            if name not in self.agreements and (distance.correlation or 1.0) < LOW_CORRELATION:
                found.append(f"only {distance.correlation:.2f} correlation of {name!r} with Keras")
        return tuple(found)

    @property
    def verdict(self) -> str:
        """EXACT or NOT EXACT, and in the same line what that does not say."""
        differing = sum(comparison.differing + comparison.output_differing for comparison in self.runtimes.values())
        compared = sum(comparison.values + comparison.output_values for comparison in self.runtimes.values())
        word = "EXACT" if self.exact else "NOT EXACT"
        but = f", but {'; '.join(self.doubts)}" if self.doubts else ""
        return f"{word}, {differing:,} of {compared:,} int8 values differ ({self.samples:,} samples){but}"

    def to_dict(self) -> dict[str, object]:
        """Only dicts, lists, strings, numbers and None."""
        report = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        agreement = None if self.agreement is None else asdict(self.agreement)
        return {"exact": self.exact, "doubts": list(self.doubts), "agreement": agreement, **report}

    def __str__(self) -> str:
        title = f"{printable(self.name)}: {self.verdict}"
        return printable_lines("\n".join([title, "", *self._runtime_table(), "", *self._facts(), "", *self._layers()]))

    def _runtime_table(self) -> list[str]:
        rows = [("runtime", "all tensors", "differing", "outputs as shipped", "differing")]
        for name, comparison in self.runtimes.items():
            counts = (comparison.values, comparison.differing, comparison.output_values, comparison.output_differing)
            rows.append((name, *(f"{count:,}" for count in counts)))
        first = [
            f"  first in {comparison.first_tensor} ({name})"
            for name, comparison in self.runtimes.items()
            if comparison.first_tensor
        ]
        unequal = [f"{pair} differ in {count:,} values" for pair, count in self.pairs.items() if count]
        return [*aligned(rows), *first, f"between two runtimes: {listed(unequal) if unequal else 'all equal'}"]

    def _facts(self) -> list[str]:
        facts = [
            ("same class as Keras", agreement_text(self.agreement)),
            *self._agreement_rows(),
            *((f"error of {name}", distance_text(distance)) for name, distance in self.distances.items()),
            ("operators", ", ".join(f"{count} {kind}" for kind, count in self.operators.items())),
            ("not int8 or int32", listed(self.float_tensors)),
            ("spike tensors", f"{len(self.spike_tensors)}, improper: {listed(self.improper_spikes)}"),
            ("file", f"{self.file_bytes:,} bytes"),
            ("TFLite Micro arena", "not measured" if self.arena_bytes is None else f"{self.arena_bytes:,} bytes"),
            ("latency", self._latency_text()),
            ("versions", ", ".join(f"{name} {version}" for name, version in self.versions.items())),
        ]
        return aligned([*facts, *(("note", note) for note in self.notes)], left=2)

    def _layers(self) -> list[str]:
        return aligned([("layer", "firing rate"), *((name, f"{rate:.3f}") for name, rate in self.firing_rates.items())])

    def _agreement_rows(self) -> list[tuple[str, str]]:
        """Output by output, where there are several."""
        rows = [(f"  {name}", agreement_text(agreement)) for name, agreement in self.agreements.items()]
        return rows if len(rows) > 1 else []

    def _latency_text(self) -> str:
        time = self.latency
        spread = f"{duration(time.low_ms)} to {duration(time.high_ms)}, {time.invocations} runs"
        return f"{duration(time.median_ms)} (quartiles {spread}; XNNPACK, one thread)"


def percent(share: float) -> str:
    """With the digits that tell it from 0 and from 100."""
    text = f"{100 * share:.1f}"
    return f"{text if text not in ('0.0', '100.0') or share in (0, 1) else f'{100 * share:.2g}'} %"


def distance_text(distance: Distance) -> str:
    error = f"{distance.error:.3g} (root of the mean square)"
    return error if distance.correlation is None else f"{error}, correlation with Keras {distance.correlation:.4f}"


def agreement_text(agreement: Agreement | None) -> str:
    if agreement is None:
        return "not compared"
    return f"{100 * agreement.share:.1f} % ({agreement.same:,} of {agreement.compared:,})"
