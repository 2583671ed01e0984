-- Checklists, brought by operators (`python -m serve_app checklists import`), the progress of members
-- on them, and what is known of official pages. Some thousand rows of the first and the last.
-- migrate:up

create table checklist (
    id text primary key,                -- the id in the operator's file
    country_id smallint not null references country,
    visa_type text not null,
    language text not null,
    title text not null,
    items jsonb not null,               -- [{"id", "text", "source_url"}] in order
    updated_at timestamptz not null default clock_timestamp(),
    withdrawn_at timestamptz
);
create index checklist_place on checklist (country_id, visa_type) where withdrawn_at is null;

-- An item that is gone keeps its rows: a later file may bring it again.
create table checklist_progress (
    account_id uuid not null,
    checklist_id text not null,
    item_id text not null,
    done_at timestamptz not null default clock_timestamp(),
    primary key (account_id, checklist_id, item_id)
);

-- Where addresses of authorities stand; what they are good for follows from it.
create view official_source as
    select official_url as url, country_id, code as visa_type, 'visa_type' as kind,
           code as reference, name_en as title
      from visa_type
    union all
    select source_url, country_id, visa_type, 'guide', id::text, title
      from guide where withdrawn_at is null
    union all
    select distinct i ->> 'source_url', c.country_id, c.visa_type, 'checklist', c.id, c.title
      from checklist c cross join jsonb_array_elements(c.items) i
     where c.withdrawn_at is null and i ->> 'source_url' is not null;

-- What the job 'check_links' saw of each (actors/links/checking.py).
create table official_link (
    id int generated always as identity primary key,
    url text not null unique,
    status text not null default 'unchecked'
        check (status in ('unchecked', 'ok', 'missing', 'refused', 'failed')),
    http_status smallint,
    reason text,                        -- of a failure, in words
    final_url text,                     -- where redirects led; null: nowhere else
    etag text,
    last_modified text,
    content_hash bytea,
    failures int not null default 0,    -- in a row
    last_checked_at timestamptz,
    last_ok_at timestamptz,
    last_changed_at timestamptz,
    announced_at timestamptz,           -- the change that communities were told of
    next_check_at timestamptz not null default clock_timestamp()
);
create index official_link_due on official_link (next_check_at);
create index official_link_untold on official_link (last_changed_at)
    where last_changed_at is distinct from announced_at;

-- migrate:down
