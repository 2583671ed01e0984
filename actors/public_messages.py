"""All that the Feed deployment is asked, of whichever part of it."""

from __future__ import annotations

from actors.messages import FeedRequest
from actors.visa_messages import VisaRead

PublicRead = FeedRequest | VisaRead
