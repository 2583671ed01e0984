-- Which indexes the search engines hold, and how far the newest one has been filled.
-- migrate:up

-- `generation` names the index in the engine. The live one is searched, and one that is not finished is
-- being filled in the order of kinds, countries and ids; both get every change. `shape` and `epoch`:
-- what it was made for; a database that was restored, or a new version, makes another one.
create table search_index (
    generation bigint generated always as identity primary key,
    engine text not null,
    shape int not null,
    epoch text not null,
    live boolean not null,
    documents bigint not null default 0,
    after_kind text,
    after_country smallint,
    after_id uuid,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz
);
create unique index search_index_live on search_index (engine) where live;
create unique index search_index_unfinished on search_index (engine) where finished_at is null;

-- migrate:down
