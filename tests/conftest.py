"""Property tests draw the same examples everywhere and have no deadline: a busy machine is no failure."""

from hypothesis import settings

settings.register_profile("occpose", deadline=None, derandomize=True, database=None)
settings.load_profile("occpose")
