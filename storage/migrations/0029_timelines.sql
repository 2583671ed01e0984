-- Timelines of applications. What statistics and filters need is derived from `events` when they are
-- written (actors/timeline_rules.py); `former` keeps what edits replaced, newest first, bounded.
-- migrate:up

create table timeline (
    country_id smallint not null,
    id uuid not null,
    account_id uuid not null,
    visa_type text not null,
    consulate text not null,            -- as its member wrote it
    consulate_key text not null,        -- the same place in one spelling
    events jsonb not null,              -- [{"kind", "date"}] in order
    status text not null check (status in ('pending', 'approved', 'refused', 'withdrawn')),
    submitted_on date not null,
    ended_on date check (ended_on >= submitted_on),
    former jsonb not null default '[]', -- [{"number", "visa_type", "consulate", "events", "replaced_at"}]
    revision int not null default 1,
    created_at timestamptz not null default clock_timestamp(),
    edited_at timestamptz,
    primary key (country_id, id),
    check ((status = 'pending') = (ended_on is null))
) partition by list (country_id);
create index timeline_new on timeline (country_id, visa_type, id desc);
-- Also how many members share a consulate, without a look at the table.
create index timeline_place on timeline (country_id, visa_type, consulate_key, id desc)
    include (account_id);
-- All that statistics read.
create index timeline_waits on timeline (country_id, visa_type, submitted_on)
    include (ended_on, status, consulate_key);
create index timeline_account on timeline (account_id, id);

-- The same groups of countries as every partitioned table has now: one that was promoted keeps its own.
do $$
declare
    one record;
begin
    for one in
        select c.relname as name, pg_get_expr(c.relpartbound, c.oid) as bound
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'post'::regclass
    loop
        execute format('create table %I partition of timeline %s',
            replace(one.name, 'post_', 'timeline_'), one.bound);
    end loop;
end $$;

-- migrate:down
