"""What holds for every test."""

from __future__ import annotations

import hypothesis

hypothesis.settings.register_profile("roadstead", deadline=None)
hypothesis.settings.load_profile("roadstead")
"""No test fails by the time that it takes: the machine may be busy."""
