"""The worked example of docs/architecture.md: the page shows what the example prints."""

from pathlib import Path

import numpy as np

import follow_a_neuron as example

PROJECT = Path(__file__).parents[2]


def test_the_page_shows_what_the_example_prints(capsys):
    example.main()
    assert f"```\n{capsys.readouterr().out.strip()}\n```" in (PROJECT / "docs" / "architecture.md").read_text()


def test_its_integers_follow_from_the_equations():
    """Currents in steps of which the threshold is 100.5, and the decay as the fraction n / 63 next to it."""
    real = (example.FRAMES * example.KERNEL).sum(axis=(1, 2)) + example.BIAS
    first, second = np.rint(real / example.THRESHOLD * 100.5)
    membrane = second + np.rint(first * 16 / 63)
    assert (first, second, membrane) == (75, 90, 109)
    assert first < 100.5 < membrane
