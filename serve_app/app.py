"""The composition root: which deployments there are, how many replicas, and who calls whom."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, Final

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import LoggingConfig

from config.settings import Deployment, Settings
from serve_app.deployments import (
    AccountsDeployment,
    FeedDeployment,
    GatewayDeployment,
    RateLimitDeployment,
    ShardActor,
    ThreadDeployment,
    WorkerLightDeployment,
)
from serve_app.shard_client import NAMESPACE, shard_name

_log = logging.getLogger(__name__)

APP: Final = "serai"
ROOT: Final = Path(__file__).resolve().parent.parent
# A Serve call is a whole batch; gateways bound how many they keep in flight.
_ONGOING_BATCHES: Final = 1_000
_SHARD_CALLS: Final = 10_000
_LOGGING: Final = LoggingConfig(log_level="WARNING", enable_access_log=False)
_OBJECT_STORE_BYTES: Final = 100 * 1024 * 1024  # nothing of ours goes through it


def start_ray(temp_dir: Path | None, address: str | None, env: dict[str, str]) -> None:
    """Joins the cluster at `address`, or starts one of our own that listens on loopback only.

    Without `address="local"` ray.init joins any cluster that happens to run on the machine.
    """
    if address:
        ray.init(
            address=address,
            namespace=NAMESPACE,
            runtime_env={
                "working_dir": str(ROOT),
                "env_vars": env,
                "worker_process_setup_hook": "serve_app.worker_setup.prepare",
            },
            log_to_driver=False,
        )
        return
    os.environ.update(env)
    ray.init(
        address="local",
        namespace=NAMESPACE,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(temp_dir) if temp_dir else None,
        logging_level=logging.ERROR,
    )


# An actor that is not detached ends with the last handle to it: `up` holds them.
_shards: list[Any] = []


def start_deployments(settings: Settings) -> None:
    """Starts shards and deployments and returns when every replica is ready."""
    serve.start(proxy_location="Disabled", logging_config=_LOGGING)
    _shards.extend(_start_shards(settings))
    serve.run(_application(settings), name=APP, route_prefix=None)
    ray.get([shard.__ray_ready__.remote() for shard in _shards])


def _start_shards(settings: Settings) -> list[Any]:
    actor = ray.remote(ShardActor)
    return [
        actor.options(
            name=shard_name(index),
            namespace=NAMESPACE,
            get_if_exists=True,
            max_restarts=-1,
            max_concurrency=_SHARD_CALLS,
            num_cpus=settings.shards.num_cpus,
            scheduling_strategy="SPREAD",
        ).remote(settings, index)
        for index in range(settings.shards.count)
    ]


def _application(settings: Settings) -> Any:
    counts = settings.deployments
    thread = _deployment(ThreadDeployment, "thread", counts.thread).bind(settings)
    feed = _deployment(FeedDeployment, "feed", counts.feed).bind(settings)
    accounts = _deployment(AccountsDeployment, "accounts", counts.accounts).bind(settings)
    rate_limit = _deployment(RateLimitDeployment, "rate_limit", counts.rate_limit).bind(settings)
    worker = _deployment(WorkerLightDeployment, "worker_light", counts.worker_light).bind(settings)
    gateway = _deployment(
        GatewayDeployment, "gateway", counts.gateway, drain_seconds=settings.gateway.drain_seconds
    )
    return gateway.bind(settings, thread, feed, accounts, rate_limit, worker)


def _deployment(plain: type, name: str, size: Deployment, drain_seconds: float = 0.0) -> Any:
    autoscaled = size.max_replicas > size.replicas
    return serve.deployment(
        plain,
        name=name,
        num_replicas="auto" if autoscaled else size.replicas,
        autoscaling_config=AutoscalingConfig(
            min_replicas=size.replicas, max_replicas=size.max_replicas, target_ongoing_requests=4
        )
        if autoscaled
        else None,
        max_ongoing_requests=_ONGOING_BATCHES,
        logging_config=_LOGGING,
        ray_actor_options={"num_cpus": size.num_cpus, "num_gpus": size.num_gpus},
        health_check_period_s=1,
        health_check_timeout_s=10,
        graceful_shutdown_wait_loop_s=0.1,
        graceful_shutdown_timeout_s=drain_seconds + 3,
    )


def stop_deployments() -> None:
    serve.shutdown()  # type: ignore[no-untyped-call]
    _shards.clear()
    ray.shutdown()


def processes() -> list[dict[str, object]]:
    """Role, pid and node of every actor process, from Ray's own table."""
    found: list[dict[str, object]] = []
    nodes = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes()}  # type: ignore[no-untyped-call]
    for actor in ray._private.state.actors().values():
        if actor["State"] == "ALIVE" and actor["Pid"]:
            role = _role(actor["ActorClassName"], actor["Name"])
            node = nodes.get(actor["Address"]["NodeID"], "")
            found.append({"role": role, "pid": actor["Pid"], "node": node})
    return found


def _role(class_name: str, name: str) -> str:
    """Shards and the controller by class; replicas are named `…#<app>#<deployment>#<id>`."""
    if class_name == ShardActor.__name__:
        return "shard"
    if "#" in name:
        return name.split("#")[-2]
    return "serve_controller" if "Controller" in class_name else class_name.lower()
