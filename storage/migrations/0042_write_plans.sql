-- The plans of the write functions are made once a connection and kept. Those made while a table was
-- small read it whole, and went on doing so while it grew, until it was analyzed: 8 ms a comment
-- after the first thousands.
-- migrate:up

do $$
declare
    written regprocedure;
begin
    for written in
        select oid::regprocedure from pg_proc
        where pronamespace = current_schema()::regnamespace
          and proname in ('write_comments', 'write_posts', 'cast_votes')
    loop
        execute format('alter function %s set enable_seqscan = off', written);
    end loop;
end
$$;
