"""Reads policy.yaml. Every mistake is told at once, each with file, line, key, what is wrong and what to write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError

from gateway import yamlfile
from gateway.review.facts import Coder
from gateway.review.policy import EditLimits, Policy, PolicyRule, SampleRule
from gateway.review.query_timing import EscalationStep, QueryPolicy
from gateway.yamlfile import Form, Loc, Mistakes, YamlFile

FORM = Form(key=re.compile(r"[^\x00-\x1f\x7f]{1,200}"))
"""Coders are keys, however the site writes them, and so are edits: `message.bad-phone`."""

_GROUPS: Mapping[str, type[BaseModel]] = {
    "coders": Coder,
    "limits": EditLimits,
    "queries": QueryPolicy,
    "rules": PolicyRule,
    "samples": SampleRule,
}


class PolicyMistakes(Mistakes):
    """The policy cannot be used: all its mistakes."""


def load_policy(path: Path) -> Policy:
    """The policy in `path`. PolicyMistakes when it cannot be used."""
    return _policy(yamlfile.read(path, FORM))


def parse_policy(content: bytes, name: str = "policy.yaml") -> Policy:
    """The policy that `content` writes. PolicyMistakes when it cannot be used."""
    return _policy(yamlfile.parse_into(YamlFile(name), content, FORM))


def _policy(file: YamlFile) -> Policy:
    policy = None
    if file.readable:
        try:
            policy = Policy.model_validate(file.data)
        except ValidationError as wrong:
            yamlfile.tell(file, wrong.errors(include_url=False), _known)
    if policy is None or file.mistakes:
        raise PolicyMistakes(file.mistakes)
    return policy


def _known(loc: Loc) -> set[str]:
    """The names that may stand in the group at `loc`."""
    if loc[:2] == ("queries", "escalate"):
        return set(EscalationStep.model_fields)
    return set((_GROUPS[str(loc[0])] if loc else Policy).model_fields)
