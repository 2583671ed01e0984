-- Where the promotion of a country stands, so that one that was interrupted goes on
-- (storage/partitions.py). A row is there while its two copies are being made.
-- migrate:up

create table partition_move (
    parent text not null,           -- post, comment, vote, revision
    country_id smallint not null,
    last_key text[],                -- of the last row that was copied; null: none yet
    copied bigint not null default 0,
    begun_at timestamptz not null default clock_timestamp(),
    primary key (parent, country_id)
);

-- migrate:down
