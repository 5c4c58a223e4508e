import os
import subprocess
import sys
from pathlib import Path

from app.bundle import Bundle
from app.metrics import Metrics, Stages
from app.statistics import Duration, Statistics, statistics

ROOT = Path(__file__).parents[2]
STAGES = Stages(queue=0.001, compute_input=0.002, compute_infer=0.003, compute_output=0.004)
COUNTING = """
from app.metrics import Metrics, Stages
metrics = Metrics()
metrics.count_execution("plant", 1)
metrics.count_inference("plant", 1, 3, Stages(0.001, 0.002, 0.003, 0.004))
metrics.count_failed_inference("plant", 1, 0.5)
"""
SUMMING = """
import sys
from pathlib import Path
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from app.manifest import Manifest
from app.statistics import statistics
registry = CollectorRegistry()
MultiProcessCollector(registry)
manifest = Manifest.model_validate_json(Path(sys.argv[1]).read_bytes())
print(statistics(registry.collect(), [manifest]).model_dump_json())
"""


def test_what_was_counted_is_told(plant: Bundle) -> None:
    """Rows, batches and requests, and nanoseconds by stage; of failures nothing but that they were."""
    metrics = Metrics()
    metrics.count_execution("plant", 1)
    metrics.count_inference("plant", 1, 3, STAGES)
    metrics.count_inference("plant", 1, 2, STAGES)
    metrics.count_failed_inference("plant", 1, 0.5)
    metrics.count_inference("plant", 2, 100, STAGES)

    (told,) = statistics(metrics.collect(), [plant.manifest]).model_stats

    assert (told.name, told.version, told.inference_count, told.execution_count) == ("plant", "1", 5, 1)
    assert told.last_inference > 1_700_000_000_000
    stats = told.inference_stats
    assert stats.success == Duration(count=2, ns=20_000_000)
    assert stats.fail == Duration(count=1, ns=500_000_000)
    assert stats.queue == Duration(count=2, ns=2_000_000)
    assert stats.compute_infer == Duration(count=2, ns=6_000_000)
    assert b'nelbo_inferences_total{model="plant",version="1"} 5.0' in metrics.exposition()


def test_nothing_counted_is_nothing(plant: Bundle) -> None:
    """Not an error, and not a time in 1970."""
    (told,) = statistics(Metrics().collect(), [plant.manifest]).model_stats

    assert (told.inference_count, told.execution_count, told.last_inference) == (0, 0, 0)
    assert told.inference_stats.success == told.inference_stats.fail == Duration(count=0, ns=0)


def test_several_processes_are_summed(plant: Bundle, tmp_path: Path) -> None:
    """What prometheus_client collects of two of them tells the same as one that did it all."""

    def run(*program: str) -> str:
        environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
        command = [sys.executable, "-c", *program]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout

    for _ in range(2):
        run(COUNTING)
    (told,) = Statistics.model_validate_json(run(SUMMING, str(plant.path / "manifest.json"))).model_stats

    assert (told.inference_count, told.execution_count) == (6, 2)
    assert told.inference_stats.success == Duration(count=2, ns=20_000_000)
    assert told.inference_stats.fail == Duration(count=2, ns=1_000_000_000)
    assert told.last_inference > 1_700_000_000_000
