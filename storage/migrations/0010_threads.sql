-- What a thread has besides its texts: tags to look for, a poll, who removed it and why, and where it
-- went when moderators moved or merged it.
-- migrate:up

alter table post add column deleted_reason text; -- a moderator's, shown to all
alter table post add column moved_to uuid;       -- set: this row is what a move or merge left behind
alter table post add column has_poll boolean not null default false;
alter table comment add column deleted_reason text;
-- The thread whose text this comment holds since it was merged into this one.
alter table comment add column merged_from uuid;

-- The feed of a tag. The planner takes post_hot and its like instead where the tag is frequent.
create index post_tags on post using gin (tags) where deleted_at is null;

-- Ids that posts and comments had before they went to another country. What goes on leaves no chain.
create table moved_content (
    from_id uuid primary key,
    to_id uuid not null,
    moved_at timestamptz not null default clock_timestamp()
);
create index moved_content_to on moved_content (to_id);

-- `votes` by option, in the options' order; `voters` counts members, not marks.
create table poll (
    post_id uuid primary key,
    question text not null,
    options text[] not null,
    votes int[] not null,
    voters int not null default 0,
    multiple boolean not null,
    closes_at timestamptz
);

create table poll_vote (
    post_id uuid not null,
    account_id uuid not null,
    options smallint[] not null, -- from 0, ascending
    cast_at timestamptz not null default clock_timestamp(),
    primary key (post_id, account_id)
);
create index poll_vote_account on poll_vote (account_id);

-- The id that content of ours gets in another country: all but the country stays, so that ids keep
-- their order among each other.
create function id_in_country(id uuid, country smallint) returns uuid
language sql immutable parallel safe as $$
    select overlay(id::text placing lpad(to_hex(country::int), 3, '0') from 16 for 3)::uuid
$$;

-- migrate:down
