"""What all tests share: property tests are not timed, for machines are noisy and these rules are not about speed."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
