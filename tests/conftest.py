import os

import matplotlib
from hypothesis import settings

matplotlib.use("Agg")  # pictures are drawn in memory: no window, no display server

# The same examples on every machine, so that a red run means a change and not a draw.
# `make test-all` searches on, with fresh examples each time.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("search", print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
