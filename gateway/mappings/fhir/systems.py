"""Code systems, and the tables between their codes and the canonical words. A code in no table is not guessed."""

from __future__ import annotations

import re

from gateway.encounter.model import (
    CodeSystem,
    DiagnosisUse,
    DocumentKind,
    EncounterClass,
    ProviderRole,
    VisitStatus,
)

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"

NPI = "http://hl7.org/fhir/sid/us-npi"
TAX_ID = "urn:oid:2.16.840.1.113883.4.4"
IDENTIFIER_TYPE = TERMINOLOGY + "v2-0203"
ACT_CODE = TERMINOLOGY + "v3-ActCode"
PATIENT_CLASS = TERMINOLOGY + "v2-0004"
PARTICIPATION = TERMINOLOGY + "v3-ParticipationType"
ACT_REASON = TERMINOLOGY + "v3-ActReason"
CLAIM_TYPE = TERMINOLOGY + "claim-type"
PROCESS_PRIORITY = TERMINOLOGY + "processpriority"
DIAGNOSIS_TYPE = TERMINOLOGY + "ex-diagnosistype"
ON_ADMISSION = TERMINOLOGY + "ex-diagnosis-on-admission"
CARE_TEAM_ROLE = TERMINOLOGY + "claimcareteamrole"
CARIN_CARE_TEAM_ROLE = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBClaimCareTeamRole"
RELATED_CLAIM = TERMINOLOGY + "ex-relatedclaimrelationship"
CLAIM_INFORMATION = TERMINOLOGY + "claiminformationcategory"
SUBSCRIBER_RELATIONSHIP = TERMINOLOGY + "subscriber-relationship"
COVERAGE_CLASS = TERMINOLOGY + "coverage-class"
DATA_ABSENT = TERMINOLOGY + "data-absent-reason"
REVENUE_CODE = "https://www.nubc.org/CodeSystem/RevenueCodes"
PATIENT_STATUS = "https://www.nubc.org/CodeSystem/PatDischargeStatus"
PLACE_OF_SERVICE = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"
MS_DRG = (
    "https://www.cms.gov/Medicare/Medicare-Fee-for-Service-Payment/AcuteInpatientPPS/"
    "MS-DRG-Classifications-and-Software"
)
LOINC = "http://loinc.org"
CDEX = "http://hl7.org/fhir/us/davinci-cdex/CodeSystem/cdex-temp"
SDC = "http://hl7.org/fhir/uv/sdc/CodeSystem/temp"

OWN = "urn:x-coding-review-gateway:"
QUERY_NUMBER = OWN + "query"
QUERY_CHOICE = OWN + "query-choice"
QUERY_ANSWER = OWN + "query-answer"
ACTOR = OWN + "actor"
ENCOUNTER_KEY = OWN + "encounter"
CLAIM_NUMBER = OWN + "claim"
CLAIM_VERSION = OWN + "claim-version"
AUDIT_ACTION = OWN + "audit-action"
ATTACHMENT = OWN + "attachment"
"""Why the content of an attachment is not here."""

CODE_SYSTEM: dict[CodeSystem, str] = {
    CodeSystem.ICD10CM: "http://hl7.org/fhir/sid/icd-10-cm",
    CodeSystem.ICD10PCS: "http://www.cms.gov/Medicare/Coding/ICD10",
    CodeSystem.ICD9CM: "http://hl7.org/fhir/sid/icd-9-cm",
    CodeSystem.CPT: "http://www.ama-assn.org/go/cpt",
    CodeSystem.HCPCS: "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
}
"""As they are written. Local codes have no system that others would know."""

CODE_SYSTEM_READ: dict[str, CodeSystem] = {uri: system for system, uri in CODE_SYSTEM.items()} | {
    "urn:oid:2.16.840.1.113883.6.90": CodeSystem.ICD10CM,
    "https://www.cms.gov/Medicare/Coding/ICD10": CodeSystem.ICD10PCS,
    "http://hl7.org/fhir/sid/icd-10-pcs": CodeSystem.ICD10PCS,
    "urn:oid:2.16.840.1.113883.6.4": CodeSystem.ICD10PCS,
    "http://hl7.org/fhir/sid/icd-9-cm/diagnosis": CodeSystem.ICD9CM,
    "https://www.ama-assn.org/go/cpt": CodeSystem.CPT,
    "urn:oid:2.16.840.1.113883.6.12": CodeSystem.CPT,
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": CodeSystem.HCPCS,
    "http://terminology.hl7.org/CodeSystem/HCPCS": CodeSystem.HCPCS,
    "urn:oid:2.16.840.1.113883.6.14": CodeSystem.HCPCS,
    "urn:oid:2.16.840.1.113883.6.285": CodeSystem.HCPCS,
}
"""As they are read: the spellings that senders use."""

DOTTED = frozenset({CodeSystem.ICD10CM, CodeSystem.ICD9CM})
"""Systems whose codes FHIR writes with a dot after the third character, and the canonical form without."""

_HCPCS_FORM = re.compile(r"[A-Z]\d{4}")
_CPT_FORM = re.compile(r"\d{4}[0-9A-Z]")


def service_system(code: str) -> CodeSystem | None:
    """CPT (HCPCS level I) or HCPCS level II by the code's form, which never overlap; None for any other form."""
    if _CPT_FORM.fullmatch(code):
        return CodeSystem.CPT
    return CodeSystem.HCPCS if _HCPCS_FORM.fullmatch(code) else None


ENCOUNTER_STATUS: dict[str, VisitStatus | None] = {
    "planned": VisitStatus.PLANNED,
    "arrived": VisitStatus.ACTIVE,
    "triaged": VisitStatus.ACTIVE,
    "in-progress": VisitStatus.ACTIVE,
    "onleave": VisitStatus.ACTIVE,
    "finished": VisitStatus.DISCHARGED,
    "cancelled": VisitStatus.CANCELLED,
    "entered-in-error": VisitStatus.CANCELLED,
    "unknown": None,
}

ENCOUNTER_CLASS: dict[tuple[str, str], EncounterClass] = {
    (ACT_CODE, "IMP"): EncounterClass.INPATIENT,
    (ACT_CODE, "ACUTE"): EncounterClass.INPATIENT,
    (ACT_CODE, "NONAC"): EncounterClass.INPATIENT,
    (ACT_CODE, "AMB"): EncounterClass.OUTPATIENT,
    (ACT_CODE, "VR"): EncounterClass.OUTPATIENT,
    (ACT_CODE, "EMER"): EncounterClass.EMERGENCY,
    (ACT_CODE, "OBSENC"): EncounterClass.OBSERVATION,
    (ACT_CODE, "PRENC"): EncounterClass.PREADMIT,
    (ACT_CODE, "HH"): EncounterClass.OTHER,
    (ACT_CODE, "FLD"): EncounterClass.OTHER,
    (ACT_CODE, "SS"): EncounterClass.OTHER,
    (PATIENT_CLASS, "E"): EncounterClass.EMERGENCY,
    (PATIENT_CLASS, "I"): EncounterClass.INPATIENT,
    (PATIENT_CLASS, "O"): EncounterClass.OUTPATIENT,
    (PATIENT_CLASS, "P"): EncounterClass.PREADMIT,
    (PATIENT_CLASS, "R"): EncounterClass.RECURRING,
    (PATIENT_CLASS, "B"): EncounterClass.OTHER,
    (PATIENT_CLASS, "C"): EncounterClass.OTHER,
    (PATIENT_CLASS, "N"): EncounterClass.OTHER,
    (PATIENT_CLASS, "U"): EncounterClass.OTHER,
}

PARTICIPANT_ROLE: dict[str, ProviderRole] = {
    "ATND": ProviderRole.ATTENDING,
    "ADM": ProviderRole.ADMITTING,
    "CON": ProviderRole.CONSULTING,
    "REF": ProviderRole.REFERRING,
    "PPRF": ProviderRole.RENDERING,
}
"""v3-ParticipationType. Others (translators, escorts, secondary performers) have no part in a claim."""

CARE_TEAM: dict[str, ProviderRole] = {
    "rendering": ProviderRole.RENDERING,
    "performing": ProviderRole.RENDERING,
    "attending": ProviderRole.ATTENDING,
    "referring": ProviderRole.REFERRING,
    "operating": ProviderRole.OPERATING,
    "supervising": ProviderRole.SUPERVISING,
    "supervisor": ProviderRole.SUPERVISING,
    "ordering": ProviderRole.ORDERING,
}
"""Claim.careTeam.role, of CARIN's system or the standard's example set. `primary` is the primary care provider."""

CARE_TEAM_WRITTEN: dict[ProviderRole, tuple[str, str] | None] = {
    ProviderRole.RENDERING: (CARIN_CARE_TEAM_ROLE, "rendering"),
    ProviderRole.ATTENDING: (CARIN_CARE_TEAM_ROLE, "attending"),
    ProviderRole.REFERRING: (CARIN_CARE_TEAM_ROLE, "referring"),
    ProviderRole.OPERATING: (CARIN_CARE_TEAM_ROLE, "operating"),
    ProviderRole.SUPERVISING: (CARE_TEAM_ROLE, "supervisor"),
}

PRESENT_ON_ADMISSION = {code: code.upper() for code in "ynuwYNUW1"}

ADMISSION_EXTENSION = "http://hl7.org/fhir/us/qicore/StructureDefinition/qicore-encounter-diagnosisPresentOnAdmission"
"""QI-Core: on Encounter.diagnosis, or on the Condition itself."""
ITEM_TRACE_EXTENSION = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-itemTraceNumber"
"""Da Vinci PAS: a line's own number, on Claim.item. It is what FT1-2 says of the same charge."""

ENCOUNTER_DIAGNOSIS = "encounter-diagnosis"
"""Condition.category of what was diagnosed in a visit, and not only recorded in it."""
DIAGNOSIS_ROLE: dict[str, DiagnosisUse | None] = {
    "AD": DiagnosisUse.ADMITTING,
    "DD": DiagnosisUse.WORKING,
    "CM": DiagnosisUse.WORKING,
    "pre-op": DiagnosisUse.WORKING,
    "post-op": DiagnosisUse.WORKING,
    "billing": DiagnosisUse.WORKING,
    "CC": None,
}
"""Encounter.diagnosis.use. A chief complaint (CC) is no diagnosis; final codes come by Claims."""

NO_DIAGNOSIS = frozenset({"refuted", "entered-in-error"})
"""Condition.verificationStatus of what is none, after all."""
NOT_DONE = frozenset({"preparation", "not-done", "entered-in-error", "stopped", "on-hold", "unknown"})
"""Procedure.status of what was not carried out, or not yet."""

PERFORMER: dict[tuple[str, str], ProviderRole] = {
    ("http://snomed.info/sct", "304292004"): ProviderRole.OPERATING,
    (PARTICIPATION, "PPRF"): ProviderRole.RENDERING,
}
"""Procedure.performer.function: the surgeon, and the primary performer. Others have no part in a claim."""

DISPOSITION: dict[tuple[str, str], str] = {
    (TERMINOLOGY + "discharge-disposition", "aadvice"): "07",
    (TERMINOLOGY + "discharge-disposition", "exp"): "20",
}
"""Only the codes that leave no choice: `home` is 01 with self care and 06 with home health, `hosp` 50 or 51."""

DISPOSITION_AS_IS = frozenset({PATIENT_STATUS, TERMINOLOGY + "v2-0112"})

GENDER: dict[str, str] = {"female": "F", "male": "M", "other": "U", "unknown": "U"}
SEX_WRITTEN: dict[str, str] = {"F": "female", "M": "male", "U": "unknown"}

RELATIONSHIP: dict[str, str] = {
    "self": "self",
    "spouse": "spouse",
    "common": "spouse",
    "child": "child",
    "parent": "other",
    "other": "other",
    "injured": "other",
}
"""The patient's relationship to the subscriber. `common` is a common-law spouse."""

ROLE_RELATIONSHIP: dict[str, str] = {
    "ONESELF": "self",
    "SPS": "spouse",
    "HUSB": "spouse",
    "WIFE": "spouse",
    "CHILD": "child",
    "SON": "child",
    "DAU": "child",
    "PRN": "child",
    "FTH": "child",
    "MTH": "child",
}
"""RelatedPerson.relationship (v3-RoleCode) of a guarantor, as table 0063 is read; any other code is `other`."""

PLACE_OF_SERVICE_READ = frozenset({PLACE_OF_SERVICE, TERMINOLOGY + "ex-serviceplace"})

DOCUMENT_KIND: dict[str, DocumentKind] = {
    "11506-3": DocumentKind.PROGRESS_NOTE,
    "18733-6": DocumentKind.PROGRESS_NOTE,
    "34117-2": DocumentKind.HISTORY_AND_PHYSICAL,
    "11488-4": DocumentKind.CONSULTATION,
    "34111-5": DocumentKind.EMERGENCY_NOTE,
    "34878-9": DocumentKind.EMERGENCY_NOTE,
    "11504-8": DocumentKind.OPERATIVE_NOTE,
    "28570-0": DocumentKind.PROCEDURE_NOTE,
    "18842-5": DocumentKind.DISCHARGE_SUMMARY,
    "18748-4": DocumentKind.IMAGING_REPORT,
    "18726-0": DocumentKind.IMAGING_REPORT,
    "11526-1": DocumentKind.PATHOLOGY_REPORT,
    "60567-5": DocumentKind.PATHOLOGY_REPORT,
    "11502-2": DocumentKind.LABORATORY_REPORT,
    "26436-6": DocumentKind.LABORATORY_REPORT,
}
"""LOINC document types."""

CLAIM_STATUS = frozenset({"active", "cancelled", "draft", "entered-in-error"})
CLAIM_USE = frozenset({"claim", "preauthorization", "predetermination"})
DOCUMENT_STATUS = frozenset({"current", "superseded", "entered-in-error"})
COMPOSITION_STATUS = frozenset({"preliminary", "final", "amended", "entered-in-error"})
TASK_STATUS = frozenset(
    {
        "draft",
        "requested",
        "received",
        "accepted",
        "rejected",
        "ready",
        "cancelled",
        "in-progress",
        "on-hold",
        "failed",
        "completed",
        "entered-in-error",
    }
)
TASK_INTENT = frozenset(
    {
        "unknown",
        "proposal",
        "plan",
        "order",
        "original-order",
        "reflex-order",
        "filler-order",
        "instance-order",
        "option",
    }
)
RESPONSE_STATUS = frozenset({"in-progress", "completed", "amended", "entered-in-error", "stopped"})
BUNDLE_TYPE = frozenset({"transaction", "batch", "collection"})
"""The types of Bundle that are taken apart."""
