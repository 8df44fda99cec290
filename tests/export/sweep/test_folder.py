"""The folder of a sweep: damaged results, somebody else's files, another configuration."""

from dataclasses import asdict

import pytest

from digits_sweep import CONFIG, write_config
from keras_ternary_spike.export.sweep import config as sweep_config
from keras_ternary_spike.export.sweep import folder as sweep_folder
from keras_ternary_spike.export.sweep.points import Point


def test_a_damaged_result_is_named_with_the_way_out(tmp_path):
    (tmp_path / "points").mkdir()
    one, other = Point(1, 0.25, 0.5, 0.0, 8), Point(2, 0.25, 0.5, 0.0, 8)
    folder, path = sweep_folder.Folder(tmp_path), tmp_path / "points" / f"{one.name}.json"
    assert not folder.holds(one)
    path.write_text('{"point": ')
    with pytest.raises(ValueError, match=r"json is damaged: .*Delete it to train that point again"):
        folder.read(one)
    folder.write(other, {"accuracy": 0.5})
    path.write_bytes((tmp_path / "points" / f"{other.name}.json").read_bytes())
    with pytest.raises(ValueError, match=r"must hold the point \{'timesteps': 1,.*Delete it"):
        folder.read(one)
    assert folder.read(other) == {"point": asdict(other), "accuracy": 0.5}


def test_a_folder_of_something_else_is_refused(tmp_path):
    config = sweep_config.read_config(write_config(tmp_path, CONFIG))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match=r"new or empty folder, or one of a sweep\. Received: .*mine"):
        sweep_folder.open_folder(mine, config, data_sha256="0", ram="arena")
    (mine / "sweep.json").write_text('{"settings": {}}')
    with pytest.raises(ValueError, match=r"sweep\.json is not one of a sweep, or was changed\. Give another folder"):
        sweep_folder.open_folder(mine, config, data_sha256="0", ram="arena")


def test_other_data_is_another_configuration_wherever_the_file_lies(tmp_path):
    config = sweep_config.read_config(write_config(tmp_path, CONFIG))
    sweep_folder.open_folder(tmp_path / "out", config, data_sha256="0", ram="arena")
    moved = sweep_config.read_config(write_config(tmp_path, CONFIG.replace("digits.npz", "./digits.npz")))
    sweep_folder.open_folder(tmp_path / "out", moved, data_sha256="0", ram="arena")
    with pytest.raises(ValueError, match=r"`data\.file` was \"0\"\. Received: \"1\""):
        sweep_folder.open_folder(tmp_path / "out", config, data_sha256="1", ram="arena")
    with pytest.raises(ValueError, match=r"`ram` was \"arena\"\. Received: \"peak\""):
        sweep_folder.open_folder(tmp_path / "out", config, data_sha256="0", ram="peak")
