"""The number of examples: a few fixed ones for `make test`, ten thousand new ones for `make fuzz`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("ci", max_examples=60, stateful_step_count=25, derandomize=True, deadline=None, database=None)
settings.register_profile(
    "long",
    max_examples=10_000,
    stateful_step_count=25,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
