-- The ward of a fix, told by who brings it: see hub/docs/performance.md. Runs as hub_owner, in one transaction.


-- ── Outlines ───────────────────────────────────────────────────────────────────────────────────────────────────────

drop function take_fixes(
  uuid[], double precision[], double precision[], double precision[], real[], real[], real[], real[], real[], text[],
  jsonb[]
);
drop function placed_fixes(
  uuid[], double precision[], double precision[], double precision[], real[], real[], real[], real[], real[], text[],
  jsonb[], bigint, timestamptz
);

-- A worker holds finer squares (geo/squares.py) than a table could that is joined with each batch.
drop trigger cells_added on wards;
drop trigger cells_changed on wards;
drop trigger cells_removed on wards;
drop function follow_wards();
drop function make_ward_cells();
drop function ward_cell(double precision, double precision);
drop table ward_cells;

create index stamps_of_wards on stamps (times) where tbl = 'wards';

create function wards_stamp() returns bigint
  language sql
  stable
  security definer
  set search_path = public, pg_temp
  return (select sum(times) from stamps where tbl = 'wards');
comment on function wards_stamp() is 'How often wards were written to: where it is equal, their outlines are.';
grant execute on function wards_stamp() to hub_service;

create function ward_outlines() returns table (stamp bigint, ward_ids uuid[], outlines bytea[])
  language sql
  stable
  security definer
  set search_path = public, pg_temp
begin atomic
  select wards_stamp(), array_agg(id order by code), array_agg(st_asbinary(boundary) order by code) from wards;
end;
comment on function ward_outlines() is
  'All wards in the order of their codes, as WKB in EPSG:4326, with the stamp of what was read.';
grant execute on function ward_outlines() to hub_service;


-- ── Taking fixes ───────────────────────────────────────────────────────────────────────────────────────────────────

create function placed_fixes(
  devices_ uuid[], seconds_ double precision[], longitudes double precision[], latitudes double precision[],
  speeds real[], headings real[], altitudes real[], accuracies real[], batteries real[], doubts_ text[], extras jsonb[],
  wards_ uuid[], in_wards bytea, of_batch bigint, taken_at timestamptz
) returns table (
  id uuid, device_id uuid, recorded_at timestamptz, vehicle_id uuid, batch bigint, received_at timestamptz,
  location geometry(point, 4326), ward_id uuid, speed_kmh real, heading real, altitude_meters real, accuracy_meters real,
  battery real, doubts text[], extra jsonb
)
  language sql
  stable
begin atomic
  select
    -- The end of the device's id, which is chance, and the microsecond: no two fixes have both.
    encode(substr(uuid_send(o.device_id), 9) || timestamptz_send(o.recorded_at), 'hex')::uuid,
    o.device_id, o.recorded_at, o.vehicle_id, of_batch, taken_at, o.place,
    case
      when o.ward < 255 then wards_[o.ward]
      else (select w.id from wards w where st_covers(w.boundary, o.place) order by w.code limit 1)
    end,
    o.speed, o.heading, o.altitude, o.accuracy, o.charge,
    coalesce(string_to_array(nullif(o.doubts, ''), ','), '{}'), o.extra
  from (
    select distinct on (d.id, g.seconds)
      g.*, d.id as device_id, to_timestamp(g.seconds) as recorded_at, d.vehicle_id,
      case when g.number <= length(in_wards) then get_byte(in_wards, (g.number - 1)::integer) end as ward,
      st_setsrid(st_makepoint(g.longitude, g.latitude), 4326)::geometry(point, 4326) as place
    from unnest(
      devices_, seconds_, longitudes, latitudes, speeds, headings, altitudes, accuracies, batteries, doubts_, extras
    ) with ordinality g (
      device, seconds, longitude, latitude, speed, heading, altitude, accuracy, charge, doubts, extra, number
    )
    join devices d on d.id = coalesce(g.device, devices_[1])
    -- Rows are written in one order by everybody: two batches with the same fixes must not wait for each other.
    order by d.id, g.seconds, g.number
  ) o;
end;
comment on function placed_fixes(
  uuid[], double precision[], double precision[], double precision[], real[], real[], real[], real[], real[], text[],
  jsonb[], uuid[], bytea, bigint, timestamptz
) is 'Fixes as rows of positions, each device and moment once. Without settings of its own, so that it becomes part of the query.';

create function take_fixes(
  devices_ uuid[], seconds_ double precision[], longitudes double precision[], latitudes double precision[],
  speeds real[], headings real[], altitudes real[], accuracies real[], batteries real[], doubts_ text[], extras jsonb[],
  wards_ uuid[] default '{}', in_wards bytea default '', as_of bigint default null
) returns integer[]
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
  -- To plan what stores a single fix takes longer than to store it; to store thousands by a plan for few, a tenth longer.
  set plan_cache_mode = force_generic_plan
as $$
declare
  now_ timestamptz := clock_timestamp();
  -- Connections write far apart in the index of batches, where they would wait for each other with every row.
  this_batch bigint := nextval('position_batch') + (pg_backend_pid() % 16)::bigint * (2 ^ 48)::bigint;
  first timestamptz;
  last timestamptz;
  week timestamptz;
  brought integer;
  known integer[] := '{}';
  place bigint;
begin
  if cardinality(seconds_) >= 1000 then
    set local plan_cache_mode = force_custom_plan;
  end if;
  -- Whoever told the wards looked at outlines that are no longer so.
  if as_of is distinct from wards_stamp() then
    in_wards := '';
  end if;

  select to_timestamp(min(s)), to_timestamp(max(s)) into first, last from unnest(seconds_) s;
  if position_week(first) = position_week(last) then
    perform make_position_weeks(first, first);
  else
    for week in
      select distinct date_trunc('week', to_timestamp(s) at time zone 'UTC') at time zone 'UTC'
      from unnest(seconds_) s
      order by 1
    loop
      perform make_position_weeks(week, week);
    end loop;
  end if;

  -- Nearly always all of them are new. To be ready for one that is not costs every row a sixth of its time.
  begin
    insert into positions (
      id, device_id, recorded_at, vehicle_id, batch, received_at, location, ward_id, speed_kmh, heading,
      altitude_meters, accuracy_meters, battery, doubts, extra
    )
    select * from placed_fixes(
      devices_, seconds_, longitudes, latitudes, speeds, headings, altitudes, accuracies, batteries, doubts_, extras,
      wards_, in_wards, this_batch, now_
    );
    get diagnostics brought = row_count;
  exception when unique_violation then
    insert into positions (
      id, device_id, recorded_at, vehicle_id, batch, received_at, location, ward_id, speed_kmh, heading,
      altitude_meters, accuracy_meters, battery, doubts, extra
    )
    select * from placed_fixes(
      devices_, seconds_, longitudes, latitudes, speeds, headings, altitudes, accuracies, batteries, doubts_, extras,
      wards_, in_wards, this_batch, now_
    )
    on conflict do nothing;
    get diagnostics brought = row_count;
  end;

  if brought < cardinality(seconds_) then
    select array_agg(g.number) into known
    from (
      select d.id, d.vehicle_id, t.*, row_number() over (partition by d.id, t.seconds order by t.number) as turn
      from unnest(devices_, seconds_) with ordinality t (device, seconds, number)
      join devices d on d.id = coalesce(t.device, devices_[1])
    ) g
    left join positions p
      on p.vehicle_id = g.vehicle_id and p.recorded_at = to_timestamp(g.seconds) and p.device_id = g.id
      and p.batch = this_batch
    where g.turn > 1 or p.device_id is null;
  end if;

  if brought > 0 then
    insert into latest_positions as l (
      vehicle_id, device_id, recorded_at, received_at, location, ward_id, speed_kmh, heading, altitude_meters,
      accuracy_meters, battery
    )
    select distinct on (p.vehicle_id)
      p.vehicle_id, p.device_id, p.recorded_at, p.received_at, p.location, p.ward_id, p.speed_kmh, p.heading,
      p.altitude_meters, p.accuracy_meters, p.battery
    from (
      select coalesce(t.device, devices_[1]) as device_id, to_timestamp(max(t.seconds)) as recorded_at
      from unnest(devices_, seconds_, doubts_) with ordinality t (device, seconds, doubts, number)
      where coalesce(t.doubts, '') in ('', 'no_clock') and t.number <> all (known)
      group by 1
    ) t
    join devices d on d.id = t.device_id
    join positions p on p.vehicle_id = d.vehicle_id and p.recorded_at = t.recorded_at and p.device_id = d.id
    order by p.vehicle_id, p.recorded_at desc, p.device_id
    on conflict (vehicle_id) do update set
      device_id = excluded.device_id, recorded_at = excluded.recorded_at, received_at = excluded.received_at,
      location = excluded.location, ward_id = excluded.ward_id, speed_kmh = excluded.speed_kmh,
      heading = excluded.heading, altitude_meters = excluded.altitude_meters,
      accuracy_meters = excluded.accuracy_meters, battery = excluded.battery
    where (excluded.recorded_at, l.device_id) > (l.recorded_at, excluded.device_id);
    -- Last of all: the row is held from here to the commit, so that cursors come in the order of commits.
    update position_streams set cursor = cursor + 1 returning cursor into place;
    insert into position_batches (cursor, batch, count) values (place, this_batch, brought);
    perform pg_notify('moved', place::text);
  end if;
  return known;
end
$$;
comment on function take_fixes(
  uuid[], double precision[], double precision[], double precision[], real[], real[], real[], real[], real[], text[],
  jsonb[], uuid[], bytea, bigint
) is
  'Stores fixes in one batch, each once, and moves vehicles forward in time; their times are seconds since 1970. Gives the '
  'numbers, from 1, of those that were known already. A column that nothing is said in may be empty, and one device stands '
  'for all of them. The ward of each may be told by a byte: its number, from 1, among some wards, 0 for none, 255 for one '
  'that has to be looked at; with the stamp of ward_outlines() that it is told by. Called alone in its transaction: what it '
  'holds at its end is held until the commit.';
grant execute on function take_fixes(
  uuid[], double precision[], double precision[], double precision[], real[], real[], real[], real[], real[], text[],
  jsonb[], uuid[], bytea, bigint
) to hub_service;
