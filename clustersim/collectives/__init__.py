"""Collectives: what the members of a group send one another, phase by phase, whatever the links between them are.

An algorithm is a pure function ``(group, operation) -> phases``, one file, and one line in the table of ``table.py``.
In a phase every stream carries the same share of the operation's size, and all drain together at one rate; the next
phase starts when the last byte of this one has arrived. A pipelined algorithm, such as a ring, is one phase: its
streams are full from the first step to the last, and what its steps cost is the latency of their longest chain.

Sizes are those of nccl-tests: the buffer of an all-reduce or a broadcast, the whole (gathered) buffer of an all-gather
or a reduce-scatter, all that one member sends, itself included, in an all-to-all.

References
----------
R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of Collective Communication Operations in MPICH", International
Journal of High Performance Computing Applications 19(1), 2005 (rings, recursive halving and doubling).
NVIDIA, nccl-tests, doc/PERFORMANCE.md (algorithm and bus bandwidth).
"""
