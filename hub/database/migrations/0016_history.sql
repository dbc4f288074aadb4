-- What incidents and vehicles were at any moment, as this hub knew it at any other. Runs as hub_owner, in one transaction.

-- A version is a stretch of an object's life (`valid`) in which nothing of it changed, and the stretch of time in which
-- the hub believed that (`known`). Everything here follows from the journal and can be made from it again; a read of the
-- present looks at none of it.


-- ── Versions ───────────────────────────────────────────────────────────────────────────────────────────────────────

create table incident_versions (like incidents including comments);
alter table incident_versions
  add column number bigint generated always as identity primary key,
  add column valid tstzrange not null,
  add column known tstzrange not null,
  add constraint incident_versions_location_not_empty check (not st_isempty(location)),
  add constraint incident_versions_location_valid check (st_isvalid(location)),
  add constraint incident_versions_location_in_range check (
    st_x(location) >= -180 and st_x(location) <= 180 and st_y(location) >= -90 and st_y(location) <= 90
  ),
  add constraint incident_versions_stretches check (not isempty(valid) and not isempty(known));
call guard_table('incident_versions');
comment on table incident_versions is 'Incidents as they were, made from the journal.';
comment on column incident_versions.number is 'Tells versions apart.';
comment on column incident_versions.valid is 'From when to when it was so; without an end: still.';
comment on column incident_versions.known is 'From when to when the hub believed it; without an end: still.';
create index incident_versions_object on incident_versions (id, lower(valid) desc);
create index incident_versions_location on incident_versions using gist (location, valid);
create index incident_versions_valid on incident_versions using gist (valid);
create index incident_versions_ward_id on incident_versions (ward_id);
create index incident_versions_reported_by on incident_versions (reported_by);
create unique index incident_versions_present on incident_versions (id) where upper_inf(valid) and upper_inf(known);

create table vehicle_versions (like vehicles including comments);
alter table vehicle_versions
  add column number bigint generated always as identity primary key,
  add column valid tstzrange not null,
  add column known tstzrange not null,
  add constraint vehicle_versions_stretches check (not isempty(valid) and not isempty(known));
call guard_table('vehicle_versions');
comment on table vehicle_versions is 'Vehicles as they were, made from the journal.';
comment on column vehicle_versions.number is 'Tells versions apart.';
comment on column vehicle_versions.valid is 'From when to when it was so; without an end: still.';
comment on column vehicle_versions.known is 'From when to when the hub believed it; without an end: still.';
create index vehicle_versions_object on vehicle_versions (id, lower(valid) desc);
create index vehicle_versions_valid on vehicle_versions using gist (valid);
create unique index vehicle_versions_present on vehicle_versions (id) where upper_inf(valid) and upper_inf(known);


-- ── Made from the journal ──────────────────────────────────────────────────────────────────────────────────────────

create function left_out_of(of_table text, fields jsonb, step integer) returns jsonb
  language plpgsql
  stable
  set search_path = public, pg_temp
as $$
declare
  place geometry;
  held uuid;
begin
  if of_table <> 'incidents' then
    return jsonb_build_object('version', step);
  end if;
  place := (fields ->> 'location')::geometry;
  -- As place_incident() has it: the boundaries of the day it happened, of two wards on a border the lower code.
  select a.id into held
  from area_boundaries b
  join areas a on a.id = b.area_id and a.level = 'ward'
  where b.accepted and b.valid @> ((fields ->> 'occurred_at')::timestamptz at time zone 'Africa/Nairobi')::date
    and st_covers(b.boundary, place)
  order by a.code
  limit 1;
  return jsonb_build_object(
    'version', step,
    'ward_id', held,
    'beyond_border', held is null
      and not exists (select from waters where st_covers(boundary, place) and upper_inf(valid))
      and not exists (select from counties where st_covers(boundary, place))
  );
end
$$;
comment on function left_out_of(text, jsonb, integer) is
  'What a row has that the journal leaves out because it follows from the rest, after so many steps.';

create function fold_versions(of_table text, kept_in text, of_object uuid, as_known timestamptz) returns void
  language plpgsql
  volatile
  set search_path = public, pg_temp
as $$
declare
  listed text;
  one record;
  state jsonb := '{}';
  step integer := 0;
begin
  select string_agg(format('%I', attname), ', ' order by attnum) into listed
  from pg_attribute where attrelid = of_table::regclass and attnum > 0 and not attisdropped;
  for one in
    select j.after, j.effective_at as begins, j.arrived_at,
      lead(j.effective_at) over (order by j.effective_at, j.hlc, j.node collate "C") as ends
    from journal j
    where j.object_id = of_object and j.tbl = of_table and j.after is not null
      -- An erasure holds the whole object as it goes on; what was before it is blanked, or will be in a moment.
      and not exists (
        select from journal e
        where e.object_id = of_object and e.tbl = of_table and e.op = 'erase'
          and (e.effective_at, e.hlc, e.node collate "C") > (j.effective_at, j.hlc, j.node collate "C")
      )
    order by j.effective_at, j.hlc, j.node collate "C"
  loop
    state := state || one.after;
    step := step + 1;
    -- Two entries of one moment make one version.
    if one.ends is null or one.ends > one.begins then
      execute format(
        'insert into %I (%s, valid, known) select %2$s, tstzrange($2, $3), tstzrange($4, null)
         from jsonb_populate_record((select t from %3$I t where id = $5), $1)', kept_in, listed, of_table
      ) using state || left_out_of(of_table, state, step), one.begins, one.ends, coalesce(as_known, one.arrived_at), of_object;
    end if;
  end loop;
end
$$;
comment on function fold_versions(text, text, uuid, timestamptz) is
  'Writes an object''s versions as its entries have them, known from a moment on; without one: each from its entry''s arrival.';

create function keep_version() returns trigger
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
declare
  kept_in constant text := tg_argv[0];
  listed text;
begin
  if new.op = 'erase' then
    -- What is forgotten in the journal is forgotten here.
    execute format('delete from %I where id = $1', kept_in) using new.object_id;
    perform fold_versions(new.tbl, kept_in, new.object_id, null);
    return null;
  end if;
  if (new.op = 'insert' or new.effective_at = timestamptz 'epoch' + new.hlc * interval '1 microsecond') and not exists (
    select from journal j
    where j.object_id = new.object_id and j.tbl = new.tbl
      and (j.effective_at, j.hlc, j.node collate "C") > (new.effective_at, new.hlc, new.node collate "C")
  ) then
    -- The last word on the object: its row says what it is from now on.
    execute format(
      'update %I set valid = tstzrange(lower(valid), $2) where id = $1 and upper_inf(valid) and upper_inf(known)', kept_in
    ) using new.object_id, new.effective_at;
    select string_agg(format('%I', attname), ', ' order by attnum) into listed
    from pg_attribute where attrelid = new.tbl::regclass and attnum > 0 and not attisdropped;
    execute format(
      'insert into %I (%s, valid, known) select %2$s, tstzrange($2, null), tstzrange($3, null) from %3$I where id = $1',
      kept_in, listed, new.tbl
    ) using new.object_id, new.effective_at, new.arrived_at;
    return null;
  end if;
  -- It comes late, or states a time: what was believed until now is kept as that, and what is believed now written anew.
  execute format('delete from %I where id = $1 and upper_inf(known) and lower(known) >= $2', kept_in)
    using new.object_id, new.arrived_at;
  execute format('update %I set known = tstzrange(lower(known), $2) where id = $1 and upper_inf(known)', kept_in)
    using new.object_id, new.arrived_at;
  perform fold_versions(new.tbl, kept_in, new.object_id, new.arrived_at);
  return null;
end
$$;
comment on function keep_version() is 'Keeps the versions of an object in step with its entries in the journal.';

-- After "arrived", which puts another hub's entry into the row: triggers run by name.
create trigger keep_incident after insert on journal
  for each row when (new.tbl = 'incidents') execute function keep_version('incident_versions');
alter table journal enable always trigger keep_incident;
create trigger keep_vehicle after insert on journal
  for each row when (new.tbl = 'vehicles') execute function keep_version('vehicle_versions');
alter table journal enable always trigger keep_vehicle;

create function move_versions() returns trigger
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
begin
  update incident_versions v set ward_id = new.ward_id, beyond_border = new.beyond_border
  where v.id = new.id and v.occurred_at = new.occurred_at and st_equals(v.location, new.location)
    and (v.ward_id, v.beyond_border) is distinct from (new.ward_id, new.beyond_border);
  return null;
end
$$;
comment on function move_versions() is
  'Boundaries that are drawn anew give an incident another ward without a change of its own: its versions follow.';
create trigger versions_follow after update on incidents
  for each row when ((new.ward_id, new.beyond_border) is distinct from (old.ward_id, old.beyond_border))
  execute function move_versions();
alter table incidents enable always trigger versions_follow;

-- What the journal held before there were versions.
select count(fold_versions('incidents', 'incident_versions', o.id, null))
from (select distinct object_id as id from journal where tbl = 'incidents') o;
select count(fold_versions('vehicles', 'vehicle_versions', o.id, null))
from (select distinct object_id as id from journal where tbl = 'vehicles') o;


-- ── Where vehicles were ────────────────────────────────────────────────────────────────────────────────────────────

create function latest_positions_on(as_of timestamptz, as_known timestamptz)
  returns table (
    vehicle_id uuid,
    device_id uuid,
    recorded_at timestamptz,
    received_at timestamptz,
    location geometry(point, 4326),
    ward_id uuid,
    speed_kmh real,
    heading real,
    altitude_meters real,
    accuracy_meters real,
    battery real
  )
  language sql
  stable
  parallel safe
begin atomic
  select
    v.id, p.device_id, p.recorded_at, p.received_at, p.location, p.ward_id, p.speed_kmh, p.heading, p.altitude_meters,
    p.accuracy_meters, p.battery
  from vehicles v
  cross join lateral (
    select * from positions p
    where p.vehicle_id = v.id and p.recorded_at <= as_of and p.recorded_at > as_of - interval '7 days'
      and p.received_at <= as_known and p.doubts = '{}'
    order by p.recorded_at desc, p.device_id
    limit 1
  ) p;
end;
comment on function latest_positions_on(timestamptz, timestamptz) is
  'Where each vehicle was last at a moment, in the seven days before it, as far as the hub had been told by another.';

grant execute on function latest_positions_on(timestamptz, timestamptz), areas_on(date)
  to hub_public, hub_own, hub_area, hub_county;
