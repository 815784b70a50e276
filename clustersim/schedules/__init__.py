"""Schedule families: a pure function ``(shape, costs) -> Schedule`` each, one file a family.

The contract of a family: it returns the order of every rank and where every stage lives; it holds no time and no idle
slot (bubbles are measured, not drawn); it raises :class:`~clustersim.errors.ScheduleError` with its rule when it
refuses a shape; a static family ignores ``costs``. Warm-up, steady state and cool-down are visible loops. A new family
is one file and one line in :data:`clustersim.schedules.table.SCHEDULES`; the conformance tests walk that table.
"""
