"""The provider's metadata. It imports no other module of the package: Airflow reads it in every process it starts."""

from __future__ import annotations

from typing import Any

_TEXT = {"type": ["string", "null"]}
_SECRET = {"type": ["string", "null"], "format": "password"}
_SECONDS = {"type": ["integer", "null"], "minimum": 1, "maximum": 86_400}


def _choice(*values: str) -> dict[str, Any]:
    return {"type": ["string", "null"], "enum": [*values], "default": values[0]}


CONN_FIELDS: dict[str, dict[str, Any]] = {
    "region": {
        "label": "Region",
        "schema": _TEXT,
        "description": "Such as cn-hangzhou. Needed for V4 signatures, unless the endpoint's name contains it.",
    },
    "bucket": {
        "label": "Bucket",
        "schema": _TEXT,
        "description": "The bucket to use if a task names none.",
    },
    "endpoint_kind": {
        "label": "Endpoint kind",
        "schema": _choice("public", "internal", "accelerate", "dual-stack", "custom"),
        "description": "The region's endpoint to use. Choose internal for workers inside Alibaba Cloud, custom to use "
        "the field Endpoint or Host.",
    },
    "endpoint": {
        "label": "Endpoint",
        "schema": _TEXT,
        "description": "Your own endpoint, such as https://oss.example.com. Or fill in the host and the port.",
    },
    "auth_type": {
        "label": "Auth mode",
        "schema": _choice(
            "access_key",
            "sts",
            "ram_role_arn",
            "ecs_ram_role",
            "oidc",
            "credentials_uri",
            "environment",
            "default",
            "anonymous",
        ),
        "description": "How the worker authenticates. default uses the worker's own credentials.",
    },
    "security_token": {
        "label": "STS token",
        "schema": _SECRET,
        "description": "Of a temporary Access Key. Required for the auth mode sts.",
    },
    "role_arn": {
        "label": "Role ARN",
        "schema": _TEXT,
        "description": "The RAM role that ram_role_arn and oidc assume: acs:ram::1234567890123456:role/its-name.",
    },
    "role_session_name": {
        "label": "Role session name",
        "schema": _TEXT,
        "description": "The caller's name in ActionTrail. Default: airflow-ossresume.",
    },
    "role_session_duration": {
        "label": "Role session duration",
        "schema": _TEXT,
        "description": "15m to 12h, or a number of seconds. The role may set a lower limit. Default: 1h.",
    },
    "role_policy": {
        "label": "Role policy",
        "schema": _TEXT,
        "description": "A RAM policy as JSON that limits the session further.",
    },
    "external_id": {
        "label": "External ID",
        "schema": _SECRET,
        "description": "For ram_role_arn, if the role's trust policy requires one.",
    },
    "role_name": {
        "label": "ECS role name",
        "schema": _TEXT,
        "description": "For ecs_ram_role. Default: the role of the instance.",
    },
    "oidc_provider_arn": {
        "label": "OIDC provider ARN",
        "schema": _TEXT,
        "description": "For oidc. Default: the worker's ALIBABA_CLOUD_OIDC_PROVIDER_ARN, which RRSA sets.",
    },
    "oidc_token_file": {
        "label": "OIDC token file",
        "schema": _TEXT,
        "description": "For oidc: a path on the workers. Default: the worker's ALIBABA_CLOUD_OIDC_TOKEN_FILE.",
    },
    "credentials_uri": {
        "label": "Credentials URI",
        "schema": _SECRET,
        "description": "For credentials_uri. Default: the worker's ALIBABA_CLOUD_CREDENTIALS_URI.",
    },
    "sts_endpoint": {
        "label": "STS endpoint",
        "schema": _TEXT,
        "description": "Default: that of the region, such as sts.cn-hangzhou.aliyuncs.com.",
    },
    "metadata_endpoint": {
        "label": "Metadata endpoint",
        "schema": _TEXT,
        "description": "The ECS metadata service, for tests. Default: http://100.100.100.200.",
    },
    "addressing": {
        "label": "Addressing",
        "schema": _choice("auto", "virtual", "path", "cname"),
        "description": "How a URL names the bucket. Choose cname if the endpoint is the bucket's own domain.",
    },
    "signature_version": {
        "label": "Signature version",
        "schema": _choice("v4", "v1"),
        "description": "Choose v1 only for servers that do not support V4.",
    },
    "proxy": {
        "label": "Proxy",
        "schema": _SECRET,
        "description": "Such as http://proxy:3128. Default: the worker's HTTPS_PROXY, ALL_PROXY and NO_PROXY.",
    },
    "ca_bundle": {
        "label": "CA bundle",
        "schema": _TEXT,
        "description": "A path on the workers. Set it if your own authority has issued the server's certificate.",
    },
    "verify_tls": {
        "label": "Verify TLS",
        "schema": _choice("true", "false"),
        "description": "Choose false only for tests: anyone on the network path can then read and change the data.",
    },
    "connect_timeout": {
        "label": "Connect timeout",
        "schema": _SECONDS,
        "description": "Seconds for each step of connecting. Default: 10. A task's transfer_config overrides it.",
    },
    "read_timeout": {
        "label": "Read timeout",
        "schema": _SECONDS,
        "description": "A request fails after this many seconds without a response. Default: 60.",
    },
    "stall_timeout": {
        "label": "Stall timeout",
        "schema": _SECONDS,
        "description": "A request fails if its body moves less than 64 KiB in this many seconds. Default: 60.",
    },
}

# The Test button of Airflow 3.3.1 and 3.3.2 refuses a connection that is saved without a port (apache/airflow#73298).
# So without a host, port 443 counts as not set.
UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": [],
    "relabeling": {
        "login": "Access Key ID",
        "password": "Access Key Secret",
        "host": "Host",
        "port": "Port of the host",
        "schema": "Bucket (schema)",
    },
    "placeholders": {
        "login": "Access Key ID",
        "password": "Access Key Secret",
        "host": "Your own endpoint: https://oss.example.com. Or fill in Endpoint",
        "port": "Fill in 443 if there is no host: the Test button of Airflow 3.3.1 and 3.3.2 needs a port",
        "schema": "Or fill in Bucket",
    },
}

ASSET_URIS: list[dict[str, Any]] = [
    {
        "schemes": ["oss"],
        "handler": "airflow_provider_ossresume.assets.oss.sanitize_uri",
        "factory": "airflow_provider_ossresume.assets.oss.create_asset",
        "to_openlineage_converter": "airflow_provider_ossresume.assets.oss.convert_asset_to_openlineage",
    }
]

_OPERATORS = [
    f"airflow_provider_ossresume.operators.{name}"
    for name in ("buckets", "copy", "folders", "janitor", "objects", "oss", "sets")
]

_NAME = "Alibaba Cloud OSS (resumable)"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, in the form that Airflow 2.11 and 3.x both accept."""
    return {
        "package-name": "airflow-provider-ossresume",
        "name": _NAME,
        "description": "Resumable, verified file transfers between workers and Alibaba Cloud OSS.",
        "integrations": [
            {
                "integration-name": _NAME,
                "external-doc-url": "https://www.alibabacloud.com/help/en/oss/",
                "tags": ["service"],
            }
        ],
        "connection-types": [
            {
                "connection-type": "oss_resume",
                "hook-class-name": "airflow_provider_ossresume.hooks.oss.OSSResumeHook",
                "hook-name": _NAME,
                "conn-fields": CONN_FIELDS,
                "ui-field-behaviour": UI_FIELD_BEHAVIOUR,
            }
        ],
        "asset-uris": ASSET_URIS,
        "dataset-uris": ASSET_URIS,  # Airflow 2.11 reads this one
        "hooks": [{"integration-name": _NAME, "python-modules": ["airflow_provider_ossresume.hooks.oss"]}],
        "operators": [{"integration-name": _NAME, "python-modules": _OPERATORS}],
        "filesystems": ["airflow_provider_ossresume.filesystem.oss"],
        "sensors": [{"integration-name": _NAME, "python-modules": ["airflow_provider_ossresume.sensors.oss"]}],
        "extra-links": [
            "airflow_provider_ossresume.links.oss.OSSObjectLink",
            "airflow_provider_ossresume.links.oss.OSSUploadsLink",
        ],
        "config": {
            "ossresume": {
                "description": "Settings of airflow-provider-ossresume.",
                "options": {
                    "checkpoint_store": {
                        "description": "The dotted path of a class that keeps checkpoints, for all tasks whose "
                        "`checkpoint` is `auto` or `configured`. The class is created without arguments and "
                        "must have the methods load, save and delete. Empty: no class of your own is used.",
                        "version_added": "1.0.0",
                        "type": "string",
                        "example": "my_company.checkpoints.SqliteCheckpointStore",
                        "default": "",
                    },
                    "console_url": {
                        "description": "The OSS console that the links of tasks open. For an international account, "
                        "set https://oss.console.alibabacloud.com",
                        "version_added": "1.0.0",
                        "type": "string",
                        "example": "https://oss.console.alibabacloud.com",
                        "default": "https://oss.console.aliyun.com",
                    },
                },
            }
        },
        "triggers": [{"integration-name": _NAME, "python-modules": ["airflow_provider_ossresume.triggers.oss"]}],
    }
