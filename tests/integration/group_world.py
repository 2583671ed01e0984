"""Groups through the real Accounts actor, and short ways to ask for what tests ask most."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from actors import group_messages as m
from actors.account_messages import JoinCommunity, LeaveCommunity, ListNotifications
from actors.messages import GUEST, Caller, Failure, Reply
from tests.integration.people import Person, World


class Groups:
    def __init__(self, world: World) -> None:
        self.world = world

    async def say(self, request: Any) -> Any:
        """The answer's body (None without one), or the code of the refusal."""
        outcome = await self.world.ask(request)
        if isinstance(outcome, Failure):
            return outcome.code
        return msgspec.json.decode(outcome.body) if outcome.body else None

    async def make(
        self,
        who: Person,
        name: str = "Nurses in Leipzig",
        *,
        visibility: str = "public",
        joining: str | None = None,
        key: str | None = None,
        rules: str = "",
    ) -> Any:
        joining = joining or ("open" if visibility == "public" else "invitation")
        return await self.say(
            m.CreateGroup(who.caller, name, rules, visibility, joining, key)  # type: ignore[arg-type]
        )

    async def edit(self, who: Person, community: str, **changes: Any) -> Any:
        fields = ("name", "rules", "visibility", "joining", "archived")
        values = [changes.get(name) for name in fields]
        return await self.say(m.EditGroup(who.caller, community, *values))

    async def join(self, who: Person, community: str) -> Any:
        answer = await self.say(JoinCommunity(who.caller, community))
        return answer["role"] if isinstance(answer, dict) else answer

    async def leave(self, who: Person, community: str) -> Any:
        return await self.say(LeaveCommunity(who.caller, community))

    async def role(self, who: Person, community: str, target: Person, role: Any) -> Any:
        return await self.say(m.SetMemberRole(who.caller, community, target.id, role))

    async def remove(self, who: Person, community: str, target: Person) -> Any:
        return await self.say(m.RemoveMember(who.caller, community, target.id))

    async def ban(self, who: Person, community: str, target: Person, reason: str = "") -> Any:
        return await self.say(m.BanMember(who.caller, community, target.id, reason))

    async def unban(self, who: Person, community: str, target: Person) -> Any:
        return await self.say(m.UnbanMember(who.caller, community, target.id))

    async def transfer(self, who: Person, community: str, target: Person) -> Any:
        return await self.say(m.TransferGroup(who.caller, community, target.id))

    async def invite(self, who: Person, community: str, handle: str) -> Any:
        return _role(await self.say(m.Invite(who.caller, community, handle)))

    async def ask(self, who: Person, community: str, message: str = "") -> Any:
        return _role(await self.say(m.AskToJoin(who.caller, community, message)))

    async def approve(self, who: Person, community: str, target: Person) -> Any:
        return _role(await self.say(m.ApproveRequest(who.caller, community, target.id)))

    async def refuse(self, who: Person, community: str, target: Person) -> Any:
        return await self.say(m.RefuseRequest(who.caller, community, target.id))

    async def members(self, who: Person | None, community: str, role: Any = None) -> Any:
        """(handle, role) of all of them, page by page; or the code of the refusal."""
        found: list[tuple[str, str]] = []
        cursor = None
        while True:
            request = m.ListMembers(_caller(who), community, role, 2, cursor)
            page = await self.say(request)
            if isinstance(page, str):
                return page
            found += [(item["account"]["handle"], item["role"]) for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    async def log(self, who: Person, community: str) -> Any:
        """(action, actor, subject, detail), the oldest first; or the code of the refusal."""
        page = await self.say(m.ReadCommunityLog(who.caller, community, 100, None))
        if isinstance(page, str):
            return page
        return [
            (item["action"], _handle(item["actor"]), _handle(item["subject"]), item["detail"])
            for item in reversed(page["items"])
        ]

    async def notified(self, who: Person) -> list[tuple[str, str, Any]]:
        """(kind, who caused it, the community's slug), newest first."""
        reply = await self.world.reply(ListNotifications(who.caller, 100, None))
        assert isinstance(reply, Reply)
        return [
            (item["kind"], item["actor"]["handle"], item["community"]["slug"])
            for item in msgspec.json.decode(reply.body)["items"]
        ]

    async def count(self, community: dict[str, Any]) -> int:
        return await self.world.member_count(UUID(community["id"]))


def _caller(who: Person | None) -> Caller:
    return GUEST if who is None else who.caller


def _role(answer: Any) -> Any:
    return answer["role"] if isinstance(answer, dict) else answer


def _handle(author: Any) -> Any:
    return author and author["handle"]
