"""The codes of required bindings (R4, terminologies): of data types wherever they stand, and of the types taken."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.mappings.fhir import systems

Codes = frozenset[str]

_GENDER = frozenset({"male", "female", "other", "unknown"})
_FINANCIAL = systems.CLAIM_STATUS
_ENCOUNTER = frozenset(systems.ENCOUNTER_STATUS)
_EVENT = frozenset(
    {"preparation", "in-progress", "not-done", "on-hold", "stopped", "completed", "entered-in-error", "unknown"}
)

DATA_TYPES: Mapping[str, Mapping[str, Codes]] = {
    "Identifier": {"use": frozenset({"usual", "official", "temp", "secondary", "old"})},
    "HumanName": {"use": frozenset({"usual", "official", "temp", "nickname", "anonymous", "old", "maiden"})},
    "Address": {
        "use": frozenset({"home", "work", "temp", "old", "billing"}),
        "type": frozenset({"postal", "physical", "both"}),
    },
    "ContactPoint": {
        "system": frozenset({"phone", "fax", "email", "pager", "url", "sms", "other"}),
        "use": frozenset({"home", "work", "temp", "old", "mobile"}),
    },
    "Narrative": {"status": frozenset({"generated", "extensions", "additional", "empty"})},
    "Quantity": {"comparator": frozenset({"<", "<=", ">=", ">"})},
}
"""Data type -> element -> its codes."""

STANDS_AT: Mapping[str, str] = {
    "identifier": "Identifier",
    "masterIdentifier": "Identifier",
    "valueIdentifier": "Identifier",
    "name": "HumanName",
    "address": "Address",
    "locationAddress": "Address",
    "telecom": "ContactPoint",
    "text": "Narrative",
    "quantity": "Quantity",
    "valueQuantity": "Quantity",
    "attachment": "Attachment",
    "photo": "Attachment",
    "valueAttachment": "Attachment",
    "contentAttachment": "Attachment",
    "period": "Period",
    "servicedPeriod": "Period",
    "billablePeriod": "Period",
    "timingPeriod": "Period",
    "valuePeriod": "Period",
    "locationPeriod": "Period",
    "performedPeriod": "Period",
    "onsetPeriod": "Period",
    "abatementPeriod": "Period",
    "executionPeriod": "Period",
    "servicePeriod": "Period",
    "onsetRange": "Range",
    "extension": "Extension",
    "modifierExtension": "Extension",
}
"""The name of an element -> the data type of the object that stands there, in all types that are taken."""

RESOURCES: Mapping[str, Mapping[str, Codes]] = {
    "Account": {"status": frozenset({"active", "inactive", "entered-in-error", "on-hold", "unknown"})},
    "Bundle": {
        "type": frozenset(
            {
                "document",
                "message",
                "transaction",
                "transaction-response",
                "batch",
                "batch-response",
                "history",
                "searchset",
                "collection",
            }
        ),
        "entry.request.method": frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"}),
    },
    "Claim": {"status": _FINANCIAL, "use": systems.CLAIM_USE},
    "Coverage": {"status": _FINANCIAL},
    "DocumentReference": {
        "status": systems.DOCUMENT_STATUS,
        "docStatus": systems.COMPOSITION_STATUS,
        "relatesTo.code": frozenset({"replaces", "transforms", "signs", "appends"}),
    },
    "Encounter": {
        "status": _ENCOUNTER,
        "statusHistory.status": _ENCOUNTER,
        "location.status": frozenset({"planned", "active", "reserved", "completed"}),
    },
    "Location": {
        "status": frozenset({"active", "suspended", "inactive"}),
        "mode": frozenset({"instance", "kind"}),
        "hoursOfOperation.daysOfWeek": frozenset({"mon", "tue", "wed", "thu", "fri", "sat", "sun"}),
    },
    "Patient": {
        "gender": _GENDER,
        "contact.gender": _GENDER,
        "link.type": frozenset({"replaced-by", "replaces", "refer", "seealso"}),
    },
    "Practitioner": {"gender": _GENDER},
    "PractitionerRole": {"availableTime.daysOfWeek": frozenset({"mon", "tue", "wed", "thu", "fri", "sat", "sun"})},
    "Procedure": {"status": _EVENT},
    "QuestionnaireResponse": {"status": systems.RESPONSE_STATUS},
    "RelatedPerson": {"gender": _GENDER},
    "Task": {
        "status": systems.TASK_STATUS,
        "intent": systems.TASK_INTENT,
        "priority": frozenset({"routine", "urgent", "asap", "stat"}),
    },
}
"""Resource type -> path below it -> its codes."""

CONCEPTS: Mapping[str, Mapping[str, tuple[str, Codes]]] = {
    "Condition": {
        "clinicalStatus": (
            systems.TERMINOLOGY + "condition-clinical",
            frozenset({"active", "recurrence", "relapse", "inactive", "remission", "resolved"}),
        ),
        "verificationStatus": (
            systems.TERMINOLOGY + "condition-ver-status",
            frozenset({"unconfirmed", "provisional", "differential", "confirmed", "refuted", "entered-in-error"}),
        ),
    },
}
"""Resource type -> path -> the code system and codes of a concept that is bound as strictly."""

INTEGERS = frozenset(
    {
        "sequence",
        "rank",
        "careTeamSequence",
        "diagnosisSequence",
        "procedureSequence",
        "informationSequence",
        "detailSequence",
        "subdetailSequence",
        "size",
        "pages",
        "multipleBirthInteger",
        "valueInteger",
        "valuePositiveInt",
        "valueUnsignedInt",
        "repetitions",
    }
)
"""Elements that are whole numbers, whichever type they stand in."""

DECIMALS = frozenset({"factor", "valueDecimal"})
AMOUNTS = frozenset({"quantity", "valueQuantity", "net", "unitPrice", "total", "valueMoney", "low", "high"})
"""Elements that are a Quantity or Money: their `value` is a number."""

FLAGS = frozenset(
    {
        "active",
        "focal",
        "onHold",
        "preferred",
        "responsible",
        "subrogation",
        "deceasedBoolean",
        "multipleBirthBoolean",
        "valueBoolean",
        "doNotPerform",
    }
)
"""Elements that are true or false."""
