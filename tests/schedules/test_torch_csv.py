"""Orders from files in PyTorch's CSV form: read, refused with every mistake, and run like what they came from."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.errors import OrderError, ScheduleError
from clustersim.ops import Schedule, Shape
from clustersim.scenario.schedule_choice import SCHEDULE_RULES
from clustersim.schedules.render import render_csv
from clustersim.schedules.table import SCHEDULES, build_schedule
from clustersim.schedules.torch_csv import MAX_BYTES, MAX_CELLS, schedule_from_csv

FLUSHING = [name for name, rules in SCHEDULE_RULES.items() if not rules.is_continuous]
SMALL = "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n"

# what PyTorch 2.13 writes of DualPipeV with p = 2 and m = 4, compute_comms
DUALPIPEV_WITH_COMMUNICATION = """\
0UNSHARD,3UNSHARD,0F0,0SEND_F0,0F1,0SEND_F1,3RECV_F0,0F2,0SEND_F2,3F0,3RECV_F1,3I0,3SEND_B0,3W0,3F1,3RECV_F2,0RECV_B0,\
(0F3;3B1)OVERLAP_F_B,0SEND_F3,3SEND_B1,(3F2;0B0)OVERLAP_F_B,3RECV_F3,0RECV_B1,3B2,3SEND_B2,(3F3;0B1)OVERLAP_F_B,\
0RECV_B2,3B3,3SEND_B3,3REDUCE_GRAD,0RECV_B3,3RESHARD,0I2,0W2,0I3,0W3,0REDUCE_GRAD,0RESHARD\r
1UNSHARD,2UNSHARD,1RECV_F0,1F0,1RECV_F1,2F0,2SEND_F0,1RECV_F2,1F1,2F1,2SEND_F1,2RECV_B0,1F2,2B0,(2F2;1B0)OVERLAP_F_B,\
2SEND_F2,1SEND_B0,1RECV_F3,2RECV_B1,(1F3;2B1)OVERLAP_F_B,(2F3;1B1)OVERLAP_F_B,2SEND_F3,1SEND_B1,2RECV_B2,2B2,1B2,\
1SEND_B2,2RECV_B3,2I3,1I3,1SEND_B3,2W3,2REDUCE_GRAD,2RESHARD,1W3,1REDUCE_GRAD,1RESHARD\r
"""


def faults_in(text: str, num_chains: int = 1) -> list[str]:
    """Return the mistakes in a file, each as ``line:column: where: what`` or, without a place, ``where: what``."""
    with pytest.raises(OrderError) as caught:
        schedule_from_csv(text, "mine", num_chains, "mine.csv")
    return [
        (f"{fault.position.line}:{fault.position.column}: " if fault.position else "") + f"{fault.where}: {fault.what}"
        for fault in caught.value.faults
    ]


def same(one: Schedule, other: Schedule) -> bool:
    return (one.orders, one.rank_by_stage, one.chains) == (other.orders, other.rank_by_stage, other.chains)


@pytest.mark.parametrize("name", SCHEDULES)
def test_what_is_written_is_read_again(name: str) -> None:
    for p, m, v in ((1, 2, 1), (2, 4, 1), (2, 4, 2), (4, 8, 2), (3, 8, 1), (4, 5, 1), (2, 6, 4)):
        try:
            schedule = build_schedule(name, Shape(p, m, v))
        except ScheduleError:
            continue  # not every schedule takes every shape
        found = schedule_from_csv(render_csv(schedule), name, len(schedule.chains))
        assert same(found, schedule)
        assert found.shape == Shape(p, m, len(schedule.rank_by_stage) // p)


@pytest.mark.parametrize(
    "text",
    [
        SMALL.replace("\n", "\r\n"),
        SMALL.replace("\n", "\r"),
        "\ufeff" + SMALL,
        SMALL + "\n \n",
        SMALL.rstrip("\n"),
        "0F0,0F1,,,0B0,,0B1,,,\n,1F0,1B0,1F1,1B1\n",
        " 0F0 ,\t0F1,0B0,0B1\n1F0, 1B0,1F1,1B1 \n",
        '"0F0","0F1","0B0","0B1"\n1F0,1B0,1F1,1B1\n',
        "0F00,00F1,0B0,0B1\n1F0,1B0,1F1,1B1\n",  # PyTorch reads leading zeros too
    ],
)
def test_the_form_of_the_file_does_not_matter(text: str) -> None:
    assert same(schedule_from_csv(text, "mine"), schedule_from_csv(SMALL, "mine"))


def test_an_overlapped_pair_may_name_its_backward_first() -> None:
    schedule = build_schedule("dualpipev", Shape(2, 4))
    turned = render_csv(schedule).replace("(0F3;3B1)OVERLAP_F_B", "( 3B1 ; 0F3 ) OVERLAP_F_B")
    assert turned != render_csv(schedule)
    assert same(schedule_from_csv(turned, "mine"), schedule)


def test_a_file_with_communication_is_the_order_without_it() -> None:
    found = schedule_from_csv(DUALPIPEV_WITH_COMMUNICATION, "mine")
    assert same(found, build_schedule("dualpipev", Shape(2, 4)))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), name=st.sampled_from(FLUSHING))
def test_idle_cells_mean_nothing(data: st.DataObject, name: str) -> None:
    schedule = build_schedule(name, Shape(2, 4))
    rows = []
    for order in schedule.orders:
        cells = [str(slot) for slot in order]
        for place in sorted(data.draw(st.lists(st.integers(0, len(cells)), max_size=5)), reverse=True):
            cells.insert(place, data.draw(st.sampled_from(["", " "])))
        rows.append(",".join(cells))
    assert same(schedule_from_csv("\n".join(rows), name, len(schedule.chains)), schedule)


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet='01F BIW,;()\n"SENDRCV_OLAP-\x00é', max_size=60), num_chains=st.integers(1, 2))
def test_any_text_is_an_order_or_told_to_be_none(text: str, num_chains: int) -> None:
    try:
        schedule = schedule_from_csv(text, "mine", num_chains)
    except OrderError:
        assert 1 <= len(faults_in(text, num_chains)) <= 51
    else:
        assert same(schedule_from_csv(render_csv(schedule), "mine", num_chains), schedule)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0F0,0X0\n1F0,1B0\n", ["1:5: row 1, cell 2: '0X0' is no action; an action is stage, letter (F, B, I or W)"]),
        ("0F0, 0b0\n", ["1:6: row 1, cell 2: '0b0' is no action"]),
        ("0F0,0B0x\n", ["1:5: row 1, cell 2: '0B0x' is no action"]),
        ("0F0,-1B0,0F\n", ["1:5: row 1, cell 2: '-1B0' is", "1:10: row 1, cell 3: '0F' is"]),
        ("0F99999999\n", ["1:1: row 1, cell 1: '0F99999999' is no action"]),
        (f"{'x' * 300}\n", [f"1:1: row 1, cell 1: '{'x' * 40}...' is no action"]),
        ("(0F0;0F1)OVERLAP_F_B\n", ["1:1: row 1, cell 1: an overlapped pair is one F and one B; got '0F0' and '0F1'"]),
        ("(0F0;0I1)OVERLAP_F_B\n", ["1:1: row 1, cell 1: an overlapped pair is one F and one B; got '0F0' and '0I1'"]),
        ("(0F0;1B0;0B0)OVERLAP_F_B\n", ["1:1: row 1, cell 1: '(0F0;1B0;0B0)OVERLAP_F_B' is no action"]),
        ("0F0,0B0\n1F0,0F1\n", ["2:5: row 2, cell 2: 0F1: stage 0 has ops in row 1 too; a stage lives on one rank"]),
        ("0F0,0B0\n\n1F0,1B0\n", ["row 2: no op; every rank has a stage, and the ops of it"]),
        ("0F0,0B0\n2F0,2B0\n", ["mine: stage 1 has no ops, but stage 2 has; stages are numbered from 0 without gaps"]),
        ("0F0,0B0,2F0,2B0\n1F0,1B0\n", ["mine: ranks hold 1 to 2 stages; every rank must hold as many"]),
        ("", ["mine: no rows"]),
        ("\n\n", ["mine: no rows"]),
        ("rank,step\n", ["1:1: row 1, cell 1: 'rank' is", "1:6: row 1, cell 2: 'step' is"]),
    ],
)
def test_every_mistake_is_told_with_its_place(text: str, expected: list[str]) -> None:
    found = faults_in(text)
    assert len(found) == len(expected)
    for fault, beginning in zip(found, expected, strict=True):
        assert fault.startswith(beginning)


def with_communication(*rows: str) -> str:
    return "".join(f"{row}\n" for row in rows)


SENDING, RECEIVING = "0F0,0SEND_F0,0RECV_B0,0B0", "1RECV_F0,1F0,1B0,1SEND_B0"


def test_plausible_communication_is_accepted() -> None:
    text = with_communication(f"0UNSHARD,{SENDING},0REDUCE_GRAD,0RESHARD", RECEIVING)
    assert same(schedule_from_csv(text, "mine"), schedule_from_csv("0F0,0B0\n1F0,1B0\n", "mine"))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("0F0,0SEND_F1,0B0", "1F0,1B0", ["row 1, cell 2: 0SEND_F1: there is no 0F1 whose data this sends"]),
        ("0F0,0B0", "1RECV_F1,1F0,1B0", ["row 2, cell 1: 1RECV_F1: there is no 1F1 whose data this receives"]),
        ("0SEND_F0,0F0,0RECV_B0,0B0", RECEIVING, ["row 1, cell 1: 0SEND_F0 comes before 0F0, which makes", "1RECV_F0"]),
        ("0F0,0SEND_F0,0B0,0RECV_B0", RECEIVING, ["row 1, cell 4: 0RECV_B0 comes after 0B0, which needs", "1SEND_B0"]),
        (SENDING, "1F0,1B0,1SEND_B0", ["row 1, cell 2: what this sends of 0F0 is received nowhere"]),
        ("0F0,0RECV_B0,0B0", RECEIVING, ["row 2, cell 1: what this receives of 0F0 is sent nowhere", "0F0 makes"]),
        ("0F0,0SEND_F0,0B0", "1RECV_F0,1F0,1B0", ["row 2, cell 3: what 1B0 makes is needed in row 1, but is not sent"]),
        (f"{SENDING},0SEND_F0", RECEIVING, ["row 1, cell 5: 0SEND_F0 stands twice in this row"]),
        (f"{SENDING},1UNSHARD", RECEIVING, ["row 1, cell 5: stage 1 has no ops in this row"]),
        (f"{SENDING},9RESHARD", RECEIVING, ["row 1, cell 5: stage 9 has no ops in this row"]),
        ("0F0,0SEND_F0,0RECV_B0,0B0,0SEND_B0", RECEIVING, ["row 1, cell 5: 0SEND_B0: stage 0 has no neighbour on"]),
        (f"{SENDING},0UNSHARD3", RECEIVING, ["row 1, cell 5: '0UNSHARD3' is no action"]),
    ],
)
def test_implausible_communication_is_refused(first: str, second: str, expected: list[str]) -> None:
    found = faults_in(with_communication(first, second))
    assert found[0].partition(": ")[2].startswith(expected[0])
    for more in expected[1:]:  # the same mistake, as the other side sees it
        place = {"1RECV_F0": "2:1: ", "1SEND_B0": "2:18: ", "0F0 makes": "1:1: "}[more]
        assert any(fault.startswith(place) for fault in found[1:])


def test_a_message_within_a_rank_needs_no_send() -> None:
    rank_0 = "0F0,0SEND_F0,3RECV_F0,3F0,3B0,3SEND_B0,0RECV_B0,0B0"
    rank_1 = "1RECV_F0,1F0,2F0,2SEND_F0,2RECV_B0,2B0,1B0,1SEND_B0"
    assert schedule_from_csv(f"{rank_0}\n{rank_1}\n", "mine").rank_by_stage == (0, 1, 1, 0)


def test_fifty_mistakes_are_told_and_the_others_counted() -> None:
    found = faults_in(",".join(["0F0", "0B0"] + ["?"] * 70) + "\n")
    assert len(found) == 51
    assert found[49].startswith("1:107: row 1, cell 52: ")
    assert found[50] == "mine: and 20 mistakes more"


def test_a_file_has_a_size_that_it_may_have() -> None:
    assert faults_in("," * MAX_CELLS) == ["mine.csv: the file has more than 2,000,000 cells"]
    assert faults_in(" " * (MAX_BYTES + 1)) == ["mine.csv: the file is larger than 10 MB"]


def test_stages_divide_into_the_chains_asked_for() -> None:
    assert faults_in("0F0,0B0\n", num_chains=2) == ["mine: 1 stages are no 2 chains of equal length"]
    two = schedule_from_csv(render_csv(build_schedule("chimera", Shape(2, 4))), "mine", 2)
    assert (two.chains, two.shape) == (((0, 1), (2, 3)), Shape(2, 4, 2))


def test_pytorch_reads_what_we_write(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reason = "PyTorch is not installed; with it, its own loader reads our files"
        schedules = pytest.importorskip("torch.distributed.pipelining.schedules", reason=reason)
    for name in SCHEDULES:
        own = build_schedule(name, Shape(4, 8))
        (tmp_path / "order.csv").write_text(render_csv(own))
        loader = object.__new__(schedules.PipelineScheduleMulti)
        loader.pipeline_order, loader._stages = {}, []
        loader.pp_group_size, loader._num_stages = 4, own.num_stages
        loader._n_microbatches = 8 // len(own.chains)  # it knows of one chain, and counts a stage's micro-batches
        loader._load_csv(str(tmp_path / "order.csv"))
        assert tuple(loader.stage_index_to_group_rank[stage] for stage in range(own.num_stages)) == own.rank_by_stage
        assert [list(map(str, row)) for row in loader.pipeline_order.values()] == [
            list(map(str, o)) for o in own.orders
        ]
