import os
import signal

from training.stop import Stop, stop_signals


def test_signals_ask_to_stop_and_are_handled_as_before_afterwards():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    for number in (signal.SIGTERM, signal.SIGINT):
        with stop_signals(None) as stop:
            assert not stop.is_due()
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            assert stop.is_due()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_run_stops_while_two_more_of_its_slowest_steps_fit():
    stop = Stop(max_hours=10.0)
    assert not stop.is_due()
    stop.last -= 3 * 3600  # a step of three hours
    stop.began = stop.last
    assert not stop.is_due()
    stop.began -= 3600 + 60  # four hours and a minute are gone, two more such steps would end after ten
    assert stop.is_due()


def test_a_run_without_a_limit_goes_on():
    stop = Stop(max_hours=None)
    stop.began -= 1e9
    assert not stop.is_due()
