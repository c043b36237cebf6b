"""Property tests run the same examples everywhere; none fails because a machine is busy."""

from hypothesis import settings

settings.register_profile("cardinal", deadline=None, derandomize=True)
settings.load_profile("cardinal")
