"""All that the Accounts deployment is asked, of whichever part of it."""

from __future__ import annotations

from actors.account_messages import AccountsRead, AccountsWrite
from actors.group_messages import GroupRead, GroupWrite
from actors.media.messages import MediaWrite, ReadMedia
from actors.member_messages import MemberRead, MemberWrite
from actors.visa_messages import ProgressRead, VisaWrite

PeopleRead = AccountsRead | MemberRead | GroupRead | ReadMedia | ProgressRead
PeopleWrite = AccountsWrite | MemberWrite | GroupWrite | MediaWrite | VisaWrite
PeopleRequest = PeopleRead | PeopleWrite
