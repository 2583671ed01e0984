-- Which database wrote the epoch: a restore and the promotion of a replica begin a timeline of their own,
-- and a cluster that a dump was loaded into has another identifier (storage/incarnation.py).
-- migrate:up

alter table incarnation
    add column system_identifier bigint not null default 0,
    add column timeline int not null default 0;
update incarnation set
    system_identifier = (select system_identifier from pg_control_system()),
    timeline = ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int;

-- migrate:down
