-- Several versions of a unit's outline beside each other: one is followed on any day. Runs as hub_owner, in one transaction.

alter table area_boundaries add column accepted boolean not null default true;
comment on column area_boundaries.accepted is 'False: a source draws it so, the county does not follow it (yet, or any more).';
alter table area_boundaries drop constraint area_boundaries_one_at_a_time;
alter table area_boundaries add constraint area_boundaries_one_at_a_time
  exclude using gist (area_id with =, valid with &&) where (accepted);

create or replace function refuse_overwriting() returns trigger
  language plpgsql
  volatile
  set search_path = public, pg_temp
as $$
declare
  rest record;
begin
  if tg_op = 'UPDATE' then
    rest := new;
    -- One inside the other: a table whose rows are final need not have the column that the inner one asks for.
    if tg_argv[0] = 'closable' then
      if upper_inf(old.valid) and not upper_inf(new.valid) and lower(new.valid) = lower(old.valid) then
        rest.valid := old.valid;
      end if;
    end if;
    if tg_argv[0] = 'choosable' then
      if upper_inf(old.valid) and not upper_inf(new.valid) and lower(new.valid) = lower(old.valid) then
        rest.valid := old.valid;
      end if;
      rest.accepted := old.accepted;
    end if;
    if rest is not distinct from old then
      return null;
    end if;
  end if;
  if tg_argv[0] in ('closable', 'choosable') then
    raise exception using
      errcode = 'restrict_violation',
      message = format('facts are added to %s, never overwritten or removed', tg_table_name),
      hint = 'Close the fact that no longer holds (give "valid" its end) and add the next one.',
      table = tg_table_name;
  end if;
  raise exception using
    errcode = 'restrict_violation',
    message = format('rows are added to %s, never overwritten or removed', tg_table_name),
    hint = 'Add a row of a later date or another source beside it.',
    table = tg_table_name;
end
$$;
comment on function refuse_overwriting() is
  'Keeps a table append-only. Argument "closable": an open "valid" may be given its end, once; "choosable": and a fact may be '
  'followed, or no longer.';
call keep_facts('area_boundaries', 'choosable');

create or replace function areas_on(on_day date)
  returns table (
    id uuid,
    level text,
    code text,
    parent_id uuid,
    name text,
    aliases text[],
    population integer,
    population_year integer,
    area_km2 double precision,
    boundary geometry(multipolygon, 4326),
    generalised_meters integer,
    label_point geometry(point, 4326)
  )
  language sql
  stable
  parallel safe
begin atomic
  select
    a.id,
    a.level,
    a.code,
    m.parent_id,
    n.name,
    array(
      select other.name from area_names other
      where other.area_id = a.id and other.kind = 'alias' and other.valid @> on_day
      order by other.name collate "C"
    ),
    people.value::integer,
    extract(year from people.as_of)::integer,
    land.value::double precision,
    b.boundary,
    b.generalised_meters,
    b.label_point
  from areas a
  join area_names n on n.area_id = a.id and n.kind = 'official' and n.valid @> on_day
  left join area_memberships m on m.area_id = a.id and m.accepted and m.valid @> on_day
  left join area_boundaries b on b.area_id = a.id and b.accepted and b.valid @> on_day
  -- The latest figure that speaks of the day or earlier; of two sources, the one published later.
  left join lateral (
    select f.value, f.as_of from area_figures f join sources s on s.id = f.source_id
    where f.area_id = a.id and f.figure = 'population' and f.as_of <= on_day
    order by f.as_of desc, s.published desc nulls last, f.id desc
    limit 1
  ) people on true
  left join lateral (
    select f.value from area_figures f join sources s on s.id = f.source_id
    where f.area_id = a.id and f.figure = 'land_area_km2' and f.as_of <= on_day
    order by f.as_of desc, s.published desc nulls last, f.id desc
    limit 1
  ) land on true;
end;
comment on function areas_on(date) is 'The units as the facts have them on a day: every unit that has an official name then.';

create or replace function place_incident() returns trigger
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
declare
  held uuid;
begin
  if tg_op = 'UPDATE' and st_equals(new.location, old.location) and new.occurred_at = old.occurred_at then
    return new;
  end if;
  -- The boundaries of the day it happened; of two wards on a border the lower code.
  select w.id into held
  from area_boundaries b
  join areas a on a.id = b.area_id and a.level = 'ward'
  join wards w on w.id = a.id
  where b.accepted and b.valid @> (new.occurred_at at time zone 'Africa/Nairobi')::date and st_covers(b.boundary, new.location)
  order by a.code
  limit 1;
  new.ward_id := held;
  new.beyond_border := held is null
    and not exists (select from waters where st_covers(boundary, new.location) and upper_inf(valid))
    and not exists (select from counties where st_covers(boundary, new.location));
  if new.beyond_border and not exists (
    select from (select boundary from counties union all select boundary from waters where upper_inf(valid)) near
    where near.boundary && st_expand(new.location, 2100 / 110000.0)
      and st_dwithin(near.boundary::geography, new.location::geography, 2000)
  ) then
    raise exception using
      errcode = 'check_violation',
      constraint = 'incidents_location_in_county',
      message = 'the location lies more than 2 km outside of the county';
  end if;
  return new;
end
$$;

create function follow_boundaries(named text, from_day date) returns integer
  language plpgsql
  volatile
  set search_path = public, pg_temp
as $$
declare
  drawn record;
  followed integer := 0;
begin
  lock table area_boundaries in share row exclusive mode;
  for drawn in
    select distinct on (b.area_id) b.*
    from area_boundaries b join sources s on s.id = b.source_id
    where s.slug = named
    order by b.area_id, lower(b.valid) desc, b.id desc
  loop
    update area_boundaries b set accepted = false
    where b.area_id = drawn.area_id and b.accepted and lower(b.valid) >= from_day;
    update area_boundaries b set valid = daterange(lower(b.valid), from_day)
    where b.area_id = drawn.area_id and b.accepted and upper_inf(b.valid);
    if lower(drawn.valid) = from_day and upper_inf(drawn.valid) then
      update area_boundaries b set accepted = true where b.id = drawn.id;
    else
      -- A fact has one beginning: what is followed again begins again.
      insert into area_boundaries (area_id, boundary, label_point, generalised_meters, valid, source_id, note)
      values (
        drawn.area_id, drawn.boundary, drawn.label_point, drawn.generalised_meters, daterange(from_day, null),
        drawn.source_id, drawn.note
      );
    end if;
    followed := followed + 1;
  end loop;
  return followed;
end
$$;
comment on function follow_boundaries(text, date) is
  'From a day on the outlines of a source are followed, for each unit that it draws. How many; what was followed stays on record.';
