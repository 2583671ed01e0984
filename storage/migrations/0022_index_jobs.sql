-- New posts and comments are indexed by a job, one a batch, beside the one that tells people of them.
-- The functions are those of 0008 with that row more.
-- migrate:up

create or replace function write_comments(
    p_author uuid[], p_country smallint[], p_post uuid[], p_id uuid[], p_parent uuid[],
    p_markdown text[], p_html text[], p_language text[],
    p_head text[], p_tail text[], p_key text[], p_hash bytea[]
) returns table (
    o_ord int, o_status text, o_resource uuid, o_parent uuid, o_depth int,
    o_channel text, o_offset bigint, o_comment_count int, o_community uuid
)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_hashjoin = off
as $$
declare
    fresh int[];
    stamp timestamptz;
begin
    perform 1 from stream s
      where s.id in (
          select p.stream_id from unnest(p_country, p_post) i (country, post)
          join post p on p.country_id = i.country and p.id = i.post)
      order by s.id for update;

    fresh := take_keys(p_author, p_key, p_hash, p_id);

    perform 1 from post p
      where (p.country_id, p.id) in (select * from unnest(p_country, p_post))
      order by p.id for no key update;

    stamp := clock_timestamp();
    return query
    with input as materialized (
        select * from unnest(p_author, p_country, p_post, p_id, p_parent, p_markdown, p_html,
                             p_language, p_head, p_tail, p_key, p_hash)
            with ordinality i (author, country, post, id, parent, markdown, html,
                               language, head, tail, key, hash, ord)
    ),
    checked as materialized (
        select i.*, p.stream_id, p.community_id,
            case when q.depth >= 12 then q.parent_id else q.id end as under,
            case when q.id is null then 0 else least(q.depth + 1, 12) end as depth,
            case
                when p.id is null or p.deleted_at is not null then 'not_found'
                when r.code is not null then r.code
                when p.locked and not (a.role in ('moderator', 'admin')
                     or coalesce(m.role in ('moderator', 'admin'), false)) then 'locked'
                when i.parent is not null and (q.id is null or q.deleted_at is not null)
                    then 'parent_not_found'
                else 'created'
            end as status
        from input i
        left join post p on p.country_id = i.country and p.id = i.post
        left join community c on c.id = p.community_id
        left join account a on a.id = i.author
        left join membership m on m.account_id = i.author and m.community_id = p.community_id
        left join comment q on q.country_id = i.country and q.id = i.parent and q.post_id = i.post
        cross join lateral (select refusal(a.status, a.suspended_until, a.role, c.visibility, m.role,
                                           c.archived_at is not null) as code) r
        where i.ord = any (fresh)
    ),
    accepted as materialized (
        select c.*, row_number() over (partition by c.stream_id order by c.ord) as place
        from checked c where c.status = 'created'
    ),
    per_post as materialized (
        select stream_id, country, post, count(*)::int as n from accepted group by 1, 2, 3
    ),
    advanced as (
        update stream s set top_offset = s.top_offset + g.n from per_post g where s.id = g.stream_id
        returning s.id, s.channel, s.top_offset - g.n as base
    ),
    events as (
        insert into stream_event (stream_id, off, subject_id, payload, created_at)
        select f.stream_id, a.base + f.place, f.id,
               f.head || coalesce('"' || f.under || '"', 'null') || ',"depth":' || f.depth || f.tail,
               stamp
        from accepted f join advanced a on a.id = f.stream_id
    ),
    comments as (
        insert into comment (country_id, id, post_id, parent_id, depth, author_id, body_markdown,
                             body_html, language, created_at)
        select country, id, post, under, depth, author, markdown, html, language,
               to_timestamp(id_ms(id) / 1000.0)
        from accepted
    ),
    counted as (
        update post p set comment_count = p.comment_count + g.n, last_comment_at = stamp
        from per_post g where p.country_id = g.country and p.id = g.post
        returning p.id, p.comment_count
    ),
    released as (
        delete from idempotency d using checked c
        where c.status <> 'created' and d.account_id = c.author and d.key = c.key
    ),
    -- The rows that pgqueuer's own enqueue would insert, in the causing transaction. Whom a comment
    -- answers is told apart from where it attaches: the two differ at the greatest depth.
    job as (
        insert into pgqueuer (priority, entrypoint, payload, status)
        select 0, j.entrypoint, convert_to(j.payload::text, 'UTF8'), 'queued'
        from (select json_agg(json_build_object('id', id, 'reply_to', parent)) as told,
                     json_agg(id) as ids
              from accepted having count(*) > 0) a
        cross join lateral (values ('notify', json_build_object('comments', a.told)),
                                   ('index', json_build_object('comments', a.ids)))
            j (entrypoint, payload)
        returning id, entrypoint, priority
    ),
    job_logged as (
        insert into pgqueuer_log (job_id, status, entrypoint, priority)
        select id, 'queued', entrypoint, priority from job
    )
    select c.ord::int, c.status, c.id, f.under, f.depth, a.channel, a.base + f.place,
           n.comment_count, c.community_id
      from checked c
      left join accepted f on f.ord = c.ord
      left join advanced a on a.id = f.stream_id
      left join counted n on n.id = f.post
    union all
    select i.ord::int, case when d.key is null then 'gone' when d.request_hash = i.hash then 'replayed'
                           else 'conflict' end,
           d.resource_id, null, null, null, null, null, null
      from input i left join idempotency d on d.account_id = i.author and d.key = i.key
     where i.ord <> all (fresh);
end $$;

create or replace function write_posts(
    p_author uuid[], p_country smallint[], p_community uuid[], p_id uuid[], p_visa_type text[],
    p_title text[], p_markdown text[], p_html text[], p_language text[], p_tags text[],
    p_payload text[], p_key text[], p_hash bytea[]
) returns table (o_ord int, o_status text, o_resource uuid, o_channel text, o_offset bigint)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_hashjoin = off
as $$
declare
    fresh int[];
    stamp timestamptz;
begin
    perform 1 from stream s
      where s.id in (select c.stream_id from community c where c.id = any (p_community))
      order by s.id for update;

    fresh := take_keys(p_author, p_key, p_hash, p_id);

    stamp := clock_timestamp();
    return query
    with input as materialized (
        select * from unnest(p_author, p_country, p_community, p_id, p_visa_type, p_title, p_markdown,
                             p_html, p_language, p_tags, p_payload, p_key, p_hash)
            with ordinality i (author, country, community, id, visa_type, title, markdown,
                               html, language, tags, payload, key, hash, ord)
    ),
    checked as materialized (
        select i.*, c.stream_id,
            case when c.id is null then 'not_found' else coalesce(r.code, 'created') end as status
        from input i
        left join community c on c.id = i.community
        left join account a on a.id = i.author
        left join membership m on m.account_id = i.author and m.community_id = i.community
        cross join lateral (select refusal(a.status, a.suspended_until, a.role, c.visibility, m.role,
                                           c.archived_at is not null) as code) r
        where i.ord = any (fresh)
    ),
    accepted as materialized (
        select c.*, row_number() over (partition by c.stream_id order by c.ord) as place
        from checked c where c.status = 'created'
    ),
    per_community as materialized (
        select stream_id, count(*)::int as n from accepted group by 1
    ),
    advanced as (
        update stream s set top_offset = s.top_offset + g.n
        from per_community g where s.id = g.stream_id
        returning s.id, s.channel, s.top_offset - g.n as base
    ),
    events as (
        insert into stream_event (stream_id, off, subject_id, payload, created_at)
        select f.stream_id, a.base + f.place, f.id, f.payload, stamp
        from accepted f join advanced a on a.id = f.stream_id
    ),
    threads as (
        insert into stream (channel) select 'thread:' || id from accepted
        returning id, channel
    ),
    posts as (
        insert into post (country_id, id, community_id, visa_type, author_id, stream_id, title,
                          body_markdown, body_html, language, tags, hot, created_at)
        select f.country, f.id, f.community, f.visa_type, f.author, t.id, f.title, f.markdown, f.html,
               f.language, array(select jsonb_array_elements_text(f.tags::jsonb)),
               hot_rank(0, 0, id_ms(f.id)), to_timestamp(id_ms(f.id) / 1000.0)
        from accepted f join threads t on t.channel = 'thread:' || f.id
    ),
    released as (
        delete from idempotency d using checked c
        where c.status <> 'created' and d.account_id = c.author and d.key = c.key
    ),
    job as ( -- the rows that pgqueuer's own enqueue would insert, in the causing transaction
        insert into pgqueuer (priority, entrypoint, payload, status)
        select 0, j.entrypoint, convert_to(a.payload::text, 'UTF8'), 'queued'
        from (select json_build_object('posts', json_agg(id)) as payload
              from accepted having count(*) > 0) a
        cross join (values ('notify'), ('index')) j (entrypoint)
        returning id, entrypoint, priority
    ),
    job_logged as (
        insert into pgqueuer_log (job_id, status, entrypoint, priority)
        select id, 'queued', entrypoint, priority from job
    )
    select c.ord::int, c.status, c.id, a.channel, a.base + f.place
      from checked c
      left join accepted f on f.ord = c.ord
      left join advanced a on a.id = f.stream_id
    union all
    select i.ord::int, case when d.key is null then 'gone' when d.request_hash = i.hash then 'replayed'
                           else 'conflict' end,
           d.resource_id, null, null
      from input i left join idempotency d on d.account_id = i.author and d.key = i.key
     where i.ord <> all (fresh);
end $$;

-- migrate:down
