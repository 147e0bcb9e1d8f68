"""What all tests share: where the real corpora are, if they are, and quiet libraries."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
settings.register_profile("onestage", deadline=None)  # how long an example takes is the machine's affair
settings.load_profile("onestage")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real corpora, which a fresh clone does without."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real corpora at {REAL_DATA}")
    return REAL_DATA
