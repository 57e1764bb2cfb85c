"""What each reference may point to (R4, the types that are taken): resource type -> path -> types."""

from __future__ import annotations

from collections.abc import Mapping

Targets = frozenset[str]


def _of(*types: str) -> Targets:
    return frozenset(types)


_PATIENT = _of("Patient")
_SUBJECT = _of("Patient", "Group")
_ENCOUNTER = _of("Encounter")
_ORGANIZATION = _of("Organization")
_LOCATION = _of("Location")
_WHO = _of("Practitioner", "PractitionerRole")
_PROVIDER = _WHO | _ORGANIZATION
_PARTY = _of("Patient", "RelatedPerson", "Organization")
_ANYONE = _PROVIDER | _of("Patient", "RelatedPerson", "Device")
_ASKED = _ANYONE | _of("CareTeam", "HealthcareService")

TARGETS: Mapping[str, Mapping[str, Targets]] = {
    "Account": {
        "subject": _PROVIDER | _of("Patient", "Device", "Location", "HealthcareService"),
        "coverage.coverage": _of("Coverage"),
        "owner": _ORGANIZATION,
        "guarantor.party": _PARTY,
        "partOf": _of("Account"),
    },
    "Claim": {
        "patient": _PATIENT,
        "enterer": _WHO,
        "insurer": _ORGANIZATION,
        "provider": _PROVIDER,
        "related.claim": _of("Claim"),
        "payee.party": _PROVIDER | _of("Patient", "RelatedPerson"),
        "referral": _of("ServiceRequest"),
        "facility": _LOCATION,
        "careTeam.provider": _PROVIDER,
        "diagnosis.diagnosisReference": _of("Condition"),
        "procedure.procedureReference": _of("Procedure"),
        "insurance.coverage": _of("Coverage"),
        "insurance.claimResponse": _of("ClaimResponse"),
        "accident.locationReference": _LOCATION,
        "item.encounter": _ENCOUNTER,
        "item.locationReference": _LOCATION,
    },
    "Condition": {
        "subject": _SUBJECT,
        "encounter": _ENCOUNTER,
        "recorder": _WHO | _of("Patient", "RelatedPerson"),
        "asserter": _WHO | _of("Patient", "RelatedPerson"),
    },
    "Coverage": {
        "policyHolder": _PARTY,
        "subscriber": _of("Patient", "RelatedPerson"),
        "beneficiary": _PATIENT,
        "payor": _PARTY,
        "contract": _of("Contract"),
    },
    "DocumentReference": {
        "subject": _SUBJECT | _of("Practitioner", "Device"),
        "author": _ANYONE,
        "authenticator": _PROVIDER,
        "custodian": _ORGANIZATION,
        "relatesTo.target": _of("DocumentReference"),
        "context.encounter": _of("Encounter", "EpisodeOfCare"),
        "context.sourcePatientInfo": _PATIENT,
    },
    "Encounter": {
        "subject": _SUBJECT,
        "episodeOfCare": _of("EpisodeOfCare"),
        "basedOn": _of("ServiceRequest"),
        "participant.individual": _WHO | _of("RelatedPerson"),
        "appointment": _of("Appointment"),
        "reasonReference": _of("Condition", "Procedure", "Observation", "ImmunizationRecommendation"),
        "diagnosis.condition": _of("Condition", "Procedure"),
        "account": _of("Account"),
        "hospitalization.origin": _of("Location", "Organization"),
        "hospitalization.destination": _of("Location", "Organization"),
        "location.location": _LOCATION,
        "serviceProvider": _ORGANIZATION,
        "partOf": _ENCOUNTER,
    },
    "Location": {"managingOrganization": _ORGANIZATION, "partOf": _LOCATION, "endpoint": _of("Endpoint")},
    "Organization": {"partOf": _ORGANIZATION, "endpoint": _of("Endpoint")},
    "Patient": {
        "generalPractitioner": _PROVIDER,
        "managingOrganization": _ORGANIZATION,
        "contact.organization": _ORGANIZATION,
        "link.other": _of("Patient", "RelatedPerson"),
    },
    "Practitioner": {"qualification.issuer": _ORGANIZATION},
    "PractitionerRole": {
        "practitioner": _of("Practitioner"),
        "organization": _ORGANIZATION,
        "location": _LOCATION,
        "healthcareService": _of("HealthcareService"),
        "endpoint": _of("Endpoint"),
    },
    "Procedure": {
        "subject": _SUBJECT,
        "encounter": _ENCOUNTER,
        "recorder": _WHO | _of("Patient", "RelatedPerson"),
        "asserter": _WHO | _of("Patient", "RelatedPerson"),
        "performer.actor": _ANYONE,
        "performer.onBehalfOf": _ORGANIZATION,
        "location": _LOCATION,
    },
    "QuestionnaireResponse": {"encounter": _ENCOUNTER, "author": _ANYONE},
    "RelatedPerson": {"patient": _PATIENT},
    "Task": {
        "partOf": _of("Task"),
        "encounter": _ENCOUNTER,
        "requester": _ANYONE,
        "owner": _ASKED,
        "location": _LOCATION,
        "insurance": _of("Coverage", "ClaimResponse"),
        "relevantHistory": _of("Provenance"),
        "restriction.recipient": _ANYONE | _of("Group"),
    },
}
