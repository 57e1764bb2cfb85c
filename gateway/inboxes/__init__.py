"""Provider queries into the inboxes of EHRs, exactly once each, and the answers back from there."""

from gateway.inboxes.inboxes import EhrInbox, Inboxes
from gateway.inboxes.ports import Fault, Heard, Inbox, InboxFault, Posted

__all__ = ["EhrInbox", "Fault", "Heard", "Inbox", "InboxFault", "Inboxes", "Posted"]
