-- What map tiles are made from, and how it is told whether they still hold. Runs as hub_owner, in one transaction.


-- ── Open incidents by their place ──────────────────────────────────────────────────────────────────────────────────

-- Two in three lie closed. Without it PostgreSQL goes through all open ones of the county for each tile, to leave those out.
create index incidents_open_location on incidents using gist (location) where status not in ('closed', 'rejected');


-- ── Stamps: whether a table is still as it was, told exactly and cheaply ───────────────────────────────────────────

create table stamps (
  id bigint generated always as identity primary key,
  tbl text not null,
  times bigint not null default 1,
  constraint stamps_times check (times > 0)
);
call guard_table('stamps');
comment on table stamps is
  'How often each stamped table was written to: the sum of what a snapshot sees. A row a statement, so that no writer waits '
  'for another; the hub adds them up now and then, which leaves the sums as they were.';
comment on column stamps.id is 'Order of writing, which says nothing of the order of commits.';
comment on column stamps.tbl is 'The table that was written to.';
comment on column stamps.times is 'How many statements the row stands for.';
-- Rows come and go by the thousand, and the table is small: read often, it must not be long.
alter table stamps set (autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

create function stamp() returns trigger
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
begin
  insert into stamps (tbl) values (tg_table_name);
  return null;
end
$$;
comment on function stamp() is
  'Notes that a statement wrote to a table: seen by whoever sees what it wrote, and by nobody before.';

create procedure stamp_table(named regclass)
  language plpgsql
  set search_path = public, pg_temp
as $$
begin
  execute format(
    'create trigger stamped after insert or update or delete or truncate on %s for each statement execute function stamp()',
    named
  );
  -- Also what replication brings.
  execute format('alter table %s enable always trigger stamped', named);
end
$$;
comment on procedure stamp_table(regclass) is
  'Has every statement that writes to a table noted in stamps, whoever sends it: journalled or not.';

call stamp_table('wards');
call stamp_table('incidents');
call stamp_table('patrols');
