-- One round trip for a batch of writes. Each function locks the streams first (by id), then looks at
-- idempotency keys in a later statement, whose snapshot sees what rivals have committed meanwhile; one
-- statement for both gave unique violations under races. Every item gets its own status. Plans are
-- generic, because a batch is planned longer than it runs; without hash joins, because before the first
-- ANALYZE those read whole tables. Merge joins stay: nested loops over the batch's own rows grow with
-- its square.
-- migrate:up

-- Who sees a community and what is in it: the one rule, for pages, notices and writes alike. Its twin
-- for values that are in Python already is Relation.visible in storage/communities.py. Null: no role.
create function may_read(account_role text, community_visibility text, membership_role text)
returns boolean
language sql immutable parallel safe as $$
    select coalesce(community_visibility = 'public' or account_role = 'admin'
                    or membership_role <> 'banned', false)
$$;

-- What an account may do in a community: null = everything a member may, else the code of the refusal.
create function refusal(
    account_status text, suspended_until timestamptz, account_role text,
    community_visibility text, membership_role text
) returns text
language sql stable as $$
    select case
        when account_status is null or account_status = 'deleted' then 'unauthenticated'
        when account_status = 'suspended' and coalesce(suspended_until > now(), true) then 'suspended'
        when account_role = 'admin' then null
        when membership_role = 'banned' then 'not_permitted'
        when not may_read(account_role, community_visibility, membership_role) then 'not_found'
    end
$$;

-- Takes the keys of a batch, in one order for all: the places (from 1) of what is to be written, which
-- is what has no key or had the key free. A rival's key is waited for until it commits or gives up.
create function take_keys(p_author uuid[], p_key text[], p_hash bytea[], p_id uuid[]) returns int[]
language plpgsql as $$
declare
    fresh int[];
begin
    with taken as (
        insert into idempotency (account_id, key, request_hash, status, resource_id)
        select author, key, hash, 201, id
          from unnest(p_author, p_key, p_hash, p_id) i (author, key, hash, id)
         where key is not null order by author, key
        on conflict do nothing
        returning account_id, key
    )
    select coalesce(array_agg(i.ord), '{}') into fresh
      from unnest(p_author, p_key) with ordinality i (author, key, ord)
      left join taken t on t.account_id = i.author and t.key = i.key
     where i.key is null or t.key is not null;
    return fresh;
end $$;

create function write_comments(
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
        cross join lateral (select refusal(a.status, a.suspended_until, a.role, c.visibility, m.role)
                            as code) r
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
        select 0, 'notify', convert_to(json_build_object('comments', json_agg(
                   json_build_object('id', id, 'reply_to', parent)))::text, 'UTF8'), 'queued'
        from accepted having count(*) > 0
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

create function write_posts(
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
        cross join lateral (select refusal(a.status, a.suspended_until, a.role, c.visibility, m.role)
                            as code) r
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
        select 0, 'notify', convert_to(json_build_object('posts', json_agg(id))::text, 'UTF8'), 'queued'
        from accepted having count(*) > 0
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

-- Votes of a batch; the caller has kept one vote per (account, target). Counters move by the difference
-- to the vote before, so that imported counts stay and a repeated vote changes nothing.
create function cast_votes(
    p_account uuid[], p_country smallint[], p_target uuid[], p_is_post boolean[], p_value int[]
) returns table (o_ord int, o_status text, o_up int, o_down int, o_post uuid, o_community uuid)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_hashjoin = off
as $$
begin
    perform 1 from post p
      where (p.country_id, p.id) in (
          select country, target from unnest(p_country, p_target, p_is_post) i (country, target, is_post)
          where is_post)
      order by p.id for no key update;
    perform 1 from comment c
      where (c.country_id, c.id) in (
          select country, target from unnest(p_country, p_target, p_is_post) i (country, target, is_post)
          where not is_post)
      order by c.id for no key update;

    return query
    with input as materialized (
        select * from unnest(p_account, p_country, p_target, p_is_post, p_value)
            with ordinality i (account, country, target, is_post, value, ord)
    ),
    checked as materialized (
        select i.*, p.id as post_id, p.community_id, coalesce(v.value, 0) as before,
            case
                when p.id is null or p.deleted_at is not null then 'not_found'
                when not i.is_post and (c.id is null or c.deleted_at is not null) then 'not_found'
                else coalesce(r.code, 'ok')
            end as status
        from input i
        left join comment c on not i.is_post and c.country_id = i.country and c.id = i.target
        left join post p on p.country_id = i.country
             and p.id = case when i.is_post then i.target else c.post_id end
        left join community y on y.id = p.community_id
        left join account a on a.id = i.account
        left join membership m on m.account_id = i.account and m.community_id = p.community_id
        left join vote v on v.country_id = i.country and v.target_id = i.target
             and v.account_id = i.account
        cross join lateral (select refusal(a.status, a.suspended_until, a.role, y.visibility, m.role)
                            as code) r
    ),
    changed as materialized (
        select * from checked where status = 'ok' and value <> before
    ),
    removed as (
        delete from vote v using changed x
        where x.value = 0 and v.country_id = x.country and v.target_id = x.target
          and v.account_id = x.account
    ),
    stored as (
        insert into vote (country_id, target_id, account_id, value)
        select country, target, account, value from changed where value <> 0
        order by target, account
        on conflict (country_id, target_id, account_id) do update set value = excluded.value
    ),
    sums as materialized (
        select is_post, country, target,
               (sum((value = 1)::int) - sum((before = 1)::int))::int as up,
               (sum((value = -1)::int) - sum((before = -1)::int))::int as down
        from changed group by 1, 2, 3
    ),
    posts as (
        update post p set up = p.up + s.up, down = p.down + s.down,
               hot = hot_rank(p.up + s.up, p.down + s.down, id_ms(p.id))
        from sums s where s.is_post and p.country_id = s.country and p.id = s.target
        returning p.id, p.up, p.down
    ),
    comments as (
        update comment c set up = c.up + s.up, down = c.down + s.down
        from sums s where not s.is_post and c.country_id = s.country and c.id = s.target
        returning c.id, c.up, c.down
    )
    select c.ord::int, case when c.status = 'ok' and c.value = c.before then 'unchanged'
                            else c.status end,
           coalesce(n.up, p.up, q.up), coalesce(n.down, p.down, q.down), c.post_id, c.community_id
      from checked c
      left join (select * from posts union all select * from comments) n on n.id = c.target
      left join post p on c.is_post and p.country_id = c.country and p.id = c.target
      left join comment q on not c.is_post and q.country_id = c.country and q.id = c.target;
end $$;

-- migrate:down
