"""The device catalogue and the gallery."""

from pathlib import Path

import pytest

from clustersim.errors import ScenarioError
from clustersim.scenario.devices import device_names, load_device
from clustersim.scenario.gallery import gallery_file, gallery_names, gallery_path
from clustersim.scenario.units import parse_flop_per_s, parse_power_w


@pytest.mark.parametrize("name", device_names())
def test_every_device_loads_under_its_name(name: str) -> None:
    assert load_device(name).name == name


def test_a_device_worked_by_hand() -> None:
    device = load_device("A100-SXM4-80GB")
    assert device.memory == 80 * 2**30
    assert device.memory_bandwidth == 2_039 * 10**9
    assert device.peak_flop_per_s["bf16"] == 312 * 10**12
    assert device.tdp == 400


def test_an_unknown_device_names_the_nearest() -> None:
    with pytest.raises(ScenarioError, match="did you mean 'H100-SXM5-80GB'"):
        load_device("H100-SXM-80GB")


def test_gallery_names_are_files() -> None:
    assert "dgx-h100" in gallery_names("topologies")
    assert list(gallery_names("topologies")) == sorted(gallery_names("topologies"))
    assert gallery_file("topologies", "no-such") is None
    assert gallery_file("topologies", "../pyproject") is None


def test_an_installed_gallery_comes_before_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "clustersim"
    (tmp_path / "topologies").mkdir()
    monkeypatch.setattr("clustersim.scenario.gallery._PACKAGE", package)
    assert gallery_path("topologies") == tmp_path / "topologies"
    (package / "gallery" / "topologies").mkdir(parents=True)
    (package / "gallery" / "topologies" / "mine.yaml").write_text("fabric: ring")
    assert gallery_path("topologies") == package / "gallery" / "topologies"
    assert gallery_names("topologies") == ("mine",)


def test_rates_and_powers_need_units() -> None:
    assert parse_flop_per_s("1 PFLOP/s") == 10**15
    assert parse_power_w("1.2 kW") == 1200
    for parse, text in ((parse_flop_per_s, "312 TFLOPS"), (parse_power_w, "400")):
        with pytest.raises(ValueError, match="got '"):
            parse(text)
