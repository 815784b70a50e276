"""The engine: GPUs and links as SimPy processes. It runs a job to its end and records when everything happened.

This is the only room that imports simpy. Time is integer picoseconds. The engine is time-ordered: a GPU process yields
once an op, so that at any moment every process has reached the same simulated time.
"""
