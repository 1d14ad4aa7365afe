-- Ids and keys compare as bytes. By a locale's rules each comparison on the way down an index is a call into the C library, and
-- an upgrade of that library can change the order beneath an index. Columns that a policy reads change only without it.

do $$
declare
    policy record;
    keys record;
begin
    create temporary table kept on commit drop as select * from pg_policies where schemaname = current_schema();
    for policy in select * from kept loop
        execute format('drop policy %I on %I', policy.policyname, policy.tablename);
    end loop;

    for keys in
        select indexed.relname as "table", string_agg(distinct format('alter %I type text collate "C"', attname), ', ') as changes
        from pg_index
        join pg_class indexed on indexed.oid = indrelid and indexed.relnamespace = current_schema()::regnamespace
        join pg_attribute on attrelid = indrelid and attnum = any (indkey) and atttypid = 'text'::regtype
        group by indexed.relname
    loop
        execute format('alter table %I %s', keys."table", keys.changes);
    end loop;

    for policy in select * from kept loop
        execute format('create policy %I on %I using (%s) with check (%s)',
            policy.policyname, policy.tablename, policy.qual, policy.with_check);
    end loop;
end
$$;
