-- Groups that members make: who may join, invitations, requests, archives, and a log of what their
-- moderators did. The write functions are those of 0003 with one condition more: an archived
-- community answers 'locked'.
-- migrate:up

-- `joining` of a private community: 'open' means 'invitation'. `created_by` null: not by a member.
alter table community
    add column joining text not null default 'open'
        check (joining in ('open', 'request', 'invitation')),
    add column archived_at timestamptz,
    add column created_by uuid;
create index community_created_by on community (created_by, created_at) where created_by is not null;

-- Pages of members, newest first; those in office and the banned are few among many.
create index membership_joined on membership (community_id, joined_at desc, account_id desc);
create index membership_special on membership (community_id, role, joined_at desc, account_id desc)
    where role <> 'member';
drop index membership_community;

-- Declined ones and refused requests stay: for a while neither may be repeated.
create table invitation (
    account_id uuid not null references account on delete cascade,
    community_id uuid not null references community on delete cascade,
    invited_by uuid not null,
    created_at timestamptz not null default clock_timestamp(),
    declined_at timestamptz,
    primary key (account_id, community_id)
);
create index invitation_community on invitation (community_id, created_at desc, account_id desc);
create index invitation_inviter on invitation (invited_by);

create table join_request (
    account_id uuid not null references account on delete cascade,
    community_id uuid not null references community on delete cascade,
    message text not null,
    created_at timestamptz not null default clock_timestamp(),
    refused_at timestamptz,
    primary key (account_id, community_id)
);
create index join_request_waiting on join_request (community_id, created_at desc, account_id desc)
    where refused_at is null;

-- What was done about a community, for its moderators. `actor_id` null: an operator.
create table community_log (
    id bigint generated always as identity primary key,
    community_id uuid not null references community on delete cascade,
    actor_id uuid,
    action text not null,
    subject_id uuid,
    detail jsonb not null default '{}',
    created_at timestamptz not null default clock_timestamp()
);
create index community_log_page on community_log (community_id, id desc);
create index community_log_actor on community_log (actor_id);
create index community_log_subject on community_log (subject_id);

-- A notification is about a post or about a community. One a post or comment and account, as before;
-- those about communities are one an account, community, kind and actor. The kinds are the program's: a check would
-- have to be replaced with each.
alter table notification
    add column community_id uuid,
    alter column post_id drop not null,
    drop constraint if exists notification_kind_check,
    drop constraint notification_account_id_post_id_comment_id_key;
create unique index notification_content on notification (account_id, post_id, comment_id)
    nulls not distinct where post_id is not null;
create unique index notification_community on notification (account_id, community_id, kind, actor_id)
    where community_id is not null;

-- Every gateway follows this stream: its events name communities that are no longer public.
insert into stream (id, channel) values (-1, 'serai-access:all');

-- `refusal` for what adds to a community: an archived one is read-only, whatever one's office.
create function refusal(
    account_status text, suspended_until timestamptz, account_role text,
    community_visibility text, membership_role text, community_archived boolean
) returns text
language sql stable as $$
    select coalesce(
        refusal(account_status, suspended_until, account_role, community_visibility, membership_role),
        case when community_archived then 'locked' end)
$$;

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
create or replace function cast_votes(
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
        cross join lateral (select refusal(a.status, a.suspended_until, a.role, y.visibility, m.role,
                                           y.archived_at is not null) as code) r
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
