-- Two entries of one moment, and positions of devices without a clock. Runs as hub_owner, in one transaction.

create or replace function keep_version() returns trigger
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
    -- Nor one of the same moment, as two hubs may have: the version before would last no time.
    select from journal j
    where j.object_id = new.object_id and j.tbl = new.tbl
      and j.effective_at >= new.effective_at and (j.node, j.entry) <> (new.node, new.entry)
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

create or replace function latest_positions_on(as_of timestamptz, as_known timestamptz)
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
      -- As take_fixes() has it: of what has no clock the hub knows the time.
      and p.received_at <= as_known and p.doubts <@ array['no_clock']
    order by p.recorded_at desc, p.device_id
    limit 1
  ) p;
end;
