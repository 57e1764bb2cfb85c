"""Who may do what. Deny by default: a role has only what this table gives it."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    FEED = "feed"
    """An EHR or encoder that writes clinical and coded resources."""
    PROVIDER = "provider"
    """A provider's system: finds and answers the queries addressed to it."""
    CODER = "coder"
    CDI = "cdi"
    SUPERVISOR = "supervisor"
    COMPLIANCE = "compliance"
    OPERATOR = "operator"
    MONITOR = "monitor"


class Permission(StrEnum):
    SUBMIT = "submit"
    """Create and update Encounter, Claim, DocumentReference; read back what one submitted."""
    QUERY_READ = "query.read"
    QUERY_ANSWER = "query.answer"
    WORKLIST_READ = "worklist.read"
    ENCOUNTER_READ = "encounter.read"
    QUERY_ASK = "query.ask"
    HOLD_RESOLVE = "hold.resolve"
    HOLD_OVERRIDE = "hold.override"
    """Resolve a hold that an error made."""
    APPROVE = "approve"
    RETURN = "return"
    DELIVERY_RESOLVE = "delivery.resolve"
    AUDIT_READ = "audit.read"
    MESSAGE_READ = "message.read"
    MESSAGE_REPLAY = "message.replay"
    METRICS_READ = "metrics.read"


_DESK = frozenset(
    {
        Permission.WORKLIST_READ,
        Permission.ENCOUNTER_READ,
        Permission.QUERY_READ,
        Permission.QUERY_ASK,
        Permission.HOLD_RESOLVE,
    }
)

GRANTS: dict[Role, frozenset[Permission]] = {
    Role.FEED: frozenset({Permission.SUBMIT}),
    Role.PROVIDER: frozenset({Permission.QUERY_READ, Permission.QUERY_ANSWER}),
    Role.CODER: _DESK,
    Role.CDI: _DESK,
    Role.SUPERVISOR: _DESK
    | {Permission.APPROVE, Permission.RETURN, Permission.HOLD_OVERRIDE, Permission.DELIVERY_RESOLVE},
    Role.COMPLIANCE: frozenset({Permission.WORKLIST_READ, Permission.ENCOUNTER_READ, Permission.AUDIT_READ}),
    Role.OPERATOR: frozenset({Permission.MESSAGE_READ, Permission.MESSAGE_REPLAY, Permission.METRICS_READ}),
    Role.MONITOR: frozenset({Permission.METRICS_READ}),
}


def permissions(roles: frozenset[Role]) -> frozenset[Permission]:
    """All that `roles` grant together; nothing for no roles."""
    return frozenset().union(*(GRANTS[role] for role in roles))
