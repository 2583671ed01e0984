-- Answers of the assistant: kept so that equal questions are answered at once, and so that feedback has
-- something to be about. An answer holds words of its sources, so it goes with them: in the transaction
-- that changes, removes or empties a source, by triggers, because else everything that removes would
-- have to remember it.
-- migrate:up

create table answer (
    id uuid primary key,
    account_id uuid,                -- who asked first; null: a guest
    cache_key bytea not null,       -- of everything that the answer hangs on (actors/answer_cache.py)
    question text not null,
    country_id smallint not null,   -- 0: of no country
    language text not null,
    mode text not null check (mode in ('generated', 'extractive', 'not_found')),
    sources jsonb not null,
    answer jsonb not null,          -- as members get them
    created_at timestamptz not null default clock_timestamp()
);
create index answer_key on answer (cache_key, created_at desc);
create index answer_account on answer (account_id, id) where account_id is not null;
create index answer_created on answer (created_at);

-- What its words come from; of a comment its thread as well, whose title is shown. `version`: the
-- revision of the post or comment, the version of the guide.
create table answer_source (
    answer_id uuid not null references answer on delete cascade,
    source_id uuid not null,
    country_id smallint not null,
    kind text not null check (kind in ('post', 'comment', 'guide')),
    version int not null,
    primary key (answer_id, source_id)
);
create index answer_source_source on answer_source (source_id, answer_id);

-- Outlives its answer: with the question, which is its giver's too.
create table answer_feedback (
    account_id uuid not null,
    answer_id uuid not null,
    verdict text not null check (verdict in ('helpful', 'wrong')),
    note text not null,
    question text not null,
    country_id smallint not null,
    language text not null,
    mode text not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (account_id, answer_id)
);
create index answer_feedback_created on answer_feedback (created_at);

-- Answers by id: two who remove sources of the same ones must not deadlock.
create function forget_answers(changed uuid[]) returns void
language sql as $$
    delete from answer where id in (
        select a.id from answer a
        where a.id in (select s.answer_id from answer_source s where s.source_id = any (changed))
        order by a.id for update)
$$;

create function forget_answers_of_source() returns trigger
language plpgsql as $$
begin
    perform forget_answers(array[old.id]);
    return null;
end $$;

create trigger forget_answers after delete on post
    for each row execute function forget_answers_of_source();
create trigger forget_changed_answers
    after update of title, body_markdown, revision, deleted_at, accepted_comment_id, community_id on post
    for each row when (
        old.revision <> new.revision or old.deleted_at is distinct from new.deleted_at
        or old.title <> new.title or old.body_markdown <> new.body_markdown
        or old.community_id <> new.community_id
        or old.accepted_comment_id is distinct from new.accepted_comment_id)
    execute function forget_answers_of_source();
create trigger forget_answers after delete on comment
    for each row execute function forget_answers_of_source();
create trigger forget_changed_answers
    after update of body_markdown, revision, deleted_at, post_id on comment
    for each row when (
        old.revision <> new.revision or old.deleted_at is distinct from new.deleted_at
        or old.body_markdown <> new.body_markdown or old.post_id <> new.post_id)
    execute function forget_answers_of_source();
create trigger forget_answers after delete on guide
    for each row execute function forget_answers_of_source();
create trigger forget_changed_answers after update of version, withdrawn_at on guide
    for each row when (
        old.version <> new.version or old.withdrawn_at is distinct from new.withdrawn_at)
    execute function forget_answers_of_source();

-- migrate:down
