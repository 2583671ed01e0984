-- Guides: what authorities say, brought by operators (`python -m serve_app guides import`). Some
-- thousand rows, so they are not partitioned; their ids carry the country all the same.
-- migrate:up

create table guide (
    id uuid primary key,            -- follows from country and reference (storage/guides.py)
    country_id smallint not null references country,
    reference text not null unique, -- the id in the operator's file
    visa_type text,                 -- null: of the country as a whole
    language text not null,
    title text not null,
    body_markdown text not null,
    body_html text not null,
    authority text not null,
    source_url text not null,
    as_of date not null,
    last_checked date not null,
    version int not null default 1,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    withdrawn_at timestamptz
);
create index guide_place on guide (country_id, visa_type, language, id) where withdrawn_at is null;

-- What a guide said before its newest version.
create table guide_version (
    guide_id uuid not null references guide on delete cascade,
    version int not null,
    visa_type text,
    language text not null,
    title text not null,
    body_markdown text not null,
    authority text not null,
    source_url text not null,
    as_of date not null,
    replaced_at timestamptz not null default clock_timestamp(),
    primary key (guide_id, version)
);

-- migrate:down
