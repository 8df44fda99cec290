"""The page's own copy of a file: float32 at its ends, and as further outputs all that the page looks at."""

from __future__ import annotations

from dataclasses import replace

from ..costs.operation_counts import spike_readers
from ..program.names import spike_tensors
from ..program.program import Program


def watched(program: Program) -> Program:
    """The same operators, and one sample a call.

    Behind the program's own outputs come its spikes, and the sums of spikes that kernels read. Inputs and outputs are
    called input0, output0, ... in order: what users call them may mean something in JavaScript.
    """
    indices = {tensor.name: index for index, tensor in enumerate(program.tensors)}
    spikes = [indices[tensor.name] for _, tensor in spike_tensors(program)]
    read = [reader.tensor for reader in spike_readers(program) if reader.tensor not in program.inputs]
    outputs = tuple(dict.fromkeys((*program.outputs, *spikes, *read)))
    names = {index: f"input{place}" for place, index in enumerate(program.inputs)}
    names |= {index: f"output{place}" for place, index in enumerate(outputs)}
    return replace(program, outputs=outputs, names=names, batch=1, io="float32")
