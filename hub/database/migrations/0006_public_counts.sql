-- What the public may know of incidents: how many there were in a ward on a day, and never fewer than five.
-- Runs as hub_owner, in one transaction.

create table incident_tallies (
  -- By chance: an id with a time in it would tell everybody when the first of them was reported.
  id uuid primary key default gen_random_uuid(),
  ward_id uuid references wards (id) on delete restrict,
  day date not null,
  kind text not null,
  count integer not null,
  constraint incident_tallies_once unique nulls not distinct (ward_id, day, kind),
  constraint incident_tallies_count check (count >= 0)
);
call guard_table('incident_tallies');
comment on table incident_tallies is 'Every count, also the small ones that nobody is told. Kept by tally_incident() alone.';
comment on column incident_tallies.id is 'By chance.';
comment on column incident_tallies.ward_id is 'The ward; null: on the lake or beyond the border.';
comment on column incident_tallies.day is 'The day on which they happened, in Kenya.';
comment on column incident_tallies.kind is 'What kind of thing happened.';
comment on column incident_tallies.count is 'How many, but for the rejected ones.';

create table incident_counts (
  id uuid primary key,
  ward_id uuid references wards (id) on delete restrict,
  day date not null,
  kind text not null,
  count integer not null,
  constraint incident_counts_large check (count >= 5)
);
create index incident_counts_ward_id on incident_counts (ward_id);
create index incident_counts_day on incident_counts (day);
call guard_table('incident_counts');
comment on table incident_counts is
  'What everybody may read: counts of five and more. Smaller ones are absent, because they could tell of single people.';
comment on column incident_counts.id is 'The tally''s.';
comment on column incident_counts.ward_id is 'The ward; null: on the lake or beyond the border.';
comment on column incident_counts.day is 'The day on which they happened, in Kenya.';
comment on column incident_counts.kind is 'What kind of thing happened.';
comment on column incident_counts.count is 'How many, but for the rejected ones; five at least.';

create function tally_incident() returns trigger
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
declare
  part record;
  tally incident_tallies;
begin
  -- In one order for everybody: two changes that move incidents across each other must not wait for each other.
  for part in
    select c.ward_id, c.day, c.kind, sum(c.change)::integer as change
    from (
      select new.ward_id, (new.occurred_at at time zone 'Africa/Nairobi')::date as day, new.kind, 1 as change
      where new.status <> 'rejected'
      union all
      select old.ward_id, (old.occurred_at at time zone 'Africa/Nairobi')::date, old.kind, -1
      where tg_op = 'UPDATE' and old.status <> 'rejected'
    ) c
    group by c.ward_id, c.day, c.kind
    having sum(c.change) <> 0
    order by c.ward_id, c.day, c.kind
  loop
    insert into incident_tallies as t (ward_id, day, kind, count)
    values (part.ward_id, part.day, part.kind, greatest(part.change, 0))
    on conflict on constraint incident_tallies_once do update set count = t.count + part.change
    returning t.* into tally;
    if tally.count >= 5 then
      insert into incident_counts (id, ward_id, day, kind, count)
      values (tally.id, tally.ward_id, tally.day, tally.kind, tally.count)
      on conflict (id) do update set count = excluded.count;
    else
      delete from incident_counts where id = tally.id;
    end if;
  end loop;
  return null;
end
$$;
comment on function tally_incident() is 'Keeps the counts of incidents, and publishes those of five and more.';
create trigger tally after insert or update on incidents for each row execute function tally_incident();

insert into incident_tallies (ward_id, day, kind, count)
select ward_id, (occurred_at at time zone 'Africa/Nairobi')::date, kind, count(*)
from incidents where status <> 'rejected' group by 1, 2, 3;
insert into incident_counts select * from incident_tallies where count >= 5;
