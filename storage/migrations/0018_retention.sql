-- What is kept for a time only: removed texts, notifications that were read, admissions that were
-- refused, logs of communities. Each has an index for the job that takes it away.
-- migrate:up

-- How often a job has waited for a store that was away: it waits longer each time.
alter table job_attempt add column waits int not null default 0;

-- Removed content whose text is still there. What is emptied leaves the index.
create index post_purge on post (deleted_at) where deleted_at is not null and title <> '';
create index comment_purge on comment (deleted_at)
    where deleted_at is not null and body_markdown <> '';

create index notification_read on notification (read_at) where read_at is not null;
create index join_request_refused on join_request (refused_at) where refused_at is not null;
create index invitation_declined on invitation (declined_at) where declined_at is not null;
create index community_log_created on community_log (created_at);

-- migrate:down
