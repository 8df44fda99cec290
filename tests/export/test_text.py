"""Text for terminals: names may come from files that are anybody's."""

from keras_ternary_spike.export.__main__ import main
from keras_ternary_spike.export.text import aligned, printable, printable_lines


def test_control_and_bidirectional_characters_are_escapes():
    assert printable("\x1b[31mred\a\r\n\u202egpj.exe") == r"\x1b[31mred\x07\r\n\u202egpj.exe"
    assert printable("größer 層 2") == "größer 層 2"


def test_a_name_with_a_line_break_is_one_cell():
    assert aligned([("a\nb", "1"), ("c", "22")]) == ["a\\nb   1", "c     22"]
    assert printable_lines("a\x07\nb") == "a\\x07\nb"


def test_errors_of_the_command_line_hold_no_control_characters(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", "\x1b[31m\u202e.tflite"]) == 1
    error = capsys.readouterr().err
    assert r"\x1b[31m\u202e.tflite" in error and error.rstrip("\n").isprintable()
