-- The planner takes no statistics from a partial index: it took a language half of all posts are in for
-- a rare one, and read and sorted that half for one page.
-- migrate:up

drop index post_language;
create index post_language on post (lower(split_part(language, '-', 1)), community_id, id desc);

-- Until it is analysed the new index is as bad as the old one; an empty table stays unknown, or the
-- planner would take it for empty while it fills.
do $$
begin
    if exists (select from post) then
        analyze post;
    end if;
end $$;

-- migrate:down
