"""Workers that are what they must be, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cloudpickle

from mialib.cluster import probe, worker
from mialib.cluster.errors import ClusterError
from mialib.core.executors import Workers

if TYPE_CHECKING:
    from distributed import Client

_NAMED = 3  # workers in a message, at most


def check_workers(client: Client, address: str, token: tuple[str | None, str]) -> Workers:
    """Who the workers are; ClusterError for any that cannot be used."""
    cloudpickle.register_pickle_by_value(probe)
    try:
        answers = client.run(probe.facts, *token, on_error="return")
    finally:
        cloudpickle.unregister_pickle_by_value(probe)
    known = client.scheduler_info(n_workers=-1)["workers"]
    facts = {name: fact for name, fact in answers.items() if not isinstance(fact, OSError)}  # of one that was lost just now
    wrong = {name: why for name, fact in facts.items() if (why := why_not(fact, known.get(name, {}).get("nthreads", 1)))}
    if wrong:
        named = "; ".join(f"worker {name} {why}" for name, why in [*wrong.items()][:_NAMED])
        more = f" (and {len(wrong) - _NAMED} more workers)" if len(wrong) > _NAMED else ""
        raise ClusterError(f"the cluster at {address} cannot be used: {named}{more}")
    devices = {fact["device"] for fact in facts.values()}
    memory = [fact["memory"] or known.get(name, {}).get("memory_limit") for name, fact in facts.items()]
    return Workers(max(1, len(facts)), "cuda" if devices == {"cuda"} else "cpu", min(filter(None, memory), default=None))


def why_not(fact: Any, threads: int) -> str:
    """Why a worker cannot be used; empty if it can."""
    if isinstance(fact, BaseException):
        return f"cannot be asked: {type(fact).__name__}: {fact}"
    if "error" in fact:
        return f'has no mialib ({fact["error"]}): pip install "mialib[cluster]" there, in this version'
    if others := _others(fact["versions"], worker.versions_here()):
        return f"has other versions: {others}"
    if fact["code"] != worker.code_of_package():
        return f"has another version of mialib: its code is {fact['code'][:12]}, here {worker.code_of_package()[:12]}"
    here = worker.prepared_digests()
    if changed := [name for name, digest in fact["data"].items() if here.get(name, digest) != digest]:
        return f"has other data: {', '.join(changed)} in its data folder is not what is in ours"
    if fact["unwritable"]:
        return f"cannot write to the cache folder {fact['shared']}: {fact['unwritable']}"
    if threads != 1:
        return f"computes {threads} stacks at a time in one process: start it with --nworkers {threads} --nthreads 1"
    return ""


def _others(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    return ", ".join(
        f"{name} {there.get(name)}, here {version}" for name, version in here.items() if there.get(name) != version
    )
