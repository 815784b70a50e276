"""Scenario files: positions, units, validation; what leaves this room is a frozen :class:`Scenario`."""
