"""What pytest leaves alone."""

collect_ignore = ["simgrid_oracle.py"]  # for the system's Python, which has SimGrid; this one need not
