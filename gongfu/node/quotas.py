"""The settings ``[quotas]`` as the front doors use them."""

from gongfu.ingest.admission.quota import Defaults, Policy, Quota
from gongfu.node.runtime import QuotaSettings


def defaults_of(settings: QuotaSettings) -> Defaults:
    """Return the quotas of the settings."""
    policy, burst = Policy(settings.policy), settings.burst_seconds
    return Defaults(
        Quota(
            settings.device_points_per_second,
            settings.device_messages_per_second,
            settings.device_bytes_per_second,
            burst,
            policy,
        ),
        Quota(
            settings.tenant_points_per_second,
            settings.tenant_messages_per_second,
            settings.tenant_bytes_per_second,
            burst,
            policy,
        ),
        settings.max_delay_seconds,
    )
