-- Uploaded files. Bytes are in the object store (storage/objects.py), here is whose they are and who
-- may see them. Files with equal bytes share one object; its rows in `media` are the references.
-- migrate:up

-- `hash`: SHA-256 of what was uploaded. `size_bytes` and what follows describe what was made of it.
create table media_object (
    hash bytea primary key,
    content_type text not null,
    size_bytes int not null,
    width int,
    height int,
    pages int,
    thumbnails int[] not null,          -- sizes that were made
    created_at timestamptz not null default clock_timestamp()
);

create table media (
    id uuid primary key,
    owner_id uuid not null references account,
    file_name text not null,
    content_type text not null,         -- as the member said; media_object has what it is
    size_bytes int not null,            -- of the upload
    state text not null default 'pending'
        check (state in ('pending', 'processing', 'ready', 'refused')),
    reason text not null default '',    -- why it was refused
    object_hash bytea references media_object,
    created_at timestamptz not null default clock_timestamp(),
    -- Since when it belongs to no content: deleted after a day. Null: it belongs to some.
    unattached_since timestamptz default clock_timestamp(),
    check ((state = 'ready') = (object_hash is not null))
);
create index media_owner on media (owner_id, id);
create index media_object_of on media (object_hash) where object_hash is not null;
create index media_unattached on media (unattached_since) where unattached_since is not null;

-- Which posts (content_id = post_id) and comments show a file: whoever may read one of them may read
-- it. Written before the content is, so that nobody sees one without the other; `check_at` is when a
-- job looks whether the content stands (null: it does).
create table media_attachment (
    media_id uuid not null references media on delete cascade,
    content_id uuid not null,
    post_id uuid not null,
    country_id smallint not null,
    check_at timestamptz,
    primary key (media_id, content_id)
);
create index media_attachment_content on media_attachment (content_id);
create index media_attachment_post on media_attachment (post_id);
create index media_attachment_check on media_attachment (check_at) where check_at is not null;

-- Whatever removes a post or comment, its files are looked at when there is no way back any more.
create function recheck_attachments() returns trigger
language plpgsql as $$
begin
    update media_attachment set check_at = clock_timestamp() + interval '24 hours'
     where content_id = new.id or post_id = new.id;
    return null;
end $$;
create trigger post_removed after update of deleted_at on post
    for each row when (old.deleted_at is null and new.deleted_at is not null)
    execute function recheck_attachments();
create trigger comment_removed after update of deleted_at on comment
    for each row when (old.deleted_at is null and new.deleted_at is not null)
    execute function recheck_attachments();

-- Comments of threads that are merged.
create function move_attachments() returns trigger
language plpgsql as $$
begin
    update media_attachment set post_id = new.post_id where content_id = new.id;
    return null;
end $$;
create trigger comment_moved after update of post_id on comment
    for each row when (old.post_id is distinct from new.post_id)
    execute function move_attachments();

-- migrate:down
