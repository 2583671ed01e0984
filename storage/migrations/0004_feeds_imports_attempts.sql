-- Indexes of the feeds that 0001 has none for, the names that imported accounts had, and how often
-- each job was begun.
-- migrate:up

-- Pinned posts lead their community's hot feed; there are few, and without an index of their own
-- finding them means reading the whole community.
create index post_pinned on post (community_id, hot desc, id desc) where pinned and deleted_at is null;

-- The feed of all public communities: each partition gives its best few, merged. One look into each
-- community instead would cost more with every community that is made.
create index post_all_hot on post (hot desc, id desc) where deleted_at is null;
create index post_all_new on post (id desc) where deleted_at is null;
create index post_all_top on post (score desc, id desc) where deleted_at is null;
create index community_private on community (id) where visibility = 'private';

-- The handle in the dump: an account may be renamed after it was claimed, and a later import must
-- still find the author.
alter table account add column imported_ref text;
create unique index account_imported on account (imported_ref) where imported_ref is not null;

-- pgqueuer counts retries, not a worker that was killed by its job: this count is committed before
-- the job runs.
create table job_attempt (
    job_id bigint primary key,
    attempts int not null,
    begun_at timestamptz not null default clock_timestamp()
);

-- migrate:down
