"""Issues found in a resource, and the OperationOutcome that tells them (R4, OperationOutcome)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.mappings.errors import MappingError

FATAL, ERROR, WARNING, INFORMATION = "fatal", "error", "warning", "information"

_ISSUE_TYPES = {
    "required": "required",
    "structure": "structure",
    "value": "value",
    "unsupported": "not-supported",
    "unresolved": "not-found",
    "ambiguous": "multiple-matches",
    "conflict": "conflict",
    "limit": "too-long",
}
"""A mapping error's code -> the issue-type code that says it over HTTP."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing to say of a resource. `code` is of the issue-type value set, `expression` a FHIRPath like
    `Claim.item[0].net`; `diagnostics` repeats no value of the resource.
    """

    severity: str
    code: str
    expression: str
    diagnostics: str

    @property
    def refuses(self) -> bool:
        """Whether the resource can't be taken because of it."""
        return self.severity in (FATAL, ERROR)


def issue_of(error: MappingError) -> Issue:
    """The issue that tells a mapping error."""
    return Issue(ERROR, _ISSUE_TYPES.get(error.code, "processing"), error.where, error.text)


def operation_outcome(issues: Sequence[Issue]) -> dict[str, object]:
    """The OperationOutcome of `issues`; with none it says that all is well."""
    said = issues or (Issue(INFORMATION, "informational", "", "nothing is wrong"),)
    return {"resourceType": "OperationOutcome", "issue": [_issue(issue) for issue in said]}


def _issue(issue: Issue) -> dict[str, object]:
    told: dict[str, object] = {"severity": issue.severity, "code": issue.code, "diagnostics": issue.diagnostics}
    if issue.expression:
        told["expression"] = [issue.expression]
    return told
