"""The fixed directory: countries and their visa types."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.feed_messages import ListCountries, ListVisaTypes
from actors.messages import Reply
from serve_app.api.call import Call
from serve_app.api.fields import Country
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import CountryList, VisaTypeList


class VisaTypesQuery(msgspec.Struct, frozen=True):
    country: Country | None = None


async def countries(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.feed(ListCountries())


async def visa_types(call: Call[Nothing, VisaTypesQuery]) -> Reply:
    country = call.query.country
    return await call.backends.feed(ListVisaTypes(country.upper() if country else None))


ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", "/api/v1/countries", countries, "All countries", access="guest", rate="read",
        answer=CountryList, shared="everyone", tag="directory",
    ),
    Route(
        "GET", "/api/v1/visa-types", visa_types, "Visa types, of one country or all",
        access="guest", rate="read", query=VisaTypesQuery, answer=VisaTypeList, shared="everyone",
        tag="directory",
    ),
)  # fmt: skip
