"""The stand-ins, each alone: clock, chance, traffic, network, disk."""

from __future__ import annotations

import pytest

from roadstead.sim import agenda, chance, disk, faults, network, traffic
from roadstead.state import journal


def test_the_agenda_keeps_order_and_jumps() -> None:
    subject = agenda.Agenda(100.0)
    seen: list[tuple[str, float]] = []

    def note(what: str) -> None:
        seen.append((what, subject.now()))

    subject.at(105.0, note, "b")
    subject.at(103.0, note, "a")
    subject.at(105.0, note, "c")
    subject.at(104.0, note, "never").cancel()
    subject.at(50.0, note, "past means now")
    subject.run_until(105.0)
    subject.after(10.0, note, "later")
    subject.run_until(110.0)
    assert seen == [("past means now", 100.0), ("a", 103.0), ("b", 105.0), ("c", 105.0)]
    assert (subject.now(), subject.next_at()) == (110.0, 115.0)


def test_what_lies_ahead_is_free_up_to_the_next_entry_and_to_the_end_of_the_run() -> None:
    subject = agenda.Agenda(100.0)
    found: list[list[bool]] = []
    for moment in (102.0, 108.0):
        subject.at(moment, lambda: found.append([subject.is_free(at) for at in (103.0, 107.9, 108.0, 110.0, 111.0)]))
    subject.at(106.0, found.clear).cancel()
    subject.run_until(110.0)
    assert found == [[True, True, False, False, False], [True, True, True, True, False]]
    assert not subject.is_free(110.5), "who runs it next may do anything first"


def test_chance_follows_from_seed_and_name() -> None:
    draws = [chance.Chance(5).fork("a").fraction() for _ in range(2)]
    assert draws[0] == draws[1] != chance.Chance(5).fork("b").fraction()
    one = chance.Chance(6)
    waits = [one.wait(10.0) for _ in range(2000)]
    assert 9.0 < sum(waits) / len(waits) < 11.0
    normals = [one.normal() for _ in range(2000)]
    assert abs(sum(normals)) / 2000 < 0.1
    assert 0.9 < sum(each * each for each in normals) / 2000 < 1.1
    before = chance.Chance(7).fraction()
    idle = chance.Chance(7)
    assert not idle.happens(0.0) and idle.between(3.0, 3.0) == 3.0
    assert idle.fraction() == before, "what never happens costs no draw"


def test_traffic_kinds() -> None:
    noon = 14 * 3600.0
    swing = traffic.Diurnal(low=10.0, high=110.0, peak_hour=14.0)
    assert traffic.rate(swing, noon) == 110.0
    assert traffic.rate(swing, noon + 12 * 3600) == 10.0
    assert traffic.rate(swing, noon + 6 * 3600) == 60.0
    ramp = traffic.Ramp(begin=100.0, end=200.0, low=5.0, high=15.0)
    assert [traffic.rate(ramp, at) for at in (0.0, 100.0, 150.0, 200.0, 900.0)] == [5.0, 5.0, 10.0, 15.0, 15.0]
    trace = traffic.Trace(begin=100.0, seconds=20.0, rates=(1.0, 2.0, 3.0))
    assert [traffic.rate(trace, at) for at in (0.0, 100.0, 119.9, 120.0, 159.0, 900.0)] == [
        1.0,
        1.0,
        1.0,
        2.0,
        3.0,
        3.0,
    ]
    spike = traffic.Spike(beneath=traffic.Constant(rate=4.0), begin=10.0, seconds=5.0, factor=3.0)
    assert [traffic.rate(spike, at) for at in (9.9, 10.0, 14.9, 15.0)] == [4.0, 12.0, 12.0, 4.0]
    noise = traffic.Noise(beneath=traffic.Constant(rate=100.0), part=0.2, seed=3)
    found = [traffic.rate(noise, at * 20.0) for at in range(500)]
    assert min(found) >= 80.0 and max(found) <= 120.0 and max(found) - min(found) > 30.0
    assert traffic.rate(noise, 41.0) == traffic.rate(noise, 59.0)
    both = traffic.Sum(parts=(traffic.Constant(rate=1.0), spike))
    assert traffic.rate(both, 12.0) == 13.0


def test_work_is_shared_evenly_up_to_what_one_task_serves() -> None:
    work = traffic.Work(cpu_seconds_per_request=0.01, requests_per_second_max=25.0)
    assert work.cpu_cores(40.0, 2) == pytest.approx(0.2)
    assert work.cpu_cores(400.0, 2) == pytest.approx(0.25)
    assert work.cpu_cores(400.0, 0) == 0.0


class Line:
    """A socket with both ends' logs."""

    def __init__(self, wanted: faults.Faults = faults.NONE) -> None:
        self.agenda = agenda.Agenda(0.0)
        self.network = network.Network(self.agenda, chance.Chance(1))
        self.network.faults = wanted
        self.link = network.Link()
        self.socket = network.Socket(self.network, self.link)
        self.heard: dict[str, list[str]] = {"client": [], "server": []}
        for name, end in (("client", self.socket.client), ("server", self.socket.server)):
            end.receive = self.heard[name].append
            end.closed = lambda code, _reason, name=name: self.heard[name].append(f"closed {code}")  # type: ignore[misc]


def test_a_socket_keeps_the_order_of_its_messages() -> None:
    line = Line(faults.Faults(delay_seconds_max=5.0))
    for number in range(50):
        line.agenda.at(number * 0.1, line.socket.client.send, str(number))
    line.agenda.run_until(100.0)
    assert line.heard["server"] == [str(number) for number in range(50)]


def test_a_connection_that_breaks_is_noticed_on_both_sides() -> None:
    line = Line(faults.Faults(break_chance=1.0))
    line.socket.client.send("lost")
    line.agenda.run_until(1.0)
    assert line.heard == {"client": ["closed 1006"], "server": ["closed 1006"]}


def test_a_cut_is_silent_and_what_comes_after_it_is_lost_too() -> None:
    line = Line()
    line.link.cut_until = 10.0
    line.socket.client.send("lost")
    line.agenda.run_until(20.0)
    line.socket.client.send("lost, too: nothing passes a hole in the stream")
    line.socket.server.close(1011, "patience ended")
    line.agenda.run_until(30.0)
    assert line.heard == {"client": [], "server": []}


def test_closing_tells_the_other_side_only() -> None:
    line = Line()
    line.socket.server.close(1001, "going")
    line.agenda.run_until(1.0)
    assert line.heard == {"client": ["closed 1001"], "server": []}


def test_requests_are_lost_on_either_way() -> None:
    for wanted, carried in ((faults.Faults(request_loss_chance=1.0), 0), (faults.Faults(answer_loss_chance=1.0), 1)):
        line = Line(wanted)
        done: list[str] = []
        answers: list[network.Answer | None] = []
        for_server = lambda back, done=done: (done.append("carried out"), back(network.Answer("", b"ok")))  # noqa: E731
        line.network.request(line.link, for_server, answers.append)
        line.agenda.run_until(60.0)
        assert len(done) == carried
        assert answers == [None], "its sender knows no more than that"


def test_the_disk_gives_back_what_was_appended() -> None:
    subject = disk.Disk()
    rows = (journal.Row("tasks", "a", 1, b"1"), journal.Row("tasks", "b", 1, b"1"))
    subject.append([journal.Entry(1, rows), journal.Entry(2, (journal.Row("tasks", "a", 2, None),))])
    assert [row.key for row in subject.load()] == ["b"]
    assert subject.newest_revision() == 2
    assert (subject.revision_of("tasks", "b"), subject.removed_at("tasks", "a")) == (1, 2)
    with pytest.raises(AssertionError):
        subject.append([journal.Entry(2, ())])
