"""Flow `sdt-train`: features of annotated conversations to a model."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from flows.reports.pages import publish, train_page
from tasks.config.training import TrainConfig
from tasks.executor.cluster import connected
from tasks.training.train import TrainReport, train


@task(name="train", persist_result=False, cache_policy=NO_CACHE)
def train_task(config: TrainConfig) -> TrainReport:
    """The train stage."""
    return train(config, run=flow_run.name or "")


@flow(name="sdt-train", persist_result=False)
def train_flow(config: TrainConfig) -> TrainReport:
    """Train a model on the annotated conversations of an archive."""
    with connected(config.ray):
        report = train_task(config)
    publish("sdt-train", train_page(config, report))
    return report
