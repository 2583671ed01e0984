-- What is computed from posts and comments: scores for moderators, summaries of threads, translations.
-- It is kept for few texts, so none of it is partitioned; nothing here names an account.
-- migrate:up

-- Texts that people should look at: only scores of note have a row. `scorer` is the version of the rules
-- (actors/signals.py).
create table moderation_signal (
    target_id uuid primary key,
    is_post boolean not null,
    post_id uuid not null,
    community_id uuid not null,
    revision int not null,
    scorer int not null,
    scam real not null,
    spam real not null,
    language real not null,
    off_topic real not null,
    worst real not null generated always as (greatest(scam, spam, language, off_topic)) stored,
    reasons text[] not null,
    scored_at timestamptz not null default clock_timestamp()
);
create index moderation_signal_community
    on moderation_signal (community_id, worst desc, target_id desc);
create index moderation_signal_worst on moderation_signal (worst desc, target_id desc);
create index moderation_signal_post on moderation_signal (post_id);

-- The newest summary of a thread. `sentences`: [{"text", "comment_ids"}]; `source_ids`: every text that
-- it was made from, so that it goes with any of them.
create table thread_summary (
    post_id uuid primary key,
    comment_count int not null,
    mode text not null check (mode in ('extractive', 'generated')),
    model text not null,
    language text not null,
    sentences jsonb not null,
    source_ids uuid[] not null,
    made_at timestamptz not null default clock_timestamp()
);

-- Translations of one revision that somebody has asked for.
create table translation (
    target_id uuid not null,
    language text not null,
    revision int not null,
    state text not null check (state in ('pending', 'ready', 'failed')),
    model text not null default '',
    title text not null default '',
    body_markdown text not null default '',
    body_html text not null default '',
    asked_at timestamptz not null default clock_timestamp(),
    primary key (target_id, language)
);
create index translation_asked on translation (asked_at);

-- What was computed from a text goes with it, in the transaction that changes, removes or moves it. By
-- triggers, because everything that removes would have to remember it. Jobs that write hold the texts
-- they have read (storage/summaries.py, translations.py), so none comes back.
create function forget_derived() returns trigger
language plpgsql as $$
begin
    delete from moderation_signal where target_id = old.id;
    delete from translation where target_id = old.id;
    if tg_table_name like 'post%' then
        delete from moderation_signal where post_id = old.id;
        delete from thread_summary where post_id = old.id;
    else
        delete from thread_summary where post_id = old.post_id and old.id = any (source_ids);
    end if;
    return null;
end $$;

create trigger forget_derived after delete on post
    for each row execute function forget_derived();
create trigger forget_derived_of_changed
    after update of community_id, title, body_markdown, revision, deleted_at on post
    for each row when (
        old.revision <> new.revision or old.deleted_at is distinct from new.deleted_at
        or old.community_id <> new.community_id or old.title <> new.title
        or old.body_markdown <> new.body_markdown)
    execute function forget_derived();
create trigger forget_derived after delete on comment
    for each row execute function forget_derived();
create trigger forget_derived_of_changed
    after update of post_id, body_markdown, revision, deleted_at on comment
    for each row when (
        old.revision <> new.revision or old.deleted_at is distinct from new.deleted_at
        or old.post_id <> new.post_id or old.body_markdown <> new.body_markdown)
    execute function forget_derived();

-- migrate:down
