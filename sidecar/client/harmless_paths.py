"""Paths that generate no tokens, by inference server. A closed gate holds all other paths.

The paths are whole, without patterns: a route that an inference server adds is held until it is listed here.
A test compares them with the routes of current versions (``tests/fixtures/routes``).
"""

from __future__ import annotations

from collections.abc import Mapping

_COMMON = (
    # health and readiness
    "/health", "/healthz", "/livez", "/readyz", "/ready", "/live", "/liveness", "/ping", "/v1/health",
    "/v2/health/live", "/v2/health/ready",
    # metrics and load
    "/metrics", "/load", "/v1/loads", "/stats",
    # documentation
    "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/version",
    # lists of models
    "/v1/models", "/models",
)  # fmt: skip

_VLLM = (
    "/server_info", "/tokenizer_info", "/is_paused", "/is_sleeping", "/weight_info", "/get_world_size",
    "/kv_event_sources", "/fault_tolerance/status", "/fault_tolerance/apply",
    "/pause", "/resume", "/sleep", "/wake_up", "/release_kv_cache_memory",
    "/abort_requests", "/inference/v1/abort_requests",
    "/reset_prefix_cache", "/reset_mm_cache", "/reset_encoder_cache",
    "/start_profile", "/stop_profile", "/collective_rpc",
    "/v1/load_lora_adapter", "/v1/unload_lora_adapter",
    "/scale_elastic_ep", "/is_scaling_elastic_ep",
    "/init_weight_transfer_engine", "/shutdown_weight_transfer_engine", "/start_weight_update",
    "/start_draft_weight_update", "/update_weights", "/finish_weight_update", "/update_weight_version",
    "/weight_checker",
)  # fmt: skip

_SGLANG = (
    # /health_generate generates one token, but it is a health check.
    "/health_generate", "/model_info", "/get_model_info", "/v1/model_info", "/server_info",
    "/get_server_info",
    "/v1/list_loras", "/api/tags", "/api/show",
    "/pause_generation", "/continue_generation", "/abort_request", "/flush_cache", "/slow_down",
    "/release_memory_occupation", "/resume_memory_occupation",
    "/start_profile", "/stop_profile", "/set_internal_state", "/configure_logging", "/set_trace_level",
    "/freeze_gc", "/load_lora_adapter", "/load_lora_adapter_from_tensors", "/unload_lora_adapter",
    "/v1/set_lora", "/v1/merge_lora_weights", "/v1/unmerge_lora_weights",
    "/start_expert_distribution_record", "/stop_expert_distribution_record",
    "/dump_expert_distribution_record", "/hicache/storage-backend", "/hicache/storage-backend/clear",
    "/pd_role_switch", "/scale_elastic_ep", "/is_scaling_elastic_ep",
    "/init_weights_update_group", "/destroy_weights_update_group",
    "/init_weights_send_group_for_remote_instance", "/send_weights_to_remote_instance",
    "/remote_instance_transfer_engine_info", "/get_remote_instance_transfer_engine_info",
    "/begin_weight_update", "/end_weight_update", "/update_weight_version", "/update_weights_from_disk",
    "/update_weights_from_tensor", "/update_weights_from_distributed", "/update_weights_from_ipc",
    "/get_weights_by_name", "/weights_checker",
)  # fmt: skip

_LITELLM = (
    "/health/liveliness", "/health/liveness", "/health/readiness", "/health/readiness/details",
    "/health/services", "/health/history", "/health/latest", "/health/backlog", "/health/drain",
    "/health/license", "/health/shared-status", "/routes",
    "/model/info", "/v1/model/info", "/v2/model/info", "/model_group/info",
    "/model/new", "/model/update", "/model/delete", "/model/block", "/model/unblock",
)  # fmt: skip

_RAY = (
    "/is_paused",
    "/is_sleeping",
    "/pause",
    "/resume",
    "/sleep",
    "/wakeup",
    "/reset_prefix_cache",
    "/collective_rpc",
)
_LLAMACPP = ("/props", "/slots", "/lora-adapters", "/models/load", "/models/unload", "/models/sse")
_TGI = ("/info", "/v2")
# Paths that contain a model's name are held, including paths of its statistics. `pass_paths` can name them.
_TRITON = ("/v2", "/v2/models/stats", "/v2/logging", "/v2/trace/setting", "/v2/repository/index",
    "/v2/systemsharedmemory/status", "/v2/systemsharedmemory/register", "/v2/systemsharedmemory/unregister",
    "/v2/cudasharedmemory/status", "/v2/cudasharedmemory/register", "/v2/cudasharedmemory/unregister",
)  # fmt: skip
_DYNAMO = ("/busy_threshold",)

HARMLESS_PATHS: Mapping[str, tuple[str, ...]] = {
    "common": _COMMON,
    "vllm": _VLLM,
    "sglang": _SGLANG,
    "litellm": _LITELLM,
    "ray": _RAY,
    "llamacpp": _LLAMACPP,
    "tgi": _TGI,
    "triton": _TRITON,
    "dynamo": _DYNAMO,
}
"""Health, readiness, metrics, documentation, lists of models, and the server's own control routes."""

HARMLESS = frozenset(path for paths in HARMLESS_PATHS.values() for path in paths)
