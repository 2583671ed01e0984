-- Recurring jobs, and what it takes to give a member all that is theirs, or to take it away.
-- migrate:up

create table job_schedule (
    name text primary key,
    next_run timestamptz not null
);
-- Held jobs are counted and listed; pgqueuer has no index of them.
create index pgqueuer_held on pgqueuer (entrypoint) where status = 'failed';

-- What a deleted account keeps in place of its handle, so that nobody else can take the name that
-- others' texts still mention. No handle begins with a tilde.
create function retired_handle(handle text) returns text
language sql immutable parallel safe as $$
    select '~' || encode(sha256(convert_to(lower(handle), 'UTF8')), 'hex')
$$;

-- An account's own rows, in tables whose keys begin with something else. Removals by moderators are
-- few, so their indexes are small and no other write touches them.
create index vote_account on vote (account_id, target_id);
create index notification_actor on notification (actor_id);
create index post_deleted_by on post (deleted_by) where deleted_by is not null;
create index comment_deleted_by on comment (deleted_by) where deleted_by is not null;

-- What an account asked for that takes long: its erasure, a copy of its data. `job_id` is the job of
-- pgqueuer that does it; its state is read from there as long as finished_at is null.
create table account_task (
    id uuid primary key,
    account_id uuid not null,
    kind text not null check (kind in ('erasure', 'export')),
    erase_content boolean not null default false,
    job_id bigint not null,
    done int not null default 0,
    total int not null default 0,
    created_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    size_bytes bigint,
    expires_at timestamptz
);
create index account_task_account on account_task (account_id, kind, id desc);
create unique index account_task_open on account_task (account_id, kind) where finished_at is null;
create index account_task_expires on account_task (expires_at) where expires_at is not null;

-- migrate:down
