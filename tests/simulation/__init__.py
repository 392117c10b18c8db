"""The engine under simulation: real transfers, a simulated OSS, store, disk faults, clock and threads, all from a seed.

- ``scheduler``: threads that run one at a time, and the virtual clock
- ``oss``: OSS in memory
- ``client``, ``errand``, ``wires``: what a try asks of it, over the engine's own pool, its retries and its deadlines
- ``account``: what the attempts at a request may cost
- ``store``, ``disk``: the checkpoint store, and the operations on local files, both with faults
- ``chaos``: what goes wrong, and when
- ``rivals``: what others do to source, object, parts, files and checkpoints
- ``ledger``: the invariants
- ``world``: one run: tries after and beside each other, and the calm at the end
- ``seeds``: a run from one integer
- ``mutants``: planted defects, which the seeds have to notice
"""
