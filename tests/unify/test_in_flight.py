"""The passages under way, against servers that are a formula: speed rises with them up to what a server can do."""

import asyncio

import pytest

from unify.in_flight import AGAIN, FIRST, MOST, InFlight


class World:
    """A clock, and servers that give 10 tokens a second to each request, but no more than `most` together."""

    def __init__(self, most: float) -> None:
        self.now, self.most = 0.0, most
        self.places = InFlight(lambda: "auto", lambda: self.now)

    def answer(self, requests: int) -> None:
        """Let requests of 20 tokens be answered, as many at a time as there are places."""
        for _ in range(requests):
            self.now += 20 / min(10 * self.places.places, self.most)
            self.places.answered(20)


@pytest.mark.parametrize(("most", "expected"), [(200, FIRST), (640, 64), (2000, 256), (10**6, MOST)])
def test_places_rise_as_long_as_more_tokens_come(most: float, expected: int) -> None:
    world = World(most)
    world.answer(8 * MOST)
    assert world.places.places == expected


def test_another_server_is_noticed_after_a_while() -> None:
    world = World(640)
    world.answer(2000)
    before, world.most = world.places.places, 2560.0
    world.answer(int(AGAIN * 640 / 20) + 8 * MOST)
    assert (before, world.places.places) == (64, 256)


def test_a_server_that_asks_for_less_gets_less() -> None:
    world = World(10**6)
    world.answer(4 * FIRST)
    before = world.places.places
    world.places.pushed_back()
    assert world.places.places == before // 2


def test_a_number_in_the_recipe_is_kept_and_may_change() -> None:
    wanted = 2
    places = InFlight(lambda: wanted)

    async def go() -> tuple[int, int]:
        nonlocal wanted
        await places.begin()
        await places.begin()
        third = asyncio.create_task(places.begin())
        await asyncio.sleep(0)
        before, wanted = places.under_way, 3
        places.end()
        await third
        await places.begin()
        return before, places.under_way

    for _ in range(1000):
        places.answered(20)
    assert asyncio.run(go()) == (2, 3)
