"""The tables of operators: what one of them knows, all of them know."""

from keras_ternary_spike.export.costs.nonzero_additions import COUNTS
from keras_ternary_spike.export.costs.operation_counts import APPLICATIONS
from keras_ternary_spike.export.program.arithmetic import KERNELS
from keras_ternary_spike.export.program.operators import ELEMENTWISE, KINDS, WEIGHTED
from keras_ternary_spike.export.targets.tflm_resolver import RESOLVER_CALLS


def test_every_operator_is_computed_and_registered():
    assert set(KERNELS) == set(KINDS)
    assert set(RESOLVER_CALLS) >= set(KINDS)


def test_every_operator_with_a_kernel_is_counted():
    assert set(APPLICATIONS) == set(COUNTS) == set(WEIGHTED)
    assert set(ELEMENTWISE) | set(WEIGHTED) < set(KINDS)
