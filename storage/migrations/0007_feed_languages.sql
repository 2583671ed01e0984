-- The filter of feeds by language.
-- migrate:up

-- Serves every order where a language is rare: its few posts are found here and sorted. A frequent
-- one is found by walking the order's own index.
create index post_language on post (lower(split_part(language, '-', 1)), community_id, id desc)
    where deleted_at is null;

-- migrate:down
