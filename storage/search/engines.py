"""The engine that the settings name."""

from __future__ import annotations

from pathlib import Path

from config.settings import Settings
from storage.search.engine import SearchEngine


def engine_name(settings: Settings) -> str:
    return "meilisearch" if settings.search.meilisearch_url else "tantivy"


def open_engine(settings: Settings) -> SearchEngine:
    """Does nothing yet: neither a folder nor a server is looked at. Close it with `close`."""
    search = settings.search
    if search.meilisearch_url:
        from storage.search.meilisearch_engine import MeilisearchEngine

        return MeilisearchEngine(
            search.meilisearch_url, search.meilisearch_key, by_country=search.index_by_country
        )
    from storage.search.tantivy_engine import TantivyEngine

    return TantivyEngine(Path(settings.data_dir).resolve() / "search")
