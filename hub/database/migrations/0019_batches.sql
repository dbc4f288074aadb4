-- Fixes in batches, with less work for each: see hub/docs/performance.md. Runs as hub_owner, in one transaction.


-- ── The ward of a place ────────────────────────────────────────────────────────────────────────────────────────────

-- No foreign key: they are made anew with every change of the wards.
create table ward_cells (
  cell integer primary key,
  ward_id uuid
);
call guard_table('ward_cells');
comment on table ward_cells is
  'Squares of a hundredth of a degree that lie within one ward, or that no ward touches: whatever is in one is in its ward.';
comment on column ward_cells.cell is 'The square: see ward_cell().';
comment on column ward_cells.ward_id is 'The ward that holds all of it; null where no ward touches it.';

create function ward_cell(longitude double precision, latitude double precision) returns integer
  language sql
  immutable
  parallel safe
  return (floor(longitude * 100) * 100000 + floor(latitude * 100))::integer;
comment on function ward_cell(double precision, double precision) is 'The square of ward_cells that a place lies in.';

create function make_ward_cells() returns void
  language sql
  volatile
  set search_path = public, pg_temp
begin atomic
  delete from ward_cells;
  insert into ward_cells (cell, ward_id)
  with squares as (
    select
      x * 100000 + y as cell,
      -- A place beside an edge may be rounded across it: the square is a tenth of a millimetre larger on each side.
      st_expand(st_makeenvelope(x / 100.0, y / 100.0, (x + 1) / 100.0, (y + 1) / 100.0, 4326), 1e-9) as square
    from (select st_extent(boundary) as box from wards) whole
    cross join generate_series(floor(st_xmin(box) * 100)::integer, floor(st_xmax(box) * 100)::integer) x
    cross join generate_series(floor(st_ymin(box) * 100)::integer, floor(st_ymax(box) * 100)::integer) y
  )
  select s.cell, (array_agg(w.id))[1]
  from squares s
  left join wards w on st_intersects(w.boundary, s.square)
  group by s.cell
  having count(w.id) = 0 or (count(w.id) = 1 and bool_and(st_containsproperly(w.boundary, s.square)));
end;
comment on function make_ward_cells() is 'Makes ward_cells anew from the wards.';

create function follow_wards() returns trigger
  language plpgsql
  volatile
  set search_path = public, pg_temp
as $$
begin
  if exists (select from changed) then
    perform make_ward_cells();
  end if;
  return null;
end
$$;
comment on function follow_wards() is 'Keeps ward_cells as the wards are.';
create trigger cells_added after insert on wards
  referencing new table as changed for each statement execute function follow_wards();
create trigger cells_changed after update on wards
  referencing new table as changed for each statement execute function follow_wards();
create trigger cells_removed after delete on wards
  referencing old table as changed for each statement execute function follow_wards();
select make_ward_cells();


-- ── Taking fixes ───────────────────────────────────────────────────────────────────────────────────────────────────

drop function take_fixes(
  uuid[], timestamptz[], double precision[], double precision[], real[], real[], real[], real[], real[], text[], jsonb[]
);

create function placed_fixes(
  devices_ uuid[], times timestamptz[], longitudes double precision[], latitudes double precision[], speeds real[],
  headings real[], altitudes real[], accuracies real[], batteries real[], doubts_ text[], extras jsonb[],
  of_batch bigint, taken_at timestamptz
) returns table (
  id uuid, device_id uuid, recorded_at timestamptz, vehicle_id uuid, batch bigint, received_at timestamptz,
  location geometry(point, 4326), ward_id uuid, speed_kmh real, heading real, altitude_meters real, accuracy_meters real,
  battery real, doubts text[], extra jsonb
)
  language sql
  stable
begin atomic
  select
    md5(o.device_id::text || extract(epoch from o.recorded_at)::text)::uuid, o.device_id, o.recorded_at, o.vehicle_id,
    of_batch, taken_at, o.place,
    case
      when c.cell is not null then c.ward_id
      else (select w.id from wards w where st_covers(w.boundary, o.place) order by w.code limit 1)
    end,
    o.speed, o.heading, o.altitude, o.accuracy, o.charge,
    coalesce(string_to_array(nullif(o.doubts, ''), ','), '{}'), o.extra
  from (
    select distinct on (g.device_id, g.recorded_at)
      g.*, d.vehicle_id, st_setsrid(st_makepoint(g.longitude, g.latitude), 4326)::geometry(point, 4326) as place
    from unnest(
      devices_, times, longitudes, latitudes, speeds, headings, altitudes, accuracies, batteries, doubts_, extras
    ) with ordinality g (
      device_id, recorded_at, longitude, latitude, speed, heading, altitude, accuracy, charge, doubts, extra, number
    )
    join devices d on d.id = g.device_id
    -- Rows are written in one order by everybody: two batches with the same fixes must not wait for each other.
    order by g.device_id, g.recorded_at, g.number
  ) o
  left join ward_cells c on c.cell = ward_cell(o.longitude, o.latitude);
end;
comment on function placed_fixes(
  uuid[], timestamptz[], double precision[], double precision[], real[], real[], real[], real[], real[], text[], jsonb[],
  bigint, timestamptz
) is 'Fixes as rows of positions, each device and moment once. Without settings of its own, so that it becomes part of the query.';

create function take_fixes(
  devices_ uuid[], times timestamptz[], longitudes double precision[], latitudes double precision[], speeds real[],
  headings real[], altitudes real[], accuracies real[], batteries real[], doubts_ text[], extras jsonb[]
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
  this_batch bigint := nextval('position_batch');
  first timestamptz;
  last timestamptz;
  week timestamptz;
  brought integer;
  known integer[] := '{}';
  place bigint;
begin
  if cardinality(times) >= 1000 then
    set local plan_cache_mode = force_custom_plan;
  end if;

  select min(t), max(t) into first, last from unnest(times) t;
  if position_week(first) = position_week(last) then
    perform make_position_weeks(first, first);
  else
    for week in
      select distinct date_trunc('week', t at time zone 'UTC') at time zone 'UTC' from unnest(times) t order by 1
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
      devices_, times, longitudes, latitudes, speeds, headings, altitudes, accuracies, batteries, doubts_, extras,
      this_batch, now_
    );
    get diagnostics brought = row_count;
  exception when unique_violation then
    insert into positions (
      id, device_id, recorded_at, vehicle_id, batch, received_at, location, ward_id, speed_kmh, heading,
      altitude_meters, accuracy_meters, battery, doubts, extra
    )
    select * from placed_fixes(
      devices_, times, longitudes, latitudes, speeds, headings, altitudes, accuracies, batteries, doubts_, extras,
      this_batch, now_
    )
    on conflict do nothing;
    get diagnostics brought = row_count;
  end;

  if brought < cardinality(times) then
    select array_agg(g.number) into known
    from (
      select t.*, row_number() over (partition by t.device_id, t.recorded_at order by t.number) as turn
      from unnest(devices_, times) with ordinality t (device_id, recorded_at, number)
    ) g
    left join positions p on p.device_id = g.device_id and p.recorded_at = g.recorded_at and p.batch = this_batch
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
      select t.device_id, max(t.recorded_at) as recorded_at
      from unnest(devices_, times, doubts_) with ordinality t (device_id, recorded_at, doubts, number)
      where coalesce(t.doubts, '') in ('', 'no_clock') and t.number <> all (known)
      group by t.device_id
    ) t
    join positions p on p.device_id = t.device_id and p.recorded_at = t.recorded_at
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
  uuid[], timestamptz[], double precision[], double precision[], real[], real[], real[], real[], real[], text[], jsonb[]
) is
  'Stores fixes in one batch, each once, and moves vehicles forward in time. Gives the numbers, from 1, of those that were '
  'known already. A column that nothing is said in may be empty. Called alone in its transaction: what it holds at its end '
  'is held until the commit.';
grant execute on function take_fixes(
  uuid[], timestamptz[], double precision[], double precision[], real[], real[], real[], real[], real[], text[], jsonb[]
) to hub_service;
