-- What belongs to content lives as long as the content: files of what was removed, follows and saves
-- of what was moved, objects of what was stored.
-- migrate:up

-- Removed content may come back, by a moderator at any time: its files stay until it is emptied for
-- good (storage/attachments.py). Rows that these triggers have marked are looked at and found standing.
drop trigger post_removed on post;
drop trigger comment_removed on comment;
drop function recheck_attachments();

-- All who follow a thread, all who keep it: they go along when it goes to another id.
create index thread_follow_post on thread_follow (post_id, account_id);
create index saved_target on saved (target_id);

-- Objects that may be in the store though no row of media_object names them: noted before they are
-- stored, and as that row goes. Who has deleted them deletes the note.
create table stray_object (
    hash bytea primary key,
    thumbnails int[] not null,
    noted_at timestamptz not null default clock_timestamp()
);
create index stray_object_noted on stray_object (noted_at);

-- Looked through for files that no job works on any more.
create index media_processing on media (id) where state = 'processing';

-- migrate:down
