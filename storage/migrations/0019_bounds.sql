-- What keeps reads bounded: a comment's replies by an index, and the invitations of a day, which are
-- counted in the log.
-- migrate:up

create index comment_parent on comment (parent_id) where parent_id is not null;
create index community_log_invited on community_log (community_id, created_at desc)
    where action = 'invited';

-- migrate:down
