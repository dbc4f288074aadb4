-- Patrols: who went where on whose beat, and how much of it they covered. Runs as hub_owner, in one transaction.


-- ── References ─────────────────────────────────────────────────────────────────────────────────────────────────────

-- Incidents had numbers of their own; patrols are the second series, tickets will be the third.
create table reference_numbers (
  series text not null,
  year integer not null,
  last integer not null,
  primary key (series, year),
  constraint reference_numbers_series_form check (series ~ '^[A-Z]{3}$'),
  constraint reference_numbers_last check (last > 0)
);
call guard_table('reference_numbers');
comment on table reference_numbers is 'The last number given in a series of a year.';
comment on column reference_numbers.series is 'What references begin with: INC, PAT.';
comment on column reference_numbers.year is 'Year, in Kenya.';
comment on column reference_numbers.last is 'The last number given.';
insert into reference_numbers (series, year, last) select 'INC', year, last from incident_numbers;

create function next_reference(of_series text, at timestamptz) returns text
  language sql
  volatile
  set search_path = public, pg_temp
begin atomic
  insert into reference_numbers as n (series, year, last)
  values (of_series, extract(year from at at time zone 'Africa/Nairobi')::integer, 1)
  on conflict (series, year) do update set last = n.last + 1
  returning format('%s-%s-%s', n.series, n.year, lpad(n.last::text, 6, '0'));
end;
comment on function next_reference(text, timestamptz) is 'Takes the next reference of a series, such as INC-2026-000123.';

create or replace function number_incident() returns trigger
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
begin
  new.reference := next_reference('INC', new.reported_at);
  if new.status <> 'reported' then
    raise exception using
      errcode = 'check_violation', constraint = 'incidents_begin_reported', message = 'an incident begins as reported';
  end if;
  if new.occurred_at > new.reported_at + interval '5 minutes' then
    raise exception using
      errcode = 'check_violation', constraint = 'incidents_occurred_before', message = 'an incident lies in the past';
  end if;
  return new;
end
$$;
drop table incident_numbers;


-- ── Units and beats ────────────────────────────────────────────────────────────────────────────────────────────────

-- Whoever goes on foot carries a device too: what moves is one table, whatever it moves on.
alter table vehicles drop constraint vehicles_kind;
alter table vehicles add constraint vehicles_kind check (kind in (
  'ambulance', 'fire_engine', 'rescue_boat', 'patrol_car', 'motorcycle', 'pickup', 'truck', 'tipper', 'bus', 'car',
  'water_bowser', 'excavator', 'on_foot', 'other'
));

create table units (
  id uuid primary key default public.uuidv7(),
  node text not null default 'county',
  version integer not null default 1,
  name text not null unique,
  call_sign text,
  department_id uuid references departments (id) on delete restrict,
  demonstration boolean not null default false,
  constraint units_version check (version > 0),
  constraint units_name_said check (name = btrim(name) and length(name) between 2 and 120),
  constraint units_call_sign_form check (call_sign = btrim(call_sign) and length(call_sign) between 2 and 40)
);
create index units_department_id on units (department_id);
call guard_table('units');
comment on table units is 'Enforcement units that go on patrol.';
comment on column units.id is 'UUIDv7; never used again.';
comment on column units.node is 'The hub that made it.';
comment on column units.version is 'Grows by one with each change.';
comment on column units.name is 'What the unit is called.';
comment on column units.call_sign is 'What it is called on the radio.';
comment on column units.department_id is 'The department that it belongs to.';
comment on column units.demonstration is 'True: it is none, and goes with the demonstration data.';
create trigger d_version before insert or update on units for each row execute function count_version();
create trigger kept before delete on units for each row execute function refuse_deletion();
create trigger kept_whole before truncate on units for each statement execute function refuse_deletion();
call journal_table('units', areas => null, audience => 'patrols', left_out => '{version}');

create table beats (
  id uuid primary key default public.uuidv7(),
  node text not null default 'county',
  version integer not null default 1,
  name text not null unique,
  area geometry(multipolygon, 4326),
  line geometry(multilinestring, 4326),
  retired_at timestamptz,
  demonstration boolean not null default false,
  constraint beats_version check (version > 0),
  constraint beats_name_said check (name = btrim(name) and length(name) between 2 and 120),
  constraint beats_shape check (num_nonnulls(area, line) = 1),
  constraint beats_area_not_empty check (not st_isempty(area)),
  constraint beats_area_valid check (st_isvalid(area)),
  constraint beats_area_in_range check (
    st_xmin(area) >= 33 and st_xmax(area) <= 37 and st_ymin(area) >= -2 and st_ymax(area) <= 2
  ),
  constraint beats_line_not_empty check (not st_isempty(line)),
  constraint beats_line_valid check (st_isvalid(line)),
  constraint beats_line_in_range check (
    st_xmin(line) >= 33 and st_xmax(line) <= 37 and st_ymin(line) >= -2 and st_ymax(line) <= 2
  )
);
create index beats_area on beats using gist (area);
create index beats_line on beats using gist (line);
call guard_table('beats');
comment on table beats is 'Beats: areas or lines that patrols keep an eye on, again and again.';
comment on column beats.id is 'UUIDv7; never used again.';
comment on column beats.node is 'The hub that made it.';
comment on column beats.version is 'Grows by one with each change.';
comment on column beats.name is 'What the beat is called.';
comment on column beats.area is 'The area that is watched, WGS 84; null where the beat is a line.';
comment on column beats.line is 'The streets or the shore that is walked, WGS 84; null where the beat is an area.';
comment on column beats.retired_at is 'When it was given up; null while it is patrolled. What was patrolled stays as it was.';
comment on column beats.demonstration is 'True: it is none, and goes with the demonstration data.';
create trigger d_version before insert or update on beats for each row execute function count_version();
create trigger kept before delete on beats for each row execute function refuse_deletion();
create trigger kept_whole before truncate on beats for each statement execute function refuse_deletion();
call journal_table('beats', areas => null, audience => 'patrols', left_out => '{version}');

create table checkpoints (
  id uuid primary key default public.uuidv7(),
  beat_id uuid not null references beats (id) on delete restrict,
  name text not null,
  location geometry(point, 4326) not null,
  radius_meters real not null default 50,
  constraint checkpoints_once unique (beat_id, name),
  constraint checkpoints_name_said check (name = btrim(name) and length(name) between 2 and 120),
  constraint checkpoints_radius check (radius_meters between 10 and 1000),
  constraint checkpoints_location_not_empty check (not st_isempty(location)),
  constraint checkpoints_location_valid check (st_isvalid(location)),
  constraint checkpoints_location_in_range check (
    st_x(location) >= 33 and st_x(location) <= 37 and st_y(location) >= -2 and st_y(location) <= 2
  )
);
create index checkpoints_location on checkpoints using gist (location);
call guard_table('checkpoints');
comment on table checkpoints is 'Places of a beat at which a patrol shall have been.';
comment on column checkpoints.id is 'UUIDv7.';
comment on column checkpoints.beat_id is 'The beat.';
comment on column checkpoints.name is 'What the place is called.';
comment on column checkpoints.location is 'Where, WGS 84 longitude and latitude.';
comment on column checkpoints.radius_meters is 'How near counts as having been there, metres.';
create trigger kept before delete on checkpoints for each row execute function refuse_deletion();
create trigger kept_whole before truncate on checkpoints for each statement execute function refuse_deletion();
call journal_table('checkpoints', areas => null, audience => 'patrols');


-- ── Patrols ────────────────────────────────────────────────────────────────────────────────────────────────────────

create table patrols (
  id uuid primary key default public.uuidv7(),
  reference text not null unique,
  node text not null default 'county',
  version integer not null default 1,
  unit_id uuid not null references units (id) on delete restrict,
  beat_id uuid references beats (id) on delete restrict,
  vehicle_id uuid references vehicles (id) on delete restrict,
  status text not null default 'planned',
  planned_start timestamptz not null,
  planned_end timestamptz not null,
  day date not null generated always as ((planned_start at time zone 'Africa/Nairobi')::date) stored,
  started_at timestamptz,
  ended_at timestamptz,
  route geometry(multilinestring, 4326),
  buffer_meters real not null default 50,
  note text,
  demonstration boolean not null default false,
  constraint patrols_version check (version > 0),
  constraint patrols_status check (status in ('planned', 'under_way', 'completed', 'cancelled')),
  constraint patrols_plan check (planned_end > planned_start and planned_end <= planned_start + interval '24 hours'),
  constraint patrols_started check ((started_at is not null) = (status in ('under_way', 'completed'))),
  constraint patrols_ended check ((ended_at is not null) = (status = 'completed')),
  constraint patrols_ended_after check (ended_at >= started_at),
  constraint patrols_buffer check (buffer_meters between 5 and 500),
  constraint patrols_note_form check (length(note) between 1 and 2000),
  constraint patrols_route_not_empty check (not st_isempty(route)),
  constraint patrols_route_valid check (st_isvalid(route)),
  constraint patrols_route_in_range check (
    st_xmin(route) >= 33 and st_xmax(route) <= 37 and st_ymin(route) >= -2 and st_ymax(route) <= 2
  )
);
create index patrols_unit_id on patrols (unit_id);
create index patrols_beat_id on patrols (beat_id);
create index patrols_vehicle_id on patrols (vehicle_id);
create index patrols_day on patrols (day, planned_start);
create index patrols_route on patrols using gist (route);
create unique index patrols_unit_once on patrols (unit_id) where status = 'under_way';
create unique index patrols_vehicle_once on patrols (vehicle_id) where status = 'under_way';
call guard_table('patrols');
comment on table patrols is 'Patrols: a unit goes out on a beat.';
comment on column patrols.id is 'UUIDv7; never used again.';
comment on column patrols.reference is 'What people say on the radio: PAT-2026-000123.';
comment on column patrols.node is 'The hub that made it.';
comment on column patrols.version is 'Grows by one with each change: a change of an older version is refused.';
comment on column patrols.unit_id is 'The unit that goes.';
comment on column patrols.beat_id is 'The beat that it goes on.';
comment on column patrols.vehicle_id is 'What carries the devices that say where it is: a vehicle, or who goes on foot.';
comment on column patrols.status is 'planned, under_way, completed or cancelled.';
comment on column patrols.planned_start is 'When it shall begin.';
comment on column patrols.planned_end is 'When it shall end.';
comment on column patrols.day is 'The day on which it shall begin, in Kenya.';
comment on column patrols.started_at is 'When it began.';
comment on column patrols.ended_at is 'When it ended.';
comment on column patrols.route is 'The way that it shall take, WGS 84: the line of its beat, where none was said.';
comment on column patrols.buffer_meters is 'How near a way counts as covered, metres.';
comment on column patrols.note is 'What is to be said of it.';
comment on column patrols.demonstration is 'True: it is none, and goes with the demonstration data.';

create function number_patrol() returns trigger
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
begin
  new.reference := next_reference('PAT', new.planned_start);
  -- A beat's line may be drawn anew one day; what was planned on it stays.
  new.route := coalesce(new.route, (select b.line from beats b where b.id = new.beat_id));
  if new.status <> 'planned' then
    raise exception using
      errcode = 'check_violation', constraint = 'patrols_begin_planned', message = 'a patrol begins as planned';
  end if;
  return new;
end
$$;
comment on function number_patrol() is 'Gives a new patrol its reference and its beat''s line, and holds what a beginning must be.';
create trigger b_number before insert on patrols for each row
  when (current_user <> 'hub_journal') execute function number_patrol();

create function advance_patrol() returns trigger
  language plpgsql
  volatile
  set search_path = public, pg_temp
as $$
begin
  if (new.id, new.reference, new.node, new.unit_id) is distinct from (old.id, old.reference, old.node, old.unit_id) then
    raise exception using
      errcode = 'restrict_violation', constraint = 'patrols_identity', message = 'what a patrol is does not change';
  end if;
  if new.status <> old.status
    and (old.status, new.status) not in (('planned', 'under_way'), ('planned', 'cancelled'), ('under_way', 'completed'))
  then
    raise exception using
      errcode = 'check_violation',
      constraint = 'patrols_transition',
      message = format('a patrol that is %s does not become %s', old.status, new.status);
  end if;
  if old.status <> 'planned' and (
    new.beat_id, new.vehicle_id, new.planned_start, new.planned_end, new.route, new.buffer_meters, new.started_at
  ) is distinct from (
    old.beat_id, old.vehicle_id, old.planned_start, old.planned_end, old.route, old.buffer_meters, old.started_at
  ) then
    raise exception using
      errcode = 'restrict_violation', constraint = 'patrols_plan_final', message = 'a plan is final once the patrol began';
  end if;
  return new;
end
$$;
comment on function advance_patrol() is 'Holds the state machine, and what was planned once it is measured.';
create trigger c_advance before update on patrols for each row
  when (current_user <> 'hub_journal') execute function advance_patrol();
create trigger d_version before insert or update on patrols for each row execute function count_version();
create trigger kept before delete on patrols for each row execute function refuse_deletion();
create trigger kept_whole before truncate on patrols for each statement execute function refuse_deletion();
call journal_table('patrols', areas => null, audience => 'patrols', left_out => '{version,day}');

create table patrol_members (
  id uuid primary key default public.uuidv7(),
  patrol_id uuid not null references patrols (id) on delete restrict,
  person_id uuid not null references people (id) on delete restrict,
  leads boolean not null default false,
  constraint patrol_members_once unique (patrol_id, person_id)
);
create index patrol_members_person_id on patrol_members (person_id);
create unique index patrol_members_one_leads on patrol_members (patrol_id) where leads;
call guard_table('patrol_members');
comment on table patrol_members is 'Who is on a patrol: on duty while it is under way.';
comment on column patrol_members.id is 'UUIDv7.';
comment on column patrol_members.patrol_id is 'The patrol.';
comment on column patrol_members.person_id is 'The person.';
comment on column patrol_members.leads is 'Whether the person leads it.';
call keep_facts('patrol_members', 'final');
call journal_table('patrol_members', areas => null, audience => 'patrols');

create function muster_patrol() returns trigger
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
begin
  -- One who begins waits for the other: two patrols with the same member must not begin at once.
  perform pg_advisory_xact_lock(hashtext('muster_patrol'));
  perform from patrol_members mine
  join patrol_members other on other.person_id = mine.person_id and other.patrol_id <> mine.patrol_id
  join patrols p on p.id = other.patrol_id and p.status = 'under_way'
  where mine.patrol_id = new.id
  limit 1;
  if found then
    raise exception using
      errcode = 'unique_violation', constraint = 'patrols_member_once', message = 'a member is out on another patrol';
  end if;
  return null;
end
$$;
comment on function muster_patrol() is 'Nobody is on two patrols at once.';
create trigger e_muster after update on patrols for each row
  when (current_user <> 'hub_journal' and new.status = 'under_way' and old.status <> 'under_way')
  execute function muster_patrol();


-- ── Where they went, and what they covered ─────────────────────────────────────────────────────────────────────────

create function driven(of_vehicle uuid, since timestamptz, until timestamptz) returns geometry
  language sql
  stable
  parallel safe
begin atomic
  -- A silence of over ten minutes breaks the line: nobody knows what lay between. Standing devices say so every five.
  select st_collect(p.piece order by p.number)
  from (
    select
      n.number,
      case when count(*) > 1 then st_makeline(n.location order by n.recorded_at)
        else st_geometryn(st_collect(n.location), 1) end as piece
    from (
      select m.location, m.recorded_at, count(*) filter (where m.silent) over (order by m.recorded_at, m.id) as number
      from (
        select
          f.location, f.recorded_at, f.id,
          f.recorded_at - lag(f.recorded_at) over (order by f.recorded_at, f.id) > interval '10 minutes' as silent
        from positions f
        where f.vehicle_id = of_vehicle and f.recorded_at >= since and f.recorded_at <= until and f.doubts = '{}'
      ) m
    ) n
    group by n.number
  ) p;
end;
comment on function driven(uuid, timestamptz, timestamptz) is
  'The way of a vehicle in a time, without doubtful fixes: lines, broken where it was silent for over ten minutes, and points '
  'where it spoke once. As the caller sees it; null where it said nothing.';

create function coverage(planned geometry, went geometry, area geometry, water geometry, buffer_meters double precision)
  returns table (
    planned_meters double precision, covered_meters double precision, ratio double precision, gaps geometry,
    area_km2 double precision, covered_km2 double precision, area_ratio double precision
  )
  language plpgsql
  immutable
  parallel safe
  set search_path = public, pg_temp
as $$
declare
  -- UTM 36 south: lengths in the county are right to 0.05 %. What is told is measured on the spheroid.
  flat constant integer := 32736;
  ways geometry := st_unaryunion(st_transform(planned, flat));
  went_flat geometry := st_simplify(st_transform(went, flat), buffer_meters / 50, true);
  -- Each stretch once: GEOS 3.14 fills corners of the buffer of a line that goes the same way twice (8 of 4,000 drawn by
  -- chance; none so). Where somebody stood, nothing is left of a line but its beginning.
  stretches geometry := st_collect(
    st_unaryunion(went_flat), (select st_collect(st_startpoint(d.geom)) from st_dump(went_flat) d)
  );
  seen geometry := coalesce(
    st_buffer(stretches, buffer_meters, 'quad_segs=16'), st_geomfromtext('POLYGON EMPTY', flat)
  );
  wet geometry := coalesce(st_transform(water, flat), st_geomfromtext('POLYGON EMPTY', flat));
  ground geometry := st_difference(st_transform(area, flat), wet);
  missed geometry;
begin
  if ways is not null and st_length(ways) > 0 then
    missed := st_difference(ways, seen);
    planned_meters := st_length(st_transform(ways, 4326)::geography);
    covered_meters := greatest(planned_meters - st_length(st_transform(missed, 4326)::geography), 0);
    ratio := covered_meters / planned_meters;
    gaps := case when not st_isempty(missed) then st_multi(st_linemerge(st_transform(missed, 4326))) end;
  end if;
  covered_km2 := st_area(
    st_transform(case when ground is null then st_difference(seen, wet) else st_intersection(seen, ground) end, 4326)::geography
  ) / 1000000;
  if ground is not null and not st_isempty(ground) then
    area_km2 := st_area(st_transform(ground, 4326)::geography) / 1000000;
    area_ratio := least(covered_km2 / area_km2, 1);
  end if;
  return next;
end
$$;
comment on function coverage(geometry, geometry, geometry, geometry, double precision) is
  'How much of a planned way somebody covered who went a way: metres and gaps farther than so many metres from it, each stretch '
  'once; and how much land lies within so many metres of where they went, in an area where one is given, square kilometres.';

create view patrol_coverages with (security_invoker = true) as
select
  p.id as patrol_id, p.buffer_meters, c.planned_meters, c.covered_meters, c.ratio, c.gaps::geometry(multilinestring, 4326) as gaps,
  c.area_km2, c.covered_km2,
  c.area_ratio
from patrols p
left join beats b on b.id = p.beat_id
cross join lateral coverage(
  p.route,
  driven(p.vehicle_id, p.started_at, coalesce(p.ended_at, 'infinity')),
  b.area,
  (select st_union(w.boundary) from waters w where upper_inf(w.valid)),
  p.buffer_meters
) c;
comment on view patrol_coverages is 'What each patrol covered, worked out from where its devices were.';
comment on column patrol_coverages.patrol_id is 'The patrol.';
comment on column patrol_coverages.buffer_meters is 'How near counted as covered, metres.';
comment on column patrol_coverages.planned_meters is 'Length of its route, or of its beat''s line; each stretch once.';
comment on column patrol_coverages.covered_meters is 'How much of it was covered.';
comment on column patrol_coverages.ratio is 'Covered of planned, 0 to 1.';
comment on column patrol_coverages.gaps is 'Where nobody came near enough.';
comment on column patrol_coverages.area_km2 is 'Land of the beat''s area; null where the beat has none.';
comment on column patrol_coverages.covered_km2 is 'Land near enough to where it went; in the beat''s area, where it has one.';
comment on column patrol_coverages.area_ratio is 'Covered of the beat''s land, 0 to 1.';

create view patrol_checkpoints with (security_invoker = true) as
select
  md5(p.id::text || k.id::text)::uuid as id, p.id as patrol_id, k.id as checkpoint_id, k.name, k.location, k.radius_meters,
  (
    -- Between two fixes the way is straight, where the device was not silent.
    select min(s.recorded_at)
    from (
      select
        f.recorded_at, f.location,
        case
          when f.recorded_at - lag(f.recorded_at) over later <= interval '10 minutes'
          then st_makeline(lag(f.location) over later, f.location)
          else f.location
        end as way
      from positions f
      where f.vehicle_id = p.vehicle_id and f.recorded_at >= p.started_at
        and f.recorded_at <= coalesce(p.ended_at, 'infinity') and f.doubts = '{}'
      window later as (order by f.recorded_at, f.id)
    ) s
    where s.way && st_expand(k.location, k.radius_meters / 110000.0)
      and st_dwithin(s.way::geography, k.location::geography, k.radius_meters)
  ) as visited_at
from patrols p
join checkpoints k on k.beat_id = p.beat_id;
comment on view patrol_checkpoints is 'When each patrol came to each place at which it shall have been.';
comment on column patrol_checkpoints.id is 'Made from patrol and place.';
comment on column patrol_checkpoints.patrol_id is 'The patrol.';
comment on column patrol_checkpoints.checkpoint_id is 'The place.';
comment on column patrol_checkpoints.name is 'What the place is called.';
comment on column patrol_checkpoints.location is 'Where it is.';
comment on column patrol_checkpoints.radius_meters is 'How near counts as having been there, metres.';
comment on column patrol_checkpoints.visited_at is 'When the patrol first was that near; null: not yet, or never.';

-- Whoever may ask may be answered with nothing: see schema/access.py.
grant execute on function driven(uuid, timestamptz, timestamptz),
  coverage(geometry, geometry, geometry, geometry, double precision)
  to hub_public, hub_own, hub_area, hub_county;
