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
    ANALYST = "analyst"
    """An interface analyst: sees what feeds send, and takes it again."""
    OPERATOR = "operator"
    MONITOR = "monitor"


class Permission(StrEnum):
    SUBMIT = "submit"
    """Write resources, Claim and Encounter among them; find and read back what one wrote; send HL7 v2 over HTTP."""
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
    DESTINATION_CONTROL = "destination.control"
    """Suspend and resume a destination."""
    AUDIT_READ = "audit.read"
    MESSAGE_READ = "message.read"
    MESSAGE_REPLAY = "message.replay"
    MESSAGE_PAYLOAD = "message.payload"
    """See what a message says of a patient, and search in it."""
    CODES_READ = "codes.read"
    CODES_MAP = "codes.map"
    """Say what a sender's codes mean."""
    CHARGES_READ = "charges.read"
    """What became of every charge, in numbers."""
    METRICS_READ = "metrics.read"
    CONFIGURATION_READ = "configuration.read"
    CONFIGURATION_CHANGE = "configuration.change"
    """Reload the files, or return to an earlier version of them."""


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
    | {
        Permission.APPROVE,
        Permission.RETURN,
        Permission.HOLD_OVERRIDE,
        Permission.DELIVERY_RESOLVE,
        Permission.MESSAGE_READ,
        Permission.CODES_READ,
        Permission.CHARGES_READ,
    },
    Role.COMPLIANCE: frozenset(
        {
            Permission.WORKLIST_READ,
            Permission.ENCOUNTER_READ,
            Permission.AUDIT_READ,
            Permission.CONFIGURATION_READ,
            Permission.CHARGES_READ,
        }
    ),
    Role.ANALYST: frozenset(
        {
            Permission.MESSAGE_READ,
            Permission.MESSAGE_REPLAY,
            Permission.MESSAGE_PAYLOAD,
            Permission.ENCOUNTER_READ,
            Permission.CODES_READ,
            Permission.CODES_MAP,
            Permission.CHARGES_READ,
            Permission.CONFIGURATION_READ,
        }
    ),
    Role.OPERATOR: frozenset(
        {
            Permission.MESSAGE_READ,
            Permission.MESSAGE_REPLAY,
            Permission.METRICS_READ,
            Permission.DESTINATION_CONTROL,
            Permission.CONFIGURATION_READ,
            Permission.CONFIGURATION_CHANGE,
        }
    ),
    Role.MONITOR: frozenset({Permission.METRICS_READ}),
}


def needed(permission: Permission) -> str:
    """What somebody lacks who may not, in words: the permission, and the roles that have it."""
    having = [role.value for role in Role if permission in GRANTS[role]]
    return f"the permission {permission.value}, which the role {' or '.join(having)} has"


def permissions(roles: frozenset[Role]) -> frozenset[Permission]:
    """All that `roles` grant together; nothing for no roles."""
    return frozenset().union(*(GRANTS[role] for role in roles))
