"""What the demonstration writes into its directory: a configuration, a policy, tokens made for this run alone."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from conformance.day import EXPERIENCED, NEW_CODER
from conformance.hospital import BILLING

MARK = ".gateway-demo"
"""Tells a demonstration's directory from anybody's own files."""

TOKENS = {
    "EHR_TOKEN": "the EHR's FHIR client",
    "PROVIDER_TOKEN": "the providers' in-basket",
    "CODER_TOKEN": "a coder",
    "CDI_TOKEN": "a documentation specialist",
    "SUPERVISOR_TOKEN": "the coding supervisor",
    "COMPLIANCE_TOKEN": "the compliance officer",
    "ANALYST_TOKEN": "an interface analyst",
    "OPERATOR_TOKEN": "an operator",
    "MONITOR_TOKEN": "Prometheus",
}

CDI = "lfontaine"
SUPERVISOR = "kobrien"

_CONFIGURATION = """\
# Written by `gateway demo`. examples/gateway.yaml of the repository is the one to start from.
store: sqlite:///var/gateway.db
facility: MAIN
time_zone: America/Chicago
dialects: dialects
http: {{listen: "127.0.0.1:{http}"}}
feeds:
  - {{name: epic-adt, listen: "mllp://127.0.0.1:{adt}", dialect: general-epic}}
  - {{name: encoder, listen: "mllp://127.0.0.1:{encoder}", dialect: base}}
{polled}clients:
  - {{name: ehr-fhir, roles: [feed], token_env: EHR_TOKEN, authority: MAIN}}
  - {{name: inbasket, roles: [provider], token_env: PROVIDER_TOKEN}}
  - {{name: {coder}, roles: [coder], token_env: CODER_TOKEN}}
  - {{name: {cdi}, roles: [cdi], token_env: CDI_TOKEN}}
  - {{name: {supervisor}, roles: [supervisor], token_env: SUPERVISOR_TOKEN}}
  - {{name: compliance, roles: [compliance], token_env: COMPLIANCE_TOKEN}}
  - {{name: analyst, roles: [analyst], token_env: ANALYST_TOKEN}}
  - {{name: operator, roles: [operator], token_env: OPERATOR_TOKEN}}
  - {{name: prometheus, roles: [monitor], token_env: MONITOR_TOKEN}}
destinations:
  - {{name: clearinghouse, kind: x12-file, directory: out/x12, claims: [professional]}}
  - {{name: payer-fhir, kind: fhir-claim, url: "{billing}"}}
{who_bills}review: policy.yaml
audit: {{seal_seconds: 1, key_file: var/audit.key, anchor: var/seals.ndjson}}
"""

_POLLED = """\
  - {{name: clinic-fhir, authority: MAIN, poll: {{url: "{clinic}", start: {start}, every_seconds: 1}}}}
"""

_DIALECT = """\
description: General Hospital's Epic, with the place of service in a Z-segment and the filing indicator in IN1-15
extends: epic
fields:
  visit: {place_of_service: [ZPV-1]}
  coverages: {filing: [IN1-15]}
tables:
  filing: {MB: MB, CI: CI, HM: HM}
"""

_POLICY = """\
version: 1
bill_hold_days: 0
coders:
  {experienced}: {{since: {long_ago}}}
  {new}: {{since: {lately}}}
documentation: required
rules:
  - name: high-value
    when: total > 10000.0
    reason: The claim is above 10,000 dollars.
    resolvable_by: [supervisor]
    due_days: 3
  - name: new-coder
    when: coder.days < 90
    reason: The coder has less than 90 days of experience here.
    resolvable_by: [supervisor]
    due_days: 2
samples:
  - name: quarterly-audit
    take: 1
    of: 20
    per: coder
    seed: day-2
    reason: Chosen for the quarterly coding audit.
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where to listen; 0 takes a free one."""

    adt: int = 2575
    encoder: int = 2576
    http: int = 8080


class DirectoryTaken(Exception):
    """The directory holds something that is not a demonstration's."""


@dataclass(frozen=True, slots=True)
class Files:
    """The demonstration's directory."""

    directory: Path

    @property
    def configuration(self) -> Path:
        return self.directory / "gateway.yaml"

    @property
    def tokens(self) -> Path:
        return self.directory / "tokens.env"

    @property
    def log(self) -> Path:
        return self.directory / "gateway.log"

    @property
    def interchanges(self) -> Path:
        """Where the 837P files arrive."""
        return self.directory / "out" / "x12"

    def clear(self) -> None:
        """An empty directory for its owner alone. What an earlier demonstration left is removed; DirectoryTaken when
        anything else stands there.
        """
        if self.directory.exists():
            if any(self.directory.iterdir()) and not (self.directory / MARK).exists():
                raise DirectoryTaken(f"{self.directory} holds other files; name another with --directory")
            shutil.rmtree(self.directory)
        self.directory.mkdir(mode=0o700, parents=True)
        (self.directory / MARK).touch()

    def write(self, ports: Ports, billing: str, today: date, clinic: str = "") -> None:
        """The configuration, policy and dialect for a day `today`; `billing` is where FHIR Claims are POSTed, `clinic`
        the FHIR server of an EHR that is searched.
        """
        people = {"coder": EXPERIENCED, "cdi": CDI, "supervisor": SUPERVISOR}
        where = {"http": ports.http, "adt": ports.adt, "encoder": ports.encoder, "billing": billing}
        polled = _POLLED.format(clinic=clinic, start=today - timedelta(days=1)) if clinic else ""
        self.configuration.write_text(_CONFIGURATION.format(**where, **people, who_bills=BILLING, polled=polled))
        lately, long_ago = today - timedelta(days=12), today - timedelta(days=2_000)
        policy = _POLICY.format(experienced=EXPERIENCED, new=NEW_CODER, lately=lately, long_ago=long_ago)
        (self.directory / "policy.yaml").write_text(policy)
        (self.directory / "dialects").mkdir(exist_ok=True)
        (self.directory / "dialects" / "general-epic.yaml").write_text(_DIALECT)

    def write_tokens(self, url: str, tokens: dict[str, str]) -> None:
        """The tokens and the gateway's address as a file for the shell, readable by its owner alone."""
        lines = [f"export GATEWAY_URL={url}", f"export GATEWAY_CONFIG={self.configuration.resolve()}"]
        lines += [f"export {name}={token}  # {TOKENS[name]}" for name, token in tokens.items()]
        with os.fdopen(os.open(self.tokens, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write("\n".join(lines) + "\n")


def new_tokens() -> dict[str, str]:
    """A random token for each client."""
    return {name: secrets.token_urlsafe(24) for name in TOKENS}


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without another gateway's settings: its store's key, its address, its configuration."""
    return {name: value for name, value in environ.items() if not name.startswith("GATEWAY_")}
