"""Facts of a run: versions of what the numbers rest on, and the machine."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from mialib.core import executors

PACKAGES = ("numpy", "pandas", "torch", "torchvision", "scikit-learn", "scipy", "matplotlib", "seaborn", "papermill")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the numbers rest on."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}


def hardware() -> dict[str, Any]:
    """This machine: system, processor, cores that may be used, memory in GB, and GPU or None; and who trains, if others do."""
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    system = f"{platform.system()} {platform.machine()}"
    here = {"system": system, "cpu": _processor(), "cores": cores(), "memory_gb": round(memory, 1), "gpu": gpu}
    return here if executors.current() is None else here | {"trained": executors.where()}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    try:
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False)
        return asked.stdout.strip() or platform.processor() or "unknown"
    except OSError:
        return platform.processor() or "unknown"
