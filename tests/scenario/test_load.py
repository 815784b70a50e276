"""Loading: other tools' names, includes, overrides, topologies, variants."""

from pathlib import Path

import pytest
from scenario_examples import MINIMAL

from clustersim.errors import ScenarioError, TopologyError
from clustersim.scenario.aliases import ALIASES
from clustersim.scenario.gallery import gallery_names
from clustersim.scenario.keys import has_key
from clustersim.scenario.load import load_scenario, scenario_from_mapping, vary
from clustersim.scenario.show import resolved, resolved_mapping
from clustersim.scenario.spec import Scenario
from clustersim.scenario.topology_file import load_topology


@pytest.fixture
def minimal(tmp_path: Path) -> Path:
    path = tmp_path / "minimal.yaml"
    path.write_text(MINIMAL)
    return path


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _origins(scenario: Scenario) -> dict[str, str]:
    return {row.key: row.origin for row in resolved(scenario)}


def test_a_minimal_scenario(minimal: Path) -> None:
    scenario = load_scenario(minimal)
    assert scenario.parallelism.pp == 4
    assert scenario.schedule.name == "1f1b"
    assert scenario.cluster.topology.num_gpus == 8
    assert scenario.loaded_from is not None
    assert scenario.loaded_from.path == str(minimal)
    assert scenario.loaded_from.topology_name == "inline"


def test_json_and_toml_say_the_same(tmp_path: Path, minimal: Path) -> None:
    in_json = """{"version": 1, "schedule": "1f1b", "batch": {"num_microbatches": 8}, "parallelism": {"pp": 4},
        "stage_costs": {"forward": "10 ms", "input_grad": "10 ms", "weight_grad": "10 ms", "activation": "1 GiB"},
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 8}}}"""
    in_toml = """version = 1
        schedule = "1f1b"
        batch.num_microbatches = 8
        parallelism = {pp = 4}
        [stage_costs]
        forward = "10 ms"
        input_grad = "10 ms"
        weight_grad = "10 ms"
        activation = "1 GiB"
        [cluster.topology]
        fabric = "full-mesh"
        gpus = 8"""
    texts = (_write(tmp_path, "a.json", in_json), _write(tmp_path, "a.toml", in_toml))
    expected = load_scenario(minimal).model_dump()
    assert [load_scenario(path).model_dump() for path in texts] == [expected, expected]


def test_every_alias_stands_for_a_key() -> None:
    for key, names in ALIASES.items():
        assert has_key(Scenario, tuple(key.split(".")))
        assert not any(has_key(Scenario, (*key.split(".")[:-1], name)) for name in names)


@pytest.mark.parametrize("name", ALIASES["parallelism.pp"])
def test_other_names_mean_the_same(tmp_path: Path, minimal: Path, name: str) -> None:
    renamed = _write(tmp_path, "renamed.yaml", MINIMAL.replace("pp:", f"{name}:"))
    assert load_scenario(renamed).model_dump() == load_scenario(minimal).model_dump()


def test_errors_use_the_name_that_the_user_wrote(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.yaml", MINIMAL.replace("pp: 4", "pipeline_model_parallel_size: 0"))
    with pytest.raises(
        ScenarioError, match=r"a\.yaml:10:33: error: parallelism\.pipeline_model_parallel_size: must be"
    ):
        load_scenario(path)


def test_rules_over_sections_run_beside_mistakes_elsewhere(tmp_path: Path) -> None:
    text = MINIMAL.replace("pp: 4", "pp: 4\n  vpp: 2").replace("forward: 10 ms", "forward: 10")
    with pytest.raises(ScenarioError) as caught:
        load_scenario(_write(tmp_path, "a.yaml", text))
    assert [fault.where for fault in caught.value.faults] == ["stage_costs.forward", "parallelism.vpp"]


class TestInclude:
    def test_own_values_win_and_mappings_are_merged(self, tmp_path: Path) -> None:
        _write(tmp_path, "base.yaml", MINIMAL + "name: base\n")
        path = _write(tmp_path, "own.yaml", "include: base.yaml\nname: own\nparallelism: {dp: 2}\n")
        scenario = load_scenario(path)
        assert (scenario.name, scenario.parallelism.pp, scenario.parallelism.dp) == ("own", 4, 2)

    def test_the_last_of_several_wins(self, tmp_path: Path) -> None:
        _write(tmp_path, "base.yaml", MINIMAL + "name: base\n")
        _write(tmp_path, "over.yaml", "name: over\n")
        path = _write(tmp_path, "own.yaml", "include: [base.yaml, over.yaml]\n")
        assert load_scenario(path).name == "over"

    def test_lists_are_replaced(self, tmp_path: Path) -> None:
        stages = "stage_costs: {stages: [{forward: 1 ms, backward: 2 ms}, {forward: 1 ms, backward: 2 ms}]}\n"
        rest = MINIMAL[MINIMAL.index("cluster") :].replace("pp: 4", "pp: 1")
        _write(tmp_path, "base.yaml", "version: 1\n" + stages + rest)
        own = "include: base.yaml\nstage_costs: {stages: [{forward: 5 ms, backward: 6 ms}]}\n"
        costs = load_scenario(_write(tmp_path, "own.yaml", own)).stage_costs
        assert [stage.forward for stage in costs.stages] == [5 * 10**9]

    def test_another_name_overrides_ours(self, tmp_path: Path) -> None:
        _write(tmp_path, "base.yaml", MINIMAL)
        own = "include: base.yaml\nparallelism: {pipeline_model_parallel_size: 2}\n"
        assert load_scenario(_write(tmp_path, "own.yaml", own)).parallelism.pp == 2

    def test_mistakes_stand_in_the_included_file(self, tmp_path: Path) -> None:
        _write(tmp_path, "base/base.yaml", MINIMAL.replace("pp: 4", "pp: 0"))
        path = _write(tmp_path, "own.yaml", "include: base/base.yaml\n")
        with pytest.raises(ScenarioError, match=r"base/base\.yaml:10:7: error: parallelism\.pp"):
            load_scenario(path)

    def test_paths_start_at_the_including_file(self, tmp_path: Path) -> None:
        _write(tmp_path, "parts/deeper.yaml", MINIMAL)
        _write(tmp_path, "parts/base.yaml", "include: deeper.yaml\n")
        assert load_scenario(_write(tmp_path, "own.yaml", "include: parts/base.yaml\n")).parallelism.pp == 4

    def test_a_link_out_of_the_folder_is_refused(self, tmp_path: Path) -> None:
        _write(tmp_path, "secret.yaml", MINIMAL)
        path = _write(tmp_path, "inner/own.yaml", "include: link.yaml\n")
        (tmp_path / "inner" / "link.yaml").symlink_to(tmp_path / "secret.yaml")
        with pytest.raises(ScenarioError, match="leads out of the scenario's folder"):
            load_scenario(path)

    def test_a_circle_is_refused(self, tmp_path: Path) -> None:
        _write(tmp_path, "a.yaml", "include: b.yaml\n")
        _write(tmp_path, "b.yaml", "include: a.yaml\n")
        with pytest.raises(ScenarioError, match=r"in a circle: a\.yaml -> b\.yaml -> a\.yaml"):
            load_scenario(tmp_path / "a.yaml")

    def test_includes_that_double_at_each_level_are_refused(self, tmp_path: Path) -> None:
        for level in range(12):
            _write(tmp_path, f"{level}.yaml", f"include: [{level + 1}.yaml, {level + 1}.yaml]\n")
        _write(tmp_path, "12.yaml", MINIMAL)
        with pytest.raises(ScenarioError, match="more than 100 files are included"):
            load_scenario(tmp_path / "0.yaml")


class TestOverrides:
    def test_a_value_is_read_as_yaml(self, minimal: Path) -> None:
        scenario = load_scenario(minimal, ["parallelism.pp=2", "name=a b", "runtime={p2p: blocking}"])
        assert (scenario.parallelism.pp, scenario.name, scenario.runtime.p2p) == (2, "a b", "blocking")

    def test_the_last_wins(self, minimal: Path) -> None:
        assert load_scenario(minimal, ["steps=2", "steps=3"]).steps == 3

    def test_an_item_of_a_list(self, tmp_path: Path) -> None:
        stages = "  stages:\n" + "    - {forward: 1 ms, backward: 2 ms}\n" * 4
        text = "version: 1\nstage_costs:\n" + stages + MINIMAL[MINIMAL.index("cluster") :]
        scenario = load_scenario(_write(tmp_path, "a.yaml", text), ["stage_costs.stages.1.forward=5 ms"])
        assert [stage.forward for stage in scenario.stage_costs.stages] == [10**9, 5 * 10**9, 10**9, 10**9]
        with pytest.raises(ScenarioError, match="a list has no item '4'; allowed: 0 to 3"):
            load_scenario(tmp_path / "a.yaml", ["stage_costs.stages.4.forward=5 ms"])

    def test_below_the_shorthand_of_a_schedule(self, minimal: Path) -> None:
        scenario = load_scenario(minimal, ["schedule=interleaved-1f1b", "schedule.group_size=8", "parallelism.vpp=2"])
        assert (scenario.schedule.name, scenario.schedule.group_size) == ("interleaved-1f1b", 8)

    def test_another_tools_name(self, minimal: Path) -> None:
        assert load_scenario(minimal, ["parallelism.pipeline_model_parallel_size=2"]).parallelism.pp == 2

    def test_below_a_gallery_topology(self, minimal: Path) -> None:
        overrides = ["cluster.topology=dgx-h100", "cluster.gpus=4", "cluster.topology.nic.bandwidth=800 Gbps"]
        scenario = load_scenario(minimal, overrides)
        assert scenario.cluster.topology.nic.bandwidth == 100 * 10**9
        assert scenario.cluster.topology.nodes == 1
        unchanged = load_scenario(minimal, overrides[:2])
        assert scenario.loaded_from is not None
        assert unchanged.loaded_from is not None
        assert scenario.loaded_from.topology_name == unchanged.loaded_from.topology_name == "dgx-h100"
        assert scenario.loaded_from.topology_sha256 != unchanged.loaded_from.topology_sha256

    def test_nothing_removes_a_value(self, minimal: Path) -> None:
        scenario = load_scenario(minimal, ["batch.num_microbatches=null", "batch.global_batch_size=12"])
        assert (scenario.batch.num_microbatches, scenario.batch.global_batch_size) == (None, 12)

    def test_a_sweep_axis_has_a_dotted_name(self, minimal: Path) -> None:
        scenario = load_scenario(minimal, ["sweep.axes.parallelism.pp=[1, 2]"])
        assert scenario.sweep is not None
        assert dict(scenario.sweep.axes) == {"parallelism.pp": (1, 2)}

    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("steps", "an override is a key and a value"),
            ("=3", "an override is a key and a value"),
            ("parallelism..pp=3", "an override is a key and a value"),
            ("batch.colour=3", "error: batch.colour: unknown key"),
            ("steps=two", "error: steps: must be a whole number; got 'two'"),
            ("version.x=1", "error: version: a single value"),
            ("steps={", "not valid YAML"),
            ("steps=!!int 3", "not allowed"),
            ("stage_costs.forward=3", "a bare number"),
        ],
    )
    def test_mistakes_name_the_option(self, minimal: Path, text: str, what: str) -> None:
        with pytest.raises(ScenarioError) as caught:
            load_scenario(minimal, [text])
        assert str(caught.value).startswith(f"--set {text}: error: ")
        assert what in str(caught.value)


class TestTopologies:
    def test_a_file_beside_the_scenario(self, tmp_path: Path) -> None:
        _write(tmp_path, "wires/ring.yaml", "fabric: ring\ngpus: 6\n")
        text = MINIMAL.replace("{fabric: full-mesh, gpus: 8}", "wires/ring.yaml")
        scenario = load_scenario(_write(tmp_path, "a.yaml", text))
        assert scenario.cluster.topology.num_gpus == 6
        assert _origins(scenario)["cluster.topology.gpus"] == f"topology {tmp_path}/wires/ring.yaml:2"

    def test_mistakes_stand_in_its_file(self, tmp_path: Path) -> None:
        _write(tmp_path, "ring.yaml", "fabric: ring\ngpus: none\n")
        text = MINIMAL.replace("{fabric: full-mesh, gpus: 8}", "ring.yaml")
        with pytest.raises(
            ScenarioError, match=r"ring\.yaml:2:7: error: cluster\.topology\.gpus: must be a whole number"
        ):
            load_scenario(_write(tmp_path, "a.yaml", text))

    def test_a_file_does_not_scale(self, tmp_path: Path) -> None:
        _write(tmp_path, "ring.yaml", "fabric: ring\ngpus: 2\n")
        text = MINIMAL.replace("{fabric: full-mesh, gpus: 8}", "ring.yaml\n  gpus: 4")
        with pytest.raises(
            ScenarioError, match=r"a\.yaml:9:9: error: cluster\.gpus: 4 GPUs asked for; the topology has 2"
        ):
            load_scenario(_write(tmp_path, "a.yaml", text))

    def test_a_gallery_topology_scales(self, minimal: Path) -> None:
        scenario = load_scenario(minimal, ["cluster.topology=dgx-a100", "cluster.gpus=20", "parallelism.dp=5"])
        assert scenario.cluster.topology.nodes == 3
        assert _origins(scenario)["cluster.topology.nodes"] == "scaled to cluster.gpus"

    def test_the_nodes_of_an_option_stay(self, minimal: Path) -> None:
        overrides = ["cluster.topology=dgx-a100", "cluster.gpus=4", "cluster.topology.nodes=2"]
        assert load_scenario(minimal, overrides).cluster.topology.nodes == 2

    def test_a_graph_file_starts_at_the_file_that_names_it(self, tmp_path: Path) -> None:
        _write(tmp_path, "wires/graph.yaml", "fabric: graph\nfile: wires.json\n")
        text = MINIMAL.replace("{fabric: full-mesh, gpus: 8}", "wires/graph.yaml")
        path = _write(tmp_path, "a.yaml", text)
        with pytest.raises(
            ScenarioError, match=r"graph\.yaml:2:7: error: cluster\.topology\.file: 'wires\.json': no such"
        ):
            load_scenario(path)
        graph = _write(tmp_path, "wires/wires.json", "{}")
        assert load_scenario(path).cluster.topology.file == str(graph)

    @pytest.mark.parametrize("name", gallery_names("topologies"))
    def test_every_gallery_topology_loads(self, name: str) -> None:
        assert load_topology(name).fabric

    def test_all_mistakes_of_a_topology(self, tmp_path: Path) -> None:
        path = _write(tmp_path, "a.yaml", "fabric: ring\ngpu: 2\ndevice: H101\n")
        with pytest.raises(TopologyError) as caught:
            load_topology(path)
        assert sorted(fault.where for fault in caught.value.faults) == [
            "device",
            "gpu",
        ]  # `gpus` is misspelt, not missing


class TestVariants:
    def test_a_variant_is_checked_again(self, minimal: Path) -> None:
        scenario = load_scenario(minimal)
        assert vary(scenario, {"parallelism.pp": 2}).parallelism.pp == 2
        assert vary(scenario, {"parallelism": {"pp": 2}}).parallelism.pp == 2
        assert vary(scenario, {"schedule": "zb-h1"}).schedule.name == "zb-h1"
        with pytest.raises(ScenarioError, match="pp 16 = 16 GPUs; the topology has 8"):
            vary(scenario, {"parallelism.pp": 16})
        with pytest.raises(ScenarioError, match="unknown key"):
            vary(scenario, {"parallelism.pq": 16})

    def test_a_variant_scales_its_topology(self, minimal: Path) -> None:
        scenario = load_scenario(minimal, ["cluster.topology=dgx-a100"])
        changes = {"cluster.gpus": 64, "parallelism.dp": 16}
        assert vary(scenario, changes).cluster.topology.nodes == 8
        assert vary(vary(scenario, changes), {"parallelism.dp": 4, "cluster.gpus": 16}).cluster.topology.nodes == 2

    def test_a_scenario_built_in_python_has_no_variants(self, minimal: Path) -> None:
        built = Scenario.model_validate(load_scenario(minimal).model_dump(mode="json"))
        with pytest.raises(ScenarioError, match="scenario_from_mapping"):
            vary(built, {"steps": 2})


class TestShow:
    def test_what_is_shown_loads_as_the_same_scenario(self, minimal: Path) -> None:
        overrides = ["cluster.topology=dgx-h100", "cluster.gpus=8", "parallelism.dp=2", "sweep.axes.steps=[1, 2]"]
        for scenario in (load_scenario(minimal), load_scenario(minimal, overrides)):
            again = scenario_from_mapping(resolved_mapping(scenario))
            assert again.model_dump() == scenario.model_dump()

    def test_origins(self, minimal: Path) -> None:
        scenario = load_scenario(minimal, ["steps=2", "cluster.topology=dgx-h100", "cluster.gpus=4"])
        rows = {row.key: (row.value, row.origin) for row in resolved(scenario)}
        assert rows["stage_costs.forward"] == ("10 ms", f"{minimal}:3")
        assert rows["schedule.name"] == ("1f1b", f"{minimal}:13")
        assert rows["steps"] == ("2", "--set steps=2")
        assert rows["seed"] == ("0", "default")
        value, origin = rows["cluster.topology.nic.bandwidth"]
        assert value == "50 GB/s"
        assert origin.startswith("topology ")
        assert "dgx-h100.yaml:" in origin

    def test_every_value_has_a_row(self, minimal: Path) -> None:
        keys = [row.key for row in resolved(load_scenario(minimal))]
        assert len(keys) == len(set(keys))
        assert {"parallelism.tp", "runtime.overlap.tp", "cluster.placement.name", "batch.micro_batch_size"} <= set(keys)


@pytest.mark.parametrize("name", gallery_names("scenarios"))
def test_every_gallery_scenario_loads_by_its_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_scenario(name).version == 1


def test_an_unknown_scenario() -> None:
    with pytest.raises(ScenarioError, match="no such file, and no scenario of the gallery has this name"):
        load_scenario("no-such-scenario")


def test_a_mapping_with_what_no_file_can_hold() -> None:
    with pytest.raises(ScenarioError, match="steps: nan is no value of a scenario"):
        scenario_from_mapping({"steps": float("nan")})
