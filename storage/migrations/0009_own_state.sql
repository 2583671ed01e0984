-- What members keep for themselves: drafts, saves, follows, mutes, read positions. All of it goes with
-- the account: erasure deletes the rows of `draft`, `saved`, `thread_follow`, `community_follow`,
-- `account_mute`, `community_mute` and `read_position` by account_id, and those of `account_mute` by
-- muted_id. Keyed by account first, without foreign keys: a check of each would cost more than the row,
-- and what became unreadable is left out where it is read.
-- migrate:up

-- Texts that nobody else has seen. `revision` counts the changes, so that a device that has not seen
-- the newest one is refused. post_id and parent_id: of an edit or comment.
create table draft (
    account_id uuid not null,
    id uuid not null,
    kind text not null check (kind in ('post', 'edit', 'comment')),
    community_id uuid,
    post_id uuid,
    parent_id uuid,
    title text not null,
    body_markdown text not null,
    language text,
    tags text[] not null default '{}',
    revision int not null default 1,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    primary key (account_id, id),
    check ((kind = 'post') = (post_id is null))
);

create table saved (
    account_id uuid not null,
    target_id uuid not null,
    is_post boolean not null,
    saved_at timestamptz not null default clock_timestamp(),
    primary key (account_id, target_id)
);
create index saved_recent on saved (account_id, saved_at desc, target_id desc);

-- `since`: what was written later is news. `unread`: a notification about such news waits to be read,
-- so that further news need no other; it goes back to false when that one is read. The partial indexes
-- hold only who is still to be told, whatever the size of the audience.
create table thread_follow (
    account_id uuid not null,
    post_id uuid not null,
    level text not null check (level in ('all', 'mentions', 'none')),
    since timestamptz not null default clock_timestamp(),
    unread boolean not null default false,
    primary key (account_id, post_id)
);
create index thread_follow_untold on thread_follow (post_id, account_id)
    where level = 'all' and not unread;

create table community_follow (
    account_id uuid not null,
    community_id uuid not null,
    level text not null check (level in ('all', 'mentions', 'none')),
    since timestamptz not null default clock_timestamp(),
    unread boolean not null default false,
    primary key (account_id, community_id)
);
create index community_follow_untold on community_follow (community_id, account_id)
    where level = 'all' and not unread;

create table account_mute (
    account_id uuid not null,
    muted_id uuid not null,
    muted_at timestamptz not null default clock_timestamp(),
    primary key (account_id, muted_id)
);
create index account_mute_muted on account_mute (muted_id);

create table community_mute (
    account_id uuid not null,
    community_id uuid not null,
    muted_at timestamptz not null default clock_timestamp(),
    primary key (account_id, community_id)
);

-- The newest comment of a thread that its reader has seen.
create table read_position (
    account_id uuid not null,
    post_id uuid not null,
    comment_id uuid not null,
    read_at timestamptz not null default clock_timestamp(),
    primary key (account_id, post_id)
) with (fillfactor = 85);

-- What a thread that its author or a commenter follows by taking part is followed with.
alter table account add column default_follow_level text not null default 'all'
    check (default_follow_level in ('all', 'mentions', 'none'));

-- The thread or community whose news one notification stands for, from its post or comment on; null: it
-- is about that alone. The kinds are those of the program: a check would have to be replaced with each.
alter table notification add column span_id uuid;
alter table notification drop constraint if exists notification_kind_check;

-- The last id of a moment: what has a greater one came later.
create function last_id_at(moment timestamptz) returns uuid
language sql stable parallel safe as $$
    select (lpad(to_hex(floor(extract(epoch from moment) * 1000)::bigint), 12, '0')
            || 'ffffffffffffffffffff')::uuid
$$;

-- migrate:down
