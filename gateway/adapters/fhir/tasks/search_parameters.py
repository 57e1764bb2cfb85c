"""What Tasks, and the Questionnaires and QuestionnaireResponses of queries, are searched by (R4, search parameters)."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import unquote

from gateway.adapters.fhir.tasks.search import Grammar, Reader, Searching, changed, code, values
from gateway.adapters.http.exchange import Fault
from gateway.encounter.identity import EncounterKey
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.task import TASK_CODE
from gateway.review.model import QueryStatus

INCLUDES = ("Task:patient", "Task:subject", "Task:encounter", "Task:focus", "Task:owner")
"""What `_include` may bring along. `focus` is the claim in `reasonReference`: the profile forbids a real focus."""

_NPI = re.compile(r"\d{10}")
_STATUSES = tuple(status.value for status in QueryStatus)
_COMPLETED = QueryStatus.COMPLETED.value


def _status(found: Searching, name: str, value: str) -> Searching:
    wanted = {code(part) for part in values(name, value)}
    return found.restricted("statuses", (status for status in _STATUSES if status in wanted))


def _status_not(found: Searching, name: str, value: str) -> Searching:
    unwanted = {code(part) for part in values(name, value)}
    return found.restricted("statuses", (status for status in _STATUSES if status not in unwanted))


def _npi(token: str) -> str | None:
    """`system|npi`, `Practitioner/npi` or the NPI alone; None when it can be no NPI."""
    system, bar, value = token.rpartition("|")
    if bar and system not in ("", systems.NPI):
        return None
    npi = value.rpartition("/")[2] if not bar else value
    return npi if _NPI.fullmatch(npi) else None


def _owner(found: Searching, name: str, value: str) -> Searching:
    return found.restricted("owners", (npi for part in values(name, value) if (npi := _npi(part))))


def _author(found: Searching, name: str, value: str) -> Searching:
    return found.restricted("answered_by", (npi for part in values(name, value) if (npi := _npi(part))))


def _of_system(token: str, system: str) -> str | None:
    """The value of `system|value`, `|value` or `value`; None for one of another system."""
    given, _, value = token.rpartition("|")
    return value if given in ("", system) and value else None


def _identified(field: str, system: str, prefix: str = "") -> Reader:
    """A parameter whose value is an identifier of `system`, or a reference that ends with its value."""

    def read(found: Searching, name: str, value: str) -> Searching:
        tokens = (_of_system(part.removeprefix(prefix), system) for part in values(name, value))
        return found.restricted(field, (token for token in tokens if token))

    return read


def _patient(found: Searching, name: str, value: str) -> Searching:
    """A number, as `value`, or with its authority as `authority|value`."""
    numbers = tuple(part.removeprefix("Patient/") for part in values(name, value))
    if found.search.patients:
        raise Fault(400, "Name the patient once", where=name)
    return found.started(replace(found.search, patients=numbers))


def _encounter(found: Searching, name: str, value: str) -> Searching:
    """The key, or an account or visit number with or without its authority."""
    if found.search.encounters or found.search.visits:
        raise Fault(400, "Name the encounter once", where=name)
    tokens = [part.removeprefix("Encounter/") for part in values(name, value)]
    keys = [encounter_key(token) for token in tokens]
    visits = tuple(token for token, key in zip(tokens, keys, strict=True) if key is None)
    encounters = tuple(key for key in keys if key is not None)
    return found.started(replace(found.search, encounters=encounters, visits=visits))


def encounter_key(token: str) -> str | None:
    """The key that a token writes, with our own system or none; None for any other number."""
    text = _of_system(token, systems.ENCOUNTER_KEY)
    if text is None or token.startswith("|"):
        return None
    try:
        return str(EncounterKey.parse(text))
    except ValueError:
        return None


def _code(found: Searching, name: str, value: str) -> Searching:
    """All Tasks have one code."""
    fits = any(_of_system(part, systems.CDEX) == TASK_CODE for part in values(name, value))
    return replace(found, nothing=found.nothing or not fits)


def _include(found: Searching, name: str, value: str) -> Searching:
    """A target type may follow, as `Task:patient:Patient`; what is not offered is left aside."""
    wanted = INCLUDES if value == "*" else (":".join(value.split(":")[:2]),)
    return replace(found, includes=(*found.includes, *wanted)) if set(wanted) <= set(INCLUDES) else found


def _all(names: tuple[str, ...], reader: Reader) -> dict[str, Reader]:
    """The same for a reference, for its identifier, and for a chain to it."""
    forms = ("{}", "{}:identifier", "{}.identifier")
    return {form.format(name): reader for name in names for form in forms}


_focus = _identified("claims", systems.CLAIM_NUMBER, "Claim/")
_number = _identified("numbers", systems.QUERY_NUMBER)

TASK = Grammar(
    "Task",
    {
        "status": _status,
        "status:not": _status_not,
        "modified": changed,
        "identifier": _number,
        "code": _code,
        "_include": _include,
        **_all(("patient", "subject"), _patient),
        **_all(("encounter",), _encounter),
        **_all(("focus",), _focus),
        **_all(("owner",), _owner),
        "owner:Practitioner": _owner,
        **_all(("requester",), _identified("asked_by", systems.ACTOR)),
    },
    frozenset({"status", "status:not", "owner", "identifier", "modified", "_include"}),
)


def _answered(found: Searching, name: str, value: str) -> Searching:
    """All answers that are kept are complete."""
    fits = any(code(part) == _COMPLETED for part in values(name, value))
    return replace(found, nothing=found.nothing or not fits)


def _form(found: Searching, name: str, value: str) -> Searching:
    """A Questionnaire's canonical URL, with or without its version, its reference, or the query's number."""
    return found.restricted("numbers", map(_form_number, values(name, value)))


def _form_number(url: str) -> str:
    return unquote(url.partition("|")[0].rstrip("/").rpartition("/")[2])


RESPONSE = Grammar(
    "QuestionnaireResponse",
    {
        "status": _answered,
        "authored": changed,
        "questionnaire": _form,
        "identifier": _identified("numbers", systems.QUERY_ANSWER),
        **_all(("patient", "subject"), _patient),
        **_all(("encounter",), _encounter),
        **_all(("author",), _author),
    },
    frozenset({"authored", "questionnaire", "author"}),
)


def _form_id(found: Searching, name: str, value: str) -> Searching:
    return found.restricted("numbers", values(name, value))


def _form_status(found: Searching, name: str, value: str) -> Searching:
    fits = any(code(part) == "active" for part in values(name, value))
    return replace(found, nothing=found.nothing or not fits)


QUESTIONNAIRE = Grammar(
    "Questionnaire",
    {
        "_id": _form_id,
        "url": _form,
        "identifier": _number,
        "status": _form_status,
        **_all(("patient",), _patient),
    },
    frozenset({"url", "identifier"}),
)


def answers_only(found: Searching) -> Searching:
    """The same search, over the queries that have an answer: an answer's time is that of its query's last change."""
    return found.restricted("statuses", (_COMPLETED,))
