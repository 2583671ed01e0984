"""All that the Feed deployment is asked, of whichever part of it."""

from __future__ import annotations

from actors.feed_messages import FeedRequest
from actors.visa_messages import VisaRead

PublicRead = FeedRequest | VisaRead
