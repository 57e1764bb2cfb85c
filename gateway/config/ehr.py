"""What `gateway.yaml` says of the EHRs whose inboxes provider queries go to. A validator's text is `what is wrong; what
to do`.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gateway.config.addresses import Name, Settings
from gateway.config.smart import SmartClient, secure_address


class InboxDelivery(StrEnum):
    """How a query reaches the inbox."""

    TASK = "task"
    """A Task and its Questionnaire at the EHR's FHIR server, read back by polling."""
    COMMUNICATION = "communication"
    """A Communication there that points at our Task; the answer comes to us."""
    POLL = "poll"
    """The EHR searches our Tasks."""


class Ehr(Settings):
    """An EHR with providers' inboxes."""

    name: Name
    delivery: InboxDelivery
    url: str | None = None
    """The base address of its FHIR server, as `https://ehr.example/fhir`."""
    token: SecretStr | None = None
    """Resolved from `token_env` or `token_file`."""
    smart: SmartClient | None = None
    """Instead of a token: SMART Backend Services."""
    feeds: tuple[Name, ...] = ()
    """Encounters of which one of these feeds spoke are its own; any encounter's when empty. The first EHR that takes an
    encounter has its queries.
    """
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 20.0

    @field_validator("url")
    @classmethod
    def _secure(cls, value: str | None) -> str | None:
        if value is not None:
            secure_address(value)
        return value

    @model_validator(mode="after")
    def _of_its_delivery(self) -> Ehr:
        if self.delivery is InboxDelivery.POLL:
            stray = next((name for name in ("url", "token", "smart") if getattr(self, name) is not None), None)
            if stray is not None:
                remedy = "take it out, or write delivery: task"
                raise PydanticCustomError(
                    "ehr", "is not used: this EHR comes to us", {"at": (stray,), "remedy": remedy}
                )
        elif self.url is None:
            remedy = "write the base address of its FHIR server: url: https://ehr.example/fhir"
            raise PydanticCustomError("ehr", "does not say where the EHR's FHIR server is", {"remedy": remedy})
        if self.token is not None and self.smart is not None:
            remedy = "keep one of the two"
            raise PydanticCustomError("ehr", "stands beside a token", {"at": ("smart",), "remedy": remedy})
        return self


class QuerySettings(Settings):
    templates: Path | None = None
    """A directory of the site's own query templates, beside those that come with the gateway or in their place."""
