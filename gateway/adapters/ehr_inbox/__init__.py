"""The inboxes of EHRs over their FHIR servers: by Task, or by a Communication that points at ours."""

from gateway.adapters.ehr_inbox.communication_inbox import CommunicationInbox
from gateway.adapters.ehr_inbox.peer import FhirPeer, limits
from gateway.adapters.ehr_inbox.task_inbox import TaskInbox

__all__ = ["CommunicationInbox", "FhirPeer", "TaskInbox", "limits"]
