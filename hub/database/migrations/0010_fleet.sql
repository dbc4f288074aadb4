-- The fleet: vehicles, the devices in them, and where they were. Runs as hub_owner, in one transaction.


-- ── Vehicles and devices ───────────────────────────────────────────────────────────────────────────────────────────

create table departments (
  id uuid primary key default public.uuidv7(),
  name text not null,
  constraint departments_name_said check (name = btrim(name) and length(name) between 2 and 120),
  constraint departments_name_key unique (name)
);
call guard_table('departments');
comment on table departments is 'Departments of the county that vehicles belong to.';
comment on column departments.id is 'UUIDv7.';
comment on column departments.name is 'As the county writes it.';

create table vehicles (
  id uuid primary key default public.uuidv7(),
  node text not null default 'county',
  version integer not null default 1,
  plate text not null unique,
  kind text not null,
  call_sign text,
  status text not null default 'available',
  department_id uuid references departments (id) on delete restrict,
  demonstration boolean not null default false,
  constraint vehicles_version check (version > 0),
  constraint vehicles_plate_form check (plate ~ '^[A-Z0-9][A-Z0-9 -]{1,14}[A-Z0-9]$'),
  constraint vehicles_call_sign_form check (call_sign = btrim(call_sign) and length(call_sign) between 2 and 40),
  constraint vehicles_kind check (kind in (
    'ambulance', 'fire_engine', 'rescue_boat', 'patrol_car', 'motorcycle', 'pickup', 'truck', 'tipper', 'bus', 'car',
    'water_bowser', 'excavator', 'other'
  )),
  -- ICS: a resource is available, assigned, or out of service.
  constraint vehicles_status check (status in ('available', 'assigned', 'out_of_service'))
);
create index vehicles_department_id on vehicles (department_id);
call guard_table('vehicles');
comment on table vehicles is 'Vehicles and boats of the county.';
comment on column vehicles.id is 'UUIDv7; never used again.';
comment on column vehicles.node is 'The hub that made it.';
comment on column vehicles.version is 'Grows by one with each change: a change of an older version is refused.';
comment on column vehicles.plate is 'Number plate in capitals, or a boat''s number.';
comment on column vehicles.kind is 'What it is.';
comment on column vehicles.call_sign is 'What it is called on the radio.';
comment on column vehicles.status is 'ICS resource status: available, assigned or out of service.';
comment on column vehicles.department_id is 'The department that it belongs to.';
comment on column vehicles.demonstration is 'True: it is none, and goes with the demonstration data.';
create trigger d_version before insert or update on vehicles for each row execute function count_version();
create trigger kept before delete on vehicles for each row execute function refuse_deletion();
create trigger kept_whole before truncate on vehicles for each statement execute function refuse_deletion();
call journal_table('vehicles', areas => null, audience => 'fleet', left_out => '{version}');
call journal_table('departments', areas => null, audience => 'fleet');

create table devices (
  id uuid primary key default public.uuidv7(),
  vehicle_id uuid not null references vehicles (id) on delete restrict,
  label text not null,
  created_at timestamptz not null default now(),
  revoked_at timestamptz,
  constraint devices_label_said check (label = btrim(label) and length(label) between 1 and 80),
  constraint devices_revoked_after check (revoked_at >= created_at)
);
create index devices_vehicle_id on devices (vehicle_id);
call guard_table('devices');
comment on table devices is 'Trackers and telephones that say where a vehicle is.';
comment on column devices.id is 'UUIDv7.';
comment on column devices.vehicle_id is 'The vehicle that it is in. Moved to another one it becomes another device.';
comment on column devices.label is 'What it is called: its make, its serial number.';
comment on column devices.created_at is 'When it was registered.';
comment on column devices.revoked_at is 'When its key ended; null while it may send.';

create function keep_device() returns trigger
  language plpgsql
  volatile
  set search_path = public, pg_temp
as $$
begin
  if (new.id, new.vehicle_id, new.created_at) is distinct from (old.id, old.vehicle_id, old.created_at)
    or (old.revoked_at is not null and new.revoked_at is distinct from old.revoked_at) then
    raise exception using
      errcode = 'restrict_violation', constraint = 'devices_final', message = 'a device stays in its vehicle, and revoked';
  end if;
  return new;
end
$$;
comment on function keep_device() is 'What a device sent is its vehicle''s for ever; its key never comes back.';
create trigger b_keep before update on devices for each row
  when (current_user <> 'hub_journal') execute function keep_device();
create trigger kept before delete on devices for each row execute function refuse_deletion();
create trigger kept_whole before truncate on devices for each statement execute function refuse_deletion();
call journal_table('devices', areas => null, audience => 'fleet', occurred => 'created_at');

create table device_keys (
  device_id uuid primary key references devices (id) on delete restrict,
  digest bytea not null unique,
  constraint device_keys_digest_whole check (octet_length(digest) = 32)
);
call guard_table('device_keys');
comment on table device_keys is 'Digests of the keys that devices show. The key itself was shown once, when it was made.';
comment on column device_keys.device_id is 'The device.';
comment on column device_keys.digest is 'SHA-256 of its key, which is 128 bits by chance.';

create function keep_device_key(of_device uuid, given bytea) returns void
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
begin
  -- Only of a device that this very transaction made: whoever could make it may give it a key, once.
  if not exists (
    select from devices d where d.id = of_device and d.xmin::text::bigint = pg_current_xact_id()::text::bigint % (1::bigint << 32)
  ) then
    raise exception using errcode = 'insufficient_privilege', message = 'a key is given with its device, and never again';
  end if;
  insert into device_keys (device_id, digest) values (of_device, given);
end
$$;
comment on function keep_device_key(uuid, bytea) is 'Keeps the digest of a new device''s key.';
grant execute on function keep_device_key(uuid, bytea) to hub_county;


-- ── Positions ──────────────────────────────────────────────────────────────────────────────────────────────────────

-- No foreign keys: each would be paid for with every fix, and neither vehicles nor devices nor wards are ever removed.
create table positions (
  id uuid not null,
  device_id uuid not null,
  recorded_at timestamptz not null,
  vehicle_id uuid not null,
  batch bigint not null,
  received_at timestamptz not null,
  location geometry(point, 4326) not null,
  ward_id uuid,
  speed_kmh real,
  heading real,
  altitude_meters real,
  accuracy_meters real,
  battery real,
  doubts text[] not null default '{}',
  extra jsonb,
  primary key (device_id, recorded_at),
  constraint positions_location_not_empty check (not st_isempty(location)),
  constraint positions_location_valid check (st_isvalid(location)),
  constraint positions_location_in_range check (
    st_x(location) >= 33 and st_x(location) <= 37 and st_y(location) >= -2 and st_y(location) <= 2
  ),
  constraint positions_speed check (speed_kmh >= 0),
  constraint positions_heading check (heading >= 0 and heading < 360),
  constraint positions_accuracy check (accuracy_meters >= 0),
  constraint positions_battery check (battery >= 0 and battery <= 1),
  constraint positions_doubts check (doubts <@ array['invalid', 'mock', 'inaccurate', 'too_fast', 'no_clock'])
) partition by range (recorded_at);
create index positions_vehicle on positions (vehicle_id, recorded_at);
create index positions_batch on positions (batch);
create index positions_location on positions using gist (location);
call guard_table('positions');
comment on table positions is 'Every fix that a device sent, once; in partitions by week. Kept out of the journal: it has cursors of its own.';
comment on column positions.id is 'Made from device and time: the same fix has the same id, whenever and how often it comes.';
comment on column positions.device_id is 'The device that sent it.';
comment on column positions.recorded_at is 'When the device measured it; without a clock of its own: when it came.';
comment on column positions.vehicle_id is 'The vehicle that the device is in.';
comment on column positions.batch is 'The batch that it was stored with: see position_batches.';
comment on column positions.received_at is 'When the hub took it.';
comment on column positions.location is 'Where, WGS 84 longitude and latitude.';
comment on column positions.ward_id is 'The ward that held it when it was stored; null on the lake and outside of the county.';
comment on column positions.speed_kmh is 'Speed over ground, km/h.';
comment on column positions.heading is 'Degrees clockwise from north.';
comment on column positions.altitude_meters is 'Metres above the sea, as the device says.';
comment on column positions.accuracy_meters is 'How far off it may be, as the device says.';
comment on column positions.battery is 'Charge of the device, 0 to 1.';
comment on column positions.doubts is 'Why it may be wrong: the device said so, made it up, is far off, or is impossibly fast; or has no clock.';
comment on column positions.extra is 'What else the device said.';

create table latest_positions (
  vehicle_id uuid primary key references vehicles (id) on delete restrict,
  device_id uuid not null references devices (id) on delete restrict,
  recorded_at timestamptz not null,
  received_at timestamptz not null,
  location geometry(point, 4326) not null,
  ward_id uuid references wards (id) on delete restrict,
  speed_kmh real,
  heading real,
  altitude_meters real,
  accuracy_meters real,
  battery real,
  constraint latest_positions_location_not_empty check (not st_isempty(location)),
  constraint latest_positions_location_valid check (st_isvalid(location)),
  constraint latest_positions_location_in_range check (
    st_x(location) >= 33 and st_x(location) <= 37 and st_y(location) >= -2 and st_y(location) <= 2
  )
);
create index latest_positions_location on latest_positions using gist (location);
create index latest_positions_device_id on latest_positions (device_id);
create index latest_positions_ward_id on latest_positions (ward_id);
call guard_table('latest_positions');
comment on table latest_positions is 'Where each vehicle was last, by the device''s clock: moves only forward in time, and by no doubtful fix.';
comment on column latest_positions.vehicle_id is 'The vehicle.';
comment on column latest_positions.device_id is 'The device that sent it.';
comment on column latest_positions.recorded_at is 'When the device measured it.';
comment on column latest_positions.received_at is 'When the hub took it.';
comment on column latest_positions.location is 'Where, WGS 84 longitude and latitude.';
comment on column latest_positions.ward_id is 'The ward that held it then; null on the lake and outside of the county.';
comment on column latest_positions.speed_kmh is 'Speed over ground, km/h.';
comment on column latest_positions.heading is 'Degrees clockwise from north.';
comment on column latest_positions.altitude_meters is 'Metres above the sea, as the device says.';
comment on column latest_positions.accuracy_meters is 'How far off it may be, as the device says.';
comment on column latest_positions.battery is 'Charge of the device, 0 to 1.';

create table quarantined_fixes (
  id uuid primary key default public.uuidv7(),
  device_id uuid not null references devices (id) on delete restrict,
  received_at timestamptz not null default now(),
  reason text not null,
  said jsonb not null,
  constraint quarantined_fixes_reason check (reason in ('future', 'too_old', 'far_away')),
  constraint quarantined_fixes_once unique (device_id, said)
);
call guard_table('quarantined_fixes');
comment on table quarantined_fixes is 'Fixes that cannot be true but may mean something: kept as they came, never shown as a position.';
comment on column quarantined_fixes.id is 'UUIDv7.';
comment on column quarantined_fixes.device_id is 'The device that sent it.';
comment on column quarantined_fixes.received_at is 'When the hub took it first.';
comment on column quarantined_fixes.reason is 'future: over five minutes ahead; too_old: older than what is kept; far_away: outside of the region.';
comment on column quarantined_fixes.said is 'The fix as the hub read it.';

create table position_streams (
  single boolean primary key default true,
  epoch uuid not null default gen_random_uuid(),
  cursor bigint not null default 0,
  system_identifier bigint,
  timeline text,
  database oid,
  constraint position_streams_single check (single)
);
call guard_table('position_streams');
comment on table position_streams is 'How far the stream of positions goes: one row, held from the end of one batch to its commit.';
comment on column position_streams.single is 'There is one.';
comment on column position_streams.epoch is 'Changes when the database is a restored one: cursors of before mean nothing then.';
comment on column position_streams.cursor is 'The last batch.';
comment on column position_streams.system_identifier is 'Of the cluster that the epoch is about.';
comment on column position_streams.timeline is 'Of its write-ahead log.';
comment on column position_streams.database is 'Of the database.';
insert into position_streams default values;

create sequence position_batch as bigint;
create table position_batches (
  cursor bigint primary key,
  batch bigint not null unique,
  stored_at timestamptz not null default clock_timestamp(),
  count integer not null,
  constraint position_batches_count check (count > 0)
);
create index position_batches_stored_at on position_batches (stored_at);
call guard_table('position_batches');
comment on table position_batches is
  'What was stored together, with dense cursors: whoever has seen one has seen every batch before it.';
comment on column position_batches.cursor is 'Its place in the order of commits.';
comment on column position_batches.batch is 'Its number, given when it began.';
comment on column position_batches.stored_at is 'When it was stored.';
comment on column position_batches.count is 'How many positions it brought.';


-- ── Partitions ─────────────────────────────────────────────────────────────────────────────────────────────────────

create function position_week(at timestamptz) returns date
  language sql
  immutable
  parallel safe
  return date_trunc('week', at at time zone 'UTC')::date;
comment on function position_week(timestamptz) is 'The Monday, in UTC, of the partition that a moment belongs to.';

create function make_position_weeks(first timestamptz, last timestamptz) returns integer
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
declare
  week date := position_week(first);
  name text;
  made integer := 0;
begin
  while week <= position_week(last) loop
    name := 'positions_' || to_char(week, 'YYYYMMDD');
    if to_regclass(name) is null then
      -- One at a time: two batches may need the same week at once.
      perform pg_advisory_xact_lock(hashtext('make_position_weeks'));
      if to_regclass(name) is null then
        -- Attached, not created as a part: that would lock out everybody who reads.
        execute format('create table %I (like positions including defaults including constraints)', name);
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('revoke all on %I from public', name);
        execute format(
          'alter table positions attach partition %I for values from (%L) to (%L)', name,
          week::timestamp at time zone 'UTC', (week + 7)::timestamp at time zone 'UTC'
        );
        made := made + 1;
      end if;
    end if;
    week := week + 7;
  end loop;
  return made;
end
$$;
comment on function make_position_weeks(timestamptz, timestamptz) is
  'Makes the partitions of positions from one moment to another that are not there yet; how many.';
grant execute on function make_position_weeks(timestamptz, timestamptz) to hub_service;
select make_position_weeks(now() - interval '1 week', now() + interval '3 weeks');


-- ── Taking fixes ───────────────────────────────────────────────────────────────────────────────────────────────────

create function take_fixes(
  devices_ uuid[], times timestamptz[], longitudes double precision[], latitudes double precision[], speeds real[],
  headings real[], altitudes real[], accuracies real[], batteries real[], doubts_ text[], extras jsonb[]
) returns table (number integer, fresh boolean)
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
declare
  now_ timestamptz := clock_timestamp();
  this_batch bigint := nextval('position_batch');
  week timestamptz;
  brought integer;
  place bigint;
begin
  for week in
    select distinct date_trunc('week', t at time zone 'UTC') at time zone 'UTC' from unnest(times) t order by 1
  loop
    perform make_position_weeks(week, week);
  end loop;

  -- Rows are written in one order by everybody: two batches with the same fixes must not wait for each other.
  return query
  with given as materialized (
    select g.*, d.vehicle_id, st_setsrid(st_makepoint(g.longitude, g.latitude), 4326)::geometry(point, 4326) as place
    from unnest(
      devices_, times, longitudes, latitudes, speeds, headings, altitudes, accuracies, batteries, doubts_, extras
    ) with ordinality g (
      device_id, recorded_at, longitude, latitude, speed, heading, altitude, accuracy, charge, doubts, extra, ordinal
    )
    join devices d on d.id = g.device_id
  ), once as materialized (
    select distinct on (g.device_id, g.recorded_at) g.* from given g order by g.device_id, g.recorded_at, g.ordinal
  ), stored as (
    insert into positions (
      id, device_id, recorded_at, vehicle_id, batch, received_at, location, ward_id, speed_kmh, heading,
      altitude_meters, accuracy_meters, battery, doubts, extra
    )
    select
      md5(o.device_id::text || extract(epoch from o.recorded_at)::text)::uuid, o.device_id, o.recorded_at, o.vehicle_id,
      this_batch, now_, o.place,
      (select w.id from wards w where st_covers(w.boundary, o.place) order by w.code limit 1),
      o.speed, o.heading, o.altitude, o.accuracy, o.charge,
      coalesce(string_to_array(nullif(o.doubts, ''), ','), '{}'), o.extra
    from once o
    order by o.device_id, o.recorded_at
    on conflict do nothing
    returning
      positions.device_id, positions.recorded_at, positions.vehicle_id, positions.location, positions.ward_id,
      positions.speed_kmh, positions.heading, positions.altitude_meters, positions.accuracy_meters, positions.battery,
      positions.doubts
  ), moved as (
    insert into latest_positions as l (
      vehicle_id, device_id, recorded_at, received_at, location, ward_id, speed_kmh, heading, altitude_meters,
      accuracy_meters, battery
    )
    select distinct on (s.vehicle_id)
      s.vehicle_id, s.device_id, s.recorded_at, now_, s.location, s.ward_id, s.speed_kmh, s.heading, s.altitude_meters,
      s.accuracy_meters, s.battery
    from stored s
    where s.doubts <@ array['no_clock']
    order by s.vehicle_id, s.recorded_at desc, s.device_id
    on conflict (vehicle_id) do update set
      device_id = excluded.device_id, recorded_at = excluded.recorded_at, received_at = excluded.received_at,
      location = excluded.location, ward_id = excluded.ward_id, speed_kmh = excluded.speed_kmh,
      heading = excluded.heading, altitude_meters = excluded.altitude_meters,
      accuracy_meters = excluded.accuracy_meters, battery = excluded.battery
    where (excluded.recorded_at, l.device_id) > (l.recorded_at, excluded.device_id)
    returning 1
  )
  select g.ordinal::integer, s.device_id is not null
  from given g
  left join once o on o.ordinal = g.ordinal
  left join stored s on s.device_id = o.device_id and s.recorded_at = o.recorded_at
  order by g.ordinal;

  select count(*) into brought from positions p where p.batch = this_batch;
  if brought > 0 then
    -- Last of all: the row is held from here to the commit, so that cursors come in the order of commits.
    update position_streams set cursor = cursor + 1 returning cursor into place;
    insert into position_batches (cursor, batch, count) values (place, this_batch, brought);
    perform pg_notify('moved', place::text);
  end if;
end
$$;
comment on function take_fixes(
  uuid[], timestamptz[], double precision[], double precision[], real[], real[], real[], real[], real[], text[], jsonb[]
) is
  'Stores fixes in one batch, each once, and moves vehicles forward in time. Says of each, by its number from 1, whether '
  'it is new. Called alone in its transaction: what it holds at its end is held until the commit.';
grant execute on function take_fixes(
  uuid[], timestamptz[], double precision[], double precision[], real[], real[], real[], real[], real[], text[], jsonb[]
) to hub_service;

create function quarantine_fixes(devices_ uuid[], reasons text[], said_ jsonb[]) returns void
  language sql
  volatile
  security definer
  set search_path = public, pg_temp
begin atomic
  insert into quarantined_fixes (device_id, reason, said)
  select * from unnest(devices_, reasons, said_) q (device_id, reason, said)
  order by device_id, said
  on conflict do nothing;
end;
comment on function quarantine_fixes(uuid[], text[], jsonb[]) is 'Keeps fixes that cannot be true, each once.';
grant execute on function quarantine_fixes(uuid[], text[], jsonb[]) to hub_service;

create function devices_by(digests bytea[]) returns table (digest bytea, device_id uuid)
  language sql
  stable
  security definer
  set search_path = public, pg_temp
begin atomic
  select k.digest, k.device_id
  from device_keys k
  join devices d on d.id = k.device_id
  where k.digest = any (digests) and d.revoked_at is null;
end;
comment on function devices_by(bytea[]) is 'The devices whose keys have these digests, but for revoked ones.';
grant execute on function devices_by(bytea[]) to hub_service;


-- ── The stream ─────────────────────────────────────────────────────────────────────────────────────────────────────

create function position_batches_after(upto bigint, after bigint, most integer)
  returns table (cursor bigint, batch bigint, count integer)
  language sql
  stable
  security definer
  set search_path = public, pg_temp
begin atomic
  select b.cursor, b.batch, b.count from position_batches b
  where b.cursor > after and b.cursor <= upto order by b.cursor limit most;
end;
comment on function position_batches_after(bigint, bigint, integer) is 'The batches after a cursor, at most so many.';
grant execute on function position_batches_after(bigint, bigint, integer) to hub_service;

create function position_head() returns table (epoch uuid, cursor bigint)
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  here record;
begin
  select
    c.system_identifier, left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) as timeline,
    (select oid from pg_database where datname = current_database()) as database
  into here from pg_control_system() c;
  -- A restored database gives cursors anew that somebody may hold already: they get another epoch.
  update position_streams s set
    epoch = case when s.system_identifier is null then s.epoch else gen_random_uuid() end,
    system_identifier = here.system_identifier, timeline = here.timeline, database = here.database
  where (s.system_identifier, s.timeline, s.database)
    is distinct from (here.system_identifier, here.timeline, here.database);
  return query select s.epoch, s.cursor from position_streams s;
end
$$;
comment on function position_head() is 'How far the stream of positions goes, and in which epoch.';
grant execute on function position_head() to hub_service;
