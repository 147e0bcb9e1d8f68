"""Damaged files of every format, a few of each; the long run is a command, see tests/fuzz.py."""

import pytest

from tests import fuzz


@pytest.mark.parametrize("suffix", sorted(fuzz.seeds()))
def test_a_damaged_file_is_read_or_refused(suffix: str) -> None:
    counts, slowest = fuzz.fuzz(suffix, 15, seed=7)
    assert sum(counts.values()) >= 15
    assert not [reason for reason in counts if reason.startswith("FAILED")]
    assert slowest < fuzz.MAX_CPU_SECONDS
