"""A site's policy: who must look at what, what is sampled, how severe an edit is. `policy_file` reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gateway.encounter.model import Encounter, EncounterClass
from gateway.encounter.record import Record
from gateway.review.conditions import BadCondition, Condition, EvaluationFailed, Facts, condition, facts_of
from gateway.review.edits import message, waiting
from gateway.review.edits.context import EditContext, Limits
from gateway.review.edits.registry import RULES, From, examine, progress
from gateway.review.facts import Coder, Subject, read_facts
from gateway.review.model import Finding, HoldKind, Severity
from gateway.review.query_timing import QueryPolicy
from gateway.review.sampling import Reviewer, Sample, unit
from gateway.yamlfile import NAME, instead

__all__ = ["Coder", "Documentation", "EditSeverity", "Policy", "PolicyRule", "Sample"]

_POLICY = "the site's policy"


def _yaml_off(value: object) -> object:
    """YAML 1.1 reads a bare `off` as false."""
    return "off" if value is False else value


class Documentation(StrEnum):
    REQUIRED = "required"
    OFF = "off"


class EditSeverity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFORMATION = "information"
    OFF = "off"


Days = Annotated[int, Field(ge=0, le=365)]


def _checked(text: str | None) -> str | None:
    if text is not None:
        try:
            condition(text)
        except BadCondition as bad:
            raise PydanticCustomError("condition", "{text}", {"text": bad.text, "remedy": bad.remedy}) from None
    return text


def _changeable(name: str) -> str:
    rule = RULES.get(name)
    if rule is None and not name.startswith(message.PREFIX):
        raise _mistake("no edit is called so", instead(name, sorted(RULES), "known are"))
    if rule is not None and rule.fixed:
        raise _mistake("its severity cannot be changed", "remove the line: no claim may leave without it")
    return name


Changeable = Annotated[str, AfterValidator(_changeable)]
"""The name of an edit's rule whose severity a site may set."""


class PolicyRule(Record):
    """An encounter for which `when` holds needs a person's eyes before its claim leaves."""

    name: Annotated[str, Field(pattern=NAME)]
    when: str
    reason: Annotated[str, Field(min_length=1)]
    severity: Severity = Severity.WARNING
    resolvable_by: tuple[Reviewer, ...] = ()
    due_days: Days | None = None

    _compiles = field_validator("when")(_checked)


class SampleRule(Sample):
    """A sample whose condition was checked."""

    _compiles = field_validator("when")(_checked)


class EditLimits(Record):
    """Beyond these a line's amount or units are taken for a mistake."""

    max_line_amount: Annotated[Decimal, Field(gt=0)] = Decimal(1_000_000)
    max_line_units: Annotated[Decimal, Field(gt=0)] = Decimal(9_999)


@dataclass(frozen=True, slots=True)
class _Compiled:
    """What a policy says, as it is used."""

    limits: Limits
    conditions: tuple[tuple[PolicyRule | Sample, Condition], ...]
    facts: frozenset[str]
    """The facts that the conditions ask for."""
    severities: Mapping[str, Severity | None]


class Policy(Record):
    """The whole policy. Without a file: no rule, no sample, documents required, no bill hold."""

    version: Literal[1] = 1
    bill_hold_days: Days | dict[EncounterClass | Literal["default"], Days] = 0
    coders: dict[str, Coder] = Field(default_factory=dict)
    documentation: Annotated[Documentation, BeforeValidator(_yaml_off)] = Documentation.REQUIRED
    limits: EditLimits = EditLimits()
    rules: tuple[PolicyRule, ...] = ()
    samples: tuple[SampleRule, ...] = ()
    queries: QueryPolicy = QueryPolicy()
    severities: dict[Changeable, Annotated[EditSeverity, BeforeValidator(_yaml_off)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_differ(self) -> Policy:
        places = [("rules", index, rule.name) for index, rule in enumerate(self.rules)]
        places += [("samples", index, sample.name) for index, sample in enumerate(self.samples)]
        seen: set[str] = set(RULES)
        for place, index, name in places:
            if name in seen:
                raise _mistake(f"{name} is taken", "give each rule and sample its own name", place, index, "name")
            seen.add(name)
        return self

    @cached_property
    def _compiled(self) -> _Compiled:
        """Made once, of what was checked. (A private attribute of a model takes a microsecond to get at.)"""
        conditional: tuple[PolicyRule | Sample, ...] = (*self.rules, *self.samples)
        conditions = tuple((rule, condition(rule.when)) for rule in conditional if rule.when is not None)
        by_class = self.bill_hold_days if isinstance(self.bill_hold_days, dict) else {"default": self.bill_hold_days}
        return _Compiled(
            limits=Limits(
                bill_hold_days=by_class.get("default", 0),
                bill_hold_days_by_class={c: d for c, d in by_class.items() if isinstance(c, EncounterClass)},
                documentation=self.documentation is Documentation.REQUIRED,
                max_line_amount=self.limits.max_line_amount,
                max_line_units=self.limits.max_line_units,
            ),
            conditions=conditions,
            facts=frozenset(name for _, when in conditions for name in when.facts),
            severities={
                name: None if said is EditSeverity.OFF else Severity(said.value)
                for name, said in self.severities.items()
            },
        )

    @property
    def edit_limits(self) -> Limits:
        """What the policy sets for the edits; a context made with it need not be made again."""
        return self._compiled.limits

    def edit(self, encounter: Encounter, context: EditContext) -> tuple[Finding, ...]:
        """What the edits find, by this policy's limits and severities; each finding once."""
        found: dict[tuple[str, str], Finding] = {}
        compiled = self._compiled
        limits, severities = compiled.limits, compiled.severities
        if context.limits is not limits:
            context = replace(context, limits=limits)
        for finding in examine(encounter, context):
            weighed = _weighed(finding, severities) if finding.rule in severities else finding
            if weighed is not None:
                found.setdefault(weighed.identity, weighed)
        return tuple(found.values())

    def screen(self, encounter: Encounter, context: EditContext, edited: Sequence[Finding]) -> Iterator[Finding]:
        """A finding for each rule whose condition holds, and for each condition that could not be evaluated."""
        if progress(encounter, context) is not From.CODED:
            return
        compiled = self._compiled
        known = self._known(compiled.facts, encounter, context, edited) if compiled.conditions else {}
        for rule, when in compiled.conditions:
            answer = _ask(when, known)
            if isinstance(answer, EvaluationFailed):
                yield _unanswered(rule, answer)
            elif answer and isinstance(rule, PolicyRule):
                yield _asked_for(rule, when)

    def eligible(self, encounter: Encounter, context: EditContext) -> tuple[tuple[Sample, str], ...]:
        """The samples that the encounter belongs to, each with the unit whose frames count it.

        Only once it is ready for a reviewer: its codes are final, its visit is over, and there is something to bill.
        """
        coded = progress(encounter, context) is From.CODED
        if not self.samples or not coded or not waiting.is_over(encounter, context):
            return ()
        asked = tuple((rule.name, when) for rule, when in self._compiled.conditions if isinstance(rule, Sample))
        names = {name for _, when in asked for name in when.facts}
        edited = self.edit(encounter, context) if "findings" in names else ()
        known = self._known(names, encounter, context, edited)
        out = {name for name, when in asked if _ask(when, known) is not True}
        return tuple((sample, unit(sample, encounter)) for sample in self.samples if sample.name not in out)

    def sampled(self, name: str) -> Finding:
        """The finding of an encounter that was chosen for the sample. A sample since removed still holds it."""
        sample = next((s for s in self.samples if s.name == name), None)
        return Finding(
            rule=name,
            severity=Severity.WARNING,
            kind=HoldKind.SAMPLE,
            where="encounter",
            text=sample.reason if sample else "Chosen for a sample that the policy no longer has.",
            remedy="Review the codes against the record, then approve or return the encounter.",
            source=f"{_POLICY}, sample {name}",
            evidence=(f"{sample.take} of {sample.of}, seed {sample.seed}",) if sample else (),
            due_days=sample.due_days if sample else None,
            resolvable_by=sample.resolvable_by if sample else (),
        )

    def _known(
        self, names: Iterable[str], encounter: Encounter, context: EditContext, edited: Sequence[Finding]
    ) -> Facts:
        return facts_of(read_facts(names, Subject(encounter, context, edited, self.coders)))


def _weighed(finding: Finding, severities: Mapping[str, Severity | None]) -> Finding | None:
    """The finding with the severity that the site gave its rule; None where the site turned it off."""
    severity = severities[finding.rule]
    return None if severity is None else finding.model_copy(update={"severity": severity})


def _ask(when: Condition, known: Facts) -> bool | EvaluationFailed:
    try:
        return when.holds(known)
    except EvaluationFailed as failed:
        return failed


def _asked_for(rule: PolicyRule, when: Condition) -> Finding:
    return Finding(
        rule=rule.name,
        severity=rule.severity,
        kind=HoldKind.REVIEW,
        where="encounter",
        text=rule.reason,
        remedy="Review the codes against the record, then approve or return the encounter.",
        source=f"{_POLICY}, rule {rule.name}",
        evidence=(when.text,),
        due_days=rule.due_days,
        resolvable_by=rule.resolvable_by,
    )


def _unanswered(rule: PolicyRule | Sample, failed: EvaluationFailed) -> Finding:
    """Fail closed: a condition without an answer holds the claim."""
    return Finding(
        rule=rule.name,
        severity=Severity.ERROR,
        kind=HoldKind.REVIEW,
        where="encounter",
        text=f"The policy's condition could not be evaluated: {failed}.",
        remedy="Correct the condition in the policy; until then each such encounter is looked at by a person.",
        source=f"{_POLICY}, {rule.name}",
        evidence=(rule.when or "",),
        resolvable_by=rule.resolvable_by,
    )


def _mistake(text: str, remedy: str, *at: str | int) -> PydanticCustomError:
    """A mistake at `at`, counted from the key that is being validated."""
    return PydanticCustomError("policy", "{text}", {"text": text, "remedy": remedy, "at": at})
