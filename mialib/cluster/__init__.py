"""A cluster of Dask (dask.distributed) that trains instead of this machine, and shares of a run for a batch queue.

    with cluster.at("tcp://scheduler:8786"):
        mialib.shadow_attack_data(trainer, dataset, splits, seed)

What a caller would train, ask, fit or climb in stacks of models is done by the workers, each a stack at a time;
`core.executors` says what that is. `MIALIB_CLUSTER=tcp://scheduler:8786` does the same for a notebook, from its `runs.start`
on. Every worker is a process that computes on one core, or on one GPU:

    dask worker tcp://scheduler:8786 --nworkers 16 --nthreads 1
"""

from mialib.cluster.connection import at, connect
from mialib.cluster.errors import ClusterError
from mialib.cluster.shards import BadShard, Shard

__all__ = ["BadShard", "ClusterError", "Shard", "at", "connect"]
