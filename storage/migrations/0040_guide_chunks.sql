-- What a guide said is found by meaning no longer once it says something else or is withdrawn.
-- migrate:up

create trigger forget_chunks after delete on guide
    for each row execute function forget_chunks_of_source();
create trigger forget_changed_chunks after update of version, withdrawn_at on guide
    for each row when (
        old.version <> new.version or old.withdrawn_at is distinct from new.withdrawn_at)
    execute function forget_chunks_of_source();

-- migrate:down
