"""Settings of the whole suite."""

from hypothesis import settings

# A machine with two busy cores makes an honest example slow; what a test takes is no finding here, the bench has that.
settings.register_profile("voiced", deadline=None)
settings.load_profile("voiced")
