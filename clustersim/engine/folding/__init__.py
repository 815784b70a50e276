"""Folding: replicas that provably do the same at the same time are simulated once.

1. :mod:`uses` says who crosses which link: every message's way, and the streams of every group.
2. :mod:`classes` finds the coarsest classes of replicas, groups and links that tell nothing apart, and checks exactly
   that they are equitable: members of a class are told apart by nothing that they meet, one place after the other.
3. :mod:`fold` makes the job of one replica of each class, on links of which each stands for its class.
4. :mod:`part` records what that run leaves, with how many each row stands for; :mod:`whole` the trace of all GPUs, of
   which nothing is made before somebody looks at it.

It gives the same picosecond as a run of all, because nothing in such a run depends on names. Ops start at the latest of
what they wait for, collectives at the last call, and both are the same for all members of a class as long as all times
so far were. Max-min fair rates are unique, and those that filling all links at one pace gives: links of one class fill
at one time, since what crosses them is the same, class by class, and so flows of one class stop at one rate. Exact
arithmetic makes of that equal fractions. Where the order of names does count, nothing is folded: policies, which read
the state of the whole, and FIFO links at which messages of several replicas queue.

References
----------
D. M. Cardon, M. Crochemore, "Partitioning a graph in O(|A| log2 |V|)", Theoretical Computer Science 19, 1982 (the
coarsest equitable partition). D. Bertsekas, R. Gallager, Data Networks, 2nd ed., 1992, section 6.5.2 (filling).
"""
