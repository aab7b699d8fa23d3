"""The order of waiting jobs: priority, fairness, ageing, bounds."""

import random

import pytest

from acestep.api.errors import Busy
from bridge.core.active_jobs import Share
from bridge.core.queue import AGEING, FairQueue, QueueBounds, check_bounds
from bridge.core.records import JobRecord

numbers = iter(range(1, 1_000_000))


def job(client, name="", priority=0, size=0):
    number = next(numbers)
    return JobRecord(
        id=name or f"{client}{number}",
        request_digest="",
        client=client,
        operation="x",
        priority=priority,
        request={},
        number=number,
        size=size,
    )


def filled(*jobs):
    queue = FairQueue()
    for entry in jobs:
        queue.add(entry, 0.0)
    return queue


def drain(queue, now=0.0):
    order = []
    while (taken := queue.take(now)) is not None:
        order.append(taken.id)
    return order


def test_one_client_is_served_in_order_of_arrival():
    """First come, first served."""
    assert drain(filled(job("a", "a1"), job("a", "a2"), job("a", "a3"))) == ["a1", "a2", "a3"]


def test_higher_priority_goes_first():
    """Within a client and between clients."""
    queue = filled(job("a", "a1"), job("a", "a2", 5), job("b", "b1", 9), job("b", "b2", -1))
    assert drain(queue) == ["b1", "a2", "a1", "b2"]


def test_it_knows_how_many_of_each_client_wait():
    """At every level of priority, without those that were taken."""
    queue = filled(job("a", "a1"), job("a", "a2", 5), job("b", "b1"))
    assert queue.clients() == {"a": 2, "b": 1}
    queue.take(0.0)
    queue.remove("b1")
    assert queue.clients() == {"a": 1}


def test_clients_take_turns():
    """A hundred jobs of one client do not keep another's single job waiting for more than one."""
    queue = filled(*[job("a", f"a{i}") for i in range(100)], job("b", "b"))
    assert drain(queue).index("b") <= 1


def test_a_client_that_comes_back_does_not_jump_the_line():
    """Emptying one's line and joining again does not make one the longest unserved."""
    queue = filled(job("a", "a1"), job("b", "b1"))
    assert queue.take(0.0).id == "a1"
    queue.add(job("a", "a2"), 0.0)
    assert drain(queue) == ["b1", "a2"]


def test_no_flood_of_urgent_jobs_starves_a_client():
    """However many jobs of top priority arrive, waiting lifts the lowest above them in bounded time."""
    queue = filled(job("b", "b", -10))
    now = 0.0
    for _ in range(1000):
        queue.add(job("a", priority=10), now)
        if queue.take(now).id == "b":
            break
        now += 1.0
    assert now <= 21 * AGEING


def test_the_clock_may_stand_still_or_go_back():
    """Ageing never counts below nothing."""
    queue = filled(job("a", "a1"), job("b", "b1"))
    assert queue.take(-100.0).id == "a1"


def test_position_is_the_place_in_line():
    """What is told to a client is when its job is taken, were nothing else to come."""
    rng = random.Random(4)
    queue = filled(*[job(rng.choice("abc"), priority=rng.choice([0, 0, 5])) for _ in range(60)])
    for _ in range(30):
        promised = {queue.position(entry): entry.id for entry in queue}
        assert sorted(promised) == list(range(1, len(queue) + 1))
        assert queue.take(0.0).id == promised[1]


def test_the_place_told_beforehand_is_the_place_taken():
    """The answer to a submit is computed before the job is stored."""
    queue = filled(*[job(client) for client in "aaabbc"])
    newcomer = job("c")
    told = queue.place_for(newcomer)
    assert newcomer.id not in queue
    newcomer.number = next(numbers)
    queue.add(newcomer, 0.0)
    assert queue.position(newcomer) == told


def test_a_removed_job_is_not_served():
    """Cancelling takes it out of its line, and an unknown id changes nothing."""
    queue = filled(job("a", "a1"), job("a", "a2"))
    assert queue.remove("a1").id == "a1" and queue.remove("a1") is None
    assert drain(queue) == ["a2"]


@pytest.mark.parametrize(
    ("bounds", "limit"),
    [
        (QueueBounds(jobs=3, jobs_per_client=99, bytes_per_client=10**6), "queue_length"),
        (QueueBounds(jobs=99, jobs_per_client=3, bytes_per_client=10**6), "jobs_per_client"),
        (QueueBounds(jobs=99, jobs_per_client=99, bytes_per_client=35), "bytes_per_client"),
    ],
)
def test_past_a_bound_the_answer_is_busy(bounds, limit):
    """Length of the queue, jobs of a client, bytes of a client: each names itself and may be tried again later."""
    jobs = [job("a", size=10) for _ in range(3)]
    with pytest.raises(Busy) as caught:
        check_bounds(len(filled(*jobs)), Share(jobs=3, size=30), 10, bounds)
    assert limit in caught.value.limits and caught.value.retryable
