"""The composition root: which deployments there are and with how many replicas. Calls block."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy
from ray.serve.schema import LoggingConfig

from actors.job_table import WorkerKind, entrypoints_of
from config.errors import AppError
from config.settings import Deployment, Settings
from serve_app.ai_deployments import AssistantDeployment, LlmDeployment, SearchDeployment
from serve_app.deployments import (
    AccountsDeployment,
    FeedDeployment,
    GatewayDeployment,
    RateLimitDeployment,
    ShardActor,
    ThreadDeployment,
    WorkerDeployment,
    app_name,
)
from serve_app.replica_scaling import SumPolicy
from serve_app.shard_client import NAMESPACE, shard_name
from serve_app.worker_scaling import DepthPolicy
from storage.jobs import STOP_SECONDS

_log = logging.getLogger(__name__)

_BACKENDS: Final = (
    "thread",
    "feed",
    "accounts",
    "rate_limit",
    "llm",
    "assistant",
    "search",
    "worker_light",
    "worker_ai",
)
ROOT: Final = Path(__file__).resolve().parent.parent
# Streams of answers; batches come over lines, and gateways bound how many they keep in flight.
_ONGOING_STREAMS: Final = 1_000
_ONGOING_CALLS: Final = 4  # of a replica that has enough to do
_CALLS_UP_SECONDS: Final = 30.0
_CALLS_DOWN_SECONDS: Final = 600.0
_LOGGING: Final = LoggingConfig(log_level="WARNING", enable_access_log=False)
_START_SECONDS: Final = 180.0
_STATUS_SECONDS: Final = 0.1
_CLOSING_SECONDS: Final = 1.0
_METRICS_SECONDS: Final = 2.0
_WORKER_SHUTDOWN_SECONDS: Final = STOP_SECONDS + 3.0
_LLM_SHUTDOWN_SECONDS: Final = 8.0
# Lines are left, then events are handed over to shards, then pools are closed.
_CALLED_SHUTDOWN_SECONDS: Final = 8.0
_ONE_MORE_PERCENT: Final = 1  # Serve rounds up: one more replica than usual while they are replaced
_FAILED: Final = ("DEPLOY_FAILED", "UNHEALTHY")
_OBJECT_STORE_BYTES: Final = 100 * 1024 * 1024  # nothing of ours goes through it


def start_ray(temp_dir: Path, address: str | None, metrics_dir: Path) -> None:
    """Joins the cluster at `address`, or starts one of our own that listens on loopback only.

    Without `address="local"` ray.init joins any cluster that happens to run on the machine.
    """
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    env = {"PROMETHEUS_MULTIPROC_DIR": str(metrics_dir)}
    if address is None:
        os.environ.update(env, PYTHONPATH=str(ROOT))
        ray.init(
            address="local",
            namespace=NAMESPACE,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(temp_dir),
            logging_level=logging.ERROR,
        )
        return
    ray.init(
        address=address,
        namespace=NAMESPACE,
        runtime_env={
            "working_dir": str(ROOT),
            "env_vars": env,
            "worker_process_setup_hook": "serve_app.worker_setup.prepare",
        },
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


# An actor that is not detached ends with the last handle to it: `up` holds them.
_shards: list[Any] = []


def start_backends(settings: Settings) -> None:
    """Shards, and every deployment that gateways call, each an application of its own: so gateways
    can be taken away while all else still answers them."""
    serve.start(proxy_location="Disabled", logging_config=_LOGGING)
    try:
        _shards.extend(_start_shards(settings))
    except ValueError as error:  # the name is taken
        raise AppError("unavailable", "Another Serai runs on this Ray cluster.") from error
    _run(
        _called(ThreadDeployment, "thread", settings),
        _called(FeedDeployment, "feed", settings),
        _called(AccountsDeployment, "accounts", settings),
        _called(RateLimitDeployment, "rate_limit", settings),
        _called(SearchDeployment, "search", settings),
        _llm(settings),
        _called(AssistantDeployment, "assistant", settings),
        *_workers(settings),
    )


def start_gateways(settings: Settings) -> None:
    _run(_gateways(settings))


def restart_gateways(settings: Settings) -> None:
    """Replaces them one after the other: a new one serves before an old one drains. Without room
    for one more (`num_cpus`) it waits for room, and raises AppError where none comes."""
    _run(_gateways(settings))  # the same again is a new version to Serve: a rolling update


def gateway_shutdown_seconds(settings: Settings) -> float:
    """Sockets are drained, then requests in flight, then the ports are closed."""
    return 2 * settings.gateway.drain_seconds + _CLOSING_SECONDS


def _called(plain: type, name: str, settings: Settings) -> Any:
    size = getattr(settings.deployments, name)
    return _scaled(
        _deployment(plain, name, size, shutdown_seconds=_CALLED_SHUTDOWN_SECONDS),
        size,
        SumPolicy,
        {"metric": "calls", "per_replica": _ONGOING_CALLS},
        up_seconds=_CALLS_UP_SECONDS,
        down_seconds=_CALLS_DOWN_SECONDS,
    ).bind(settings)


def _gateways(settings: Settings) -> Any:
    deployment = _deployment(
        GatewayDeployment,
        "gateway",
        settings.deployments.gateway,
        shutdown_seconds=gateway_shutdown_seconds(settings),
    )
    gateway = settings.gateway
    return (
        _scaled(
            deployment,
            settings.deployments.gateway,
            SumPolicy,
            {"metric": "sockets", "per_replica": gateway.sockets_per_replica},
            up_seconds=gateway.scale_up_seconds,
            down_seconds=gateway.scale_down_seconds,
        )
        .options(max_surge_percent=_ONE_MORE_PERCENT)
        .bind(settings)
    )


def _llm(settings: Settings) -> Any:
    size, llm = settings.deployments.llm, settings.llm
    deployment = _deployment(LlmDeployment, "llm", size, shutdown_seconds=_LLM_SHUTDOWN_SECONDS)
    return _scaled(
        deployment,
        size,
        SumPolicy,
        {"metric": "depth", "per_replica": llm.full_replica},
        up_seconds=llm.scale_up_seconds,
        down_seconds=llm.scale_down_seconds,
    ).bind(settings)


def _workers(settings: Settings) -> Iterator[Any]:
    """A deployment for each kind of jobs that there is: an idle process would only cost memory."""
    sizes: dict[WorkerKind, Deployment] = {
        "light": settings.deployments.worker_light,
        "ai": settings.deployments.worker_ai,
    }
    for kind, size in sizes.items():
        if not entrypoints_of(kind):
            continue
        deployment = _deployment(
            WorkerDeployment, f"worker_{kind}", size, shutdown_seconds=_WORKER_SHUTDOWN_SECONDS
        )
        yield _scaled(
            deployment,
            size,
            DepthPolicy,
            {"per_worker": settings.jobs.due_per_worker},
            up_seconds=settings.jobs.scale_up_seconds,
            down_seconds=settings.jobs.scale_down_seconds,
        ).bind(settings, kind)


def _scaled(
    deployment: Any,
    size: Deployment,
    policy: type,
    policy_kwargs: dict[str, Any],
    *,
    up_seconds: float,
    down_seconds: float,
) -> Any:
    """With a policy of ours where the number of replicas is not fixed."""
    if size.max_replicas <= size.replicas:
        return deployment
    return deployment.options(
        num_replicas="auto",
        autoscaling_config=AutoscalingConfig(
            min_replicas=size.replicas,
            max_replicas=size.max_replicas,
            policy=AutoscalingPolicy(  # type: ignore[no-untyped-call]
                policy_function=policy, policy_kwargs=policy_kwargs
            ),
            metrics_interval_s=_METRICS_SECONDS,
            look_back_period_s=2 * _METRICS_SECONDS,
            upscale_delay_s=up_seconds,
            downscale_delay_s=down_seconds,
        ),
    )


def _run(*applications: Any) -> None:
    """Starts them side by side and waits until all run; says what Serve says of one that can't."""
    targets = [
        serve.RunTarget(app, name=app_name(app._bound_deployment.name), route_prefix=None)
        for app in applications
    ]
    serve.run_many(targets, wait_for_applications_running=False)
    names = {target.name for target in targets}
    give_up_at = time.monotonic() + _START_SECONDS
    while True:
        shown = {
            name: status for name, status in serve.status().applications.items() if name in names
        }
        if len(shown) == len(names) and all(s.status == "RUNNING" for s in shown.values()):
            return
        late = time.monotonic() > give_up_at
        for name, status in shown.items():
            if status.status in _FAILED or (late and status.status != "RUNNING"):
                parts = [part.message for part in status.deployments.values() if part.message]
                said = " ".join([status.message, *parts]).strip()
                raise AppError("unavailable", f"{name} does not start: {said or status.status}")
        if late:
            raise AppError("unavailable", "The deployments do not start: Ray has no room for them.")
        time.sleep(_STATUS_SECONDS)


def _start_shards(settings: Settings) -> list[Any]:
    actor = ray.remote(ShardActor)
    return [
        actor.options(
            name=shard_name(index),
            namespace=NAMESPACE,
            max_restarts=-1,
            num_cpus=settings.shards.num_cpus,
            scheduling_strategy="SPREAD",
        ).remote(settings, index)
        for index in range(settings.shards.count)
    ]


def _deployment(plain: type, name: str, size: Deployment, *, shutdown_seconds: float) -> Any:
    return serve.deployment(
        plain,
        name=name,
        num_replicas=size.replicas,
        max_ongoing_requests=_ONGOING_STREAMS,
        logging_config=_LOGGING,
        ray_actor_options={"num_cpus": size.num_cpus, "num_gpus": size.num_gpus},
        health_check_period_s=1,
        health_check_timeout_s=10,
        graceful_shutdown_wait_loop_s=0.1,
        graceful_shutdown_timeout_s=shutdown_seconds,
    )


def stop(*, shared_cluster: bool) -> None:
    """Gateways first. On a cluster of others only what is ours ends."""
    if not ray.is_initialized():  # else Serve's calls would start a Ray of their own
        return
    names = [app_name("gateway"), *(app_name(name) for name in _BACKENDS)]
    running = serve.status().applications
    for name in names[: None if shared_cluster else 1]:
        if name in running:
            serve.delete(name)
    if not shared_cluster:
        serve.shutdown()  # type: ignore[no-untyped-call]
    _shards.clear()
    ray.shutdown()


def node_name() -> str:
    return socket.gethostname()


def processes() -> list[dict[str, Any]]:
    """Role, pid and node of every actor process, from Ray's own table."""
    found: list[dict[str, Any]] = []
    if not ray.is_initialized():
        return found
    nodes = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes()}  # type: ignore[no-untyped-call]
    for actor in ray._private.state.actors().values():
        if actor["State"] == "ALIVE" and actor["Pid"]:
            role = _role(actor["ActorClassName"], actor["Name"])
            node = nodes.get(actor["Address"]["NodeID"], "")
            found.append({"role": role, "pid": actor["Pid"], "node": node})
    return found


def gateway_nodes() -> set[str]:
    """Addresses of the nodes with a gateway; "" stands for this one."""
    here = ray.get_runtime_context().get_node_id()
    addresses = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes()}  # type: ignore[no-untyped-call]
    nodes = {
        actor["Address"]["NodeID"]
        for actor in ray._private.state.actors().values()
        if actor["State"] == "ALIVE" and _role(actor["ActorClassName"], actor["Name"]) == "gateway"
    }
    return {"" if node == here else addresses[node] for node in nodes if node in addresses}


def _role(class_name: str, name: str) -> str:
    """Shards and the controller by class; replicas are named `…#<app>#<deployment>#<id>`."""
    if class_name == ShardActor.__name__:
        return "shard"
    if "#" in name:
        return name.split("#")[-2]
    return "serve_controller" if "Controller" in class_name else class_name.lower()
