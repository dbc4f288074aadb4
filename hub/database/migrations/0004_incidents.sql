-- Incidents: what happened where, who deals with it, and how it went on. Runs as hub_owner, in one transaction.


-- ── Writes that happen once ────────────────────────────────────────────────────────────────────────────────────────

create table write_keys (
  id uuid primary key default public.uuidv7(),
  person_id uuid references people (id) on delete restrict,
  key text not null,
  digest bytea not null,
  members jsonb,
  claimed_at timestamptz not null default now(),
  constraint write_keys_key_form check (length(key) between 1 and 200),
  constraint write_keys_once unique nulls not distinct (person_id, key)
);
call guard_table('write_keys');
comment on table write_keys is 'What was sent under which clientMutationId, so that a repeated write happens once.';
comment on column write_keys.id is 'UUIDv7.';
comment on column write_keys.person_id is 'Who wrote; null: the public.';
comment on column write_keys.key is 'The clientMutationId.';
comment on column write_keys.digest is 'SHA-256 of the mutation''s name and input: the same key with other input is a conflict.';
comment on column write_keys.members is 'What the write left: ids by field of its payload.';
comment on column write_keys.claimed_at is 'When the write began.';

create function claim_write(given_key text, given_digest bytea)
  returns table (fresh boolean, same boolean, members jsonb)
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  who uuid := nullif(current_setting('hub.person', true), '')::uuid;
begin
  -- A second writer of the same key waits here until the first has ended, and then finds what it left.
  insert into write_keys (person_id, key, digest) values (who, given_key, given_digest)
  on conflict on constraint write_keys_once do nothing;
  if found then
    return query select true, true, null::jsonb;
    return;
  end if;
  return query
    select false, k.digest = given_digest, k.members
    from write_keys k
    where k.person_id is not distinct from who and k.key = given_key;
end
$$;
comment on function claim_write(text, bytea) is
  'Takes a clientMutationId for the caller; otherwise says whether the input was the same and what was left.';

create function settle_write(given_key text, given_members jsonb) returns void
  language sql
  volatile
  security definer
  set search_path = public, pg_temp
begin atomic
  update write_keys set members = given_members
  where person_id is not distinct from nullif(current_setting('hub.person', true), '')::uuid
    and key = given_key and members is null;
end;
comment on function settle_write(text, jsonb) is 'Leaves what a repetition of the caller''s write has to find.';
grant execute on function claim_write(text, bytea), settle_write(text, jsonb)
  to hub_public, hub_own, hub_area, hub_county;


-- ── Incidents ──────────────────────────────────────────────────────────────────────────────────────────────────────

create table incident_numbers (
  year integer primary key,
  last integer not null,
  constraint incident_numbers_last check (last > 0)
);
call guard_table('incident_numbers');
comment on table incident_numbers is 'The last number given to an incident of a year.';
comment on column incident_numbers.year is 'Year of the report, in Kenya.';
comment on column incident_numbers.last is 'The last number given.';

create table incident_transitions (
  id uuid primary key default public.uuidv7(),
  from_status text not null,
  to_status text not null,
  note_needed boolean not null,
  constraint incident_transitions_once unique (from_status, to_status)
);
call guard_table('incident_transitions');
comment on table incident_transitions is 'The state machine: which status may follow which.';
comment on column incident_transitions.id is 'UUIDv7.';
comment on column incident_transitions.from_status is 'Status before.';
comment on column incident_transitions.to_status is 'Status after.';
comment on column incident_transitions.note_needed is 'Whether the step must be explained.';
insert into incident_transitions (from_status, to_status, note_needed) values
  ('reported', 'verified', false),
  ('reported', 'rejected', true),
  ('verified', 'responding', false),
  ('verified', 'closed', true),
  ('verified', 'rejected', true),
  ('responding', 'contained', false),
  ('responding', 'closed', false),
  ('contained', 'responding', false),
  ('contained', 'closed', false),
  ('closed', 'responding', true),
  ('rejected', 'reported', true);
call keep_facts('incident_transitions', 'final');

create table incidents (
  id uuid primary key default public.uuidv7(),
  reference text not null unique,
  node text not null default 'county',
  version integer not null default 1,
  kind text not null,
  title text not null,
  description text,
  severity text not null,
  certainty text not null,
  urgency text not null,
  status text not null default 'reported',
  location geometry(point, 4326) not null,
  place text,
  ward_id uuid references wards (id) on delete restrict,
  beyond_border boolean not null default false,
  occurred_at timestamptz not null,
  reported_at timestamptz not null default now(),
  source text not null,
  reported_by uuid references people (id) on delete restrict,
  constraint incidents_version check (version > 0),
  constraint incidents_kind check (kind in (
    'flood', 'drowning', 'boat_accident', 'fire', 'road_crash', 'building_collapse', 'landslide', 'lightning',
    'storm', 'disease_outbreak', 'medical', 'missing_person', 'wild_animal', 'public_disorder', 'crime',
    'hazardous_spill', 'power_failure', 'water_failure', 'blocked_road', 'other'
  )),
  constraint incidents_title_form check (length(title) between 3 and 200 and title = btrim(title)),
  constraint incidents_description_form check (length(description) between 1 and 5000),
  constraint incidents_place_form check (length(place) between 1 and 200),
  constraint incidents_severity check (severity in ('extreme', 'severe', 'moderate', 'minor', 'unknown')),
  constraint incidents_certainty check (certainty in ('observed', 'likely', 'possible', 'unlikely', 'unknown')),
  constraint incidents_urgency check (urgency in ('immediate', 'expected', 'future', 'past', 'unknown')),
  constraint incidents_status check (status in ('reported', 'verified', 'responding', 'contained', 'closed', 'rejected')),
  constraint incidents_source check (source in ('public', 'phone', 'radio', 'field', 'partner', 'sensor')),
  constraint incidents_location_not_empty check (not st_isempty(location)),
  constraint incidents_location_valid check (st_isvalid(location)),
  constraint incidents_location_in_range check (
    st_x(location) >= 33 and st_x(location) <= 37 and st_y(location) >= -2 and st_y(location) <= 2
  )
);
create index incidents_location on incidents using gist (location);
create index incidents_ward_id on incidents (ward_id);
create index incidents_reported_by on incidents (reported_by);
create index incidents_reported_at on incidents (reported_at desc, id);
create index incidents_open on incidents (reported_at desc, id) where status not in ('closed', 'rejected');
call guard_table('incidents');
comment on table incidents is 'Something that happened and that the county deals with.';
comment on column incidents.id is 'UUIDv7; never used again.';
comment on column incidents.reference is 'What people say on the radio: INC-2026-000123.';
comment on column incidents.node is 'The hub that made it.';
comment on column incidents.version is 'Grows by one with each change: a change of an older version is refused.';
comment on column incidents.kind is 'What kind of thing happened.';
comment on column incidents.title is 'The incident in a line.';
comment on column incidents.description is 'What is known, in words. No names or numbers of people: those stand in incident_reporters.';
comment on column incidents.severity is 'CAP 1.2 severity.';
comment on column incidents.certainty is 'CAP 1.2 certainty.';
comment on column incidents.urgency is 'CAP 1.2 urgency.';
comment on column incidents.status is 'Where it stands: see incident_transitions.';
comment on column incidents.location is 'Where, WGS 84 longitude and latitude; on the lake too.';
comment on column incidents.place is 'The place in words: a landmark, a road, a beach.';
comment on column incidents.ward_id is 'The ward that held the location on the day it happened; null on the lake and beyond the border.';
comment on column incidents.beyond_border is 'True: outside of the county, at most 2 km.';
comment on column incidents.occurred_at is 'When it happened, as far as it is known.';
comment on column incidents.reported_at is 'When the hub learned it.';
comment on column incidents.source is 'By which way it came.';
comment on column incidents.reported_by is 'Who entered it; null: nobody who was signed in.';

create function place_incident() returns trigger
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
  where b.valid @> (new.occurred_at at time zone 'Africa/Nairobi')::date and st_covers(b.boundary, new.location)
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
comment on function place_incident() is
  'Gives an incident its ward; accepts the lake and up to 2 km beyond the border, refuses what lies farther.';
create trigger a_place before insert or update on incidents for each row execute function place_incident();

create function number_incident() returns trigger
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
declare
  this_year integer := extract(year from new.reported_at at time zone 'Africa/Nairobi');
  number integer;
begin
  insert into incident_numbers as n (year, last) values (this_year, 1)
  on conflict (year) do update set last = n.last + 1
  returning last into number;
  new.reference := format('INC-%s-%s', this_year, lpad(number::text, 6, '0'));
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
comment on function number_incident() is 'Gives a new incident its reference, and holds what a beginning must be.';
create trigger b_number before insert on incidents for each row
  when (current_user <> 'hub_journal') execute function number_incident();

create function advance_incident() returns trigger
  language plpgsql
  volatile
  set search_path = public, pg_temp
as $$
begin
  if (new.id, new.reference, new.node, new.reported_at) is distinct from (old.id, old.reference, old.node, old.reported_at)
    or new.reported_by is distinct from old.reported_by then
    raise exception using
      errcode = 'restrict_violation', constraint = 'incidents_identity', message = 'what an incident is does not change';
  end if;
  if new.status is distinct from old.status then
    -- Whoever reports for themselves does not decide what comes of it.
    if current_user = 'hub_own' then
      raise exception using errcode = 'insufficient_privilege', message = 'only responders change the status';
    end if;
    if not exists (select from incident_transitions where from_status = old.status and to_status = new.status) then
      raise exception using
        errcode = 'check_violation',
        constraint = 'incidents_transition',
        message = format('an incident that is %s does not become %s', old.status, new.status);
    end if;
  end if;
  if new.occurred_at > now() + interval '5 minutes' then
    raise exception using
      errcode = 'check_violation', constraint = 'incidents_occurred_before', message = 'an incident lies in the past';
  end if;
  return new;
end
$$;
comment on function advance_incident() is 'Holds the state machine and keeps an incident''s identity.';
-- The journal's hand puts rows together from changes that were allowed when they were made.
create trigger c_advance before update on incidents for each row
  when (current_user <> 'hub_journal') execute function advance_incident();

create function count_version() returns trigger
  language plpgsql
  volatile
  set search_path = public, pg_temp
as $$
begin
  new.version := case when tg_op = 'INSERT' then 1 else old.version + 1 end;
  return new;
end
$$;
comment on function count_version() is 'Counts the changes of a row, whoever makes them: a change of an older version is refused.';
create trigger d_version before insert or update on incidents for each row execute function count_version();

call journal_table(
  'incidents', areas => 'array[it.ward_id]', audience => 'incidents', left_out => '{version,ward_id,beyond_border}',
  occurred => 'occurred_at'
);

create function refuse_deletion() returns trigger
  language plpgsql
  volatile
  set search_path = public, pg_temp
as $$
begin
  raise exception using
    errcode = 'restrict_violation',
    message = format('rows of %s are never removed', tg_table_name),
    hint = 'Give it a status that says so.';
end
$$;
comment on function refuse_deletion() is 'Deletion is a state: ids are never used again.';
create trigger kept before delete on incidents for each row execute function refuse_deletion();
create trigger kept_whole before truncate on incidents for each statement execute function refuse_deletion();

create table incident_reporters (
  id uuid primary key default public.uuidv7(),
  incident_id uuid not null unique references incidents (id) on delete restrict,
  name text,
  phone text,
  constraint incident_reporters_said check (name is not null or phone is not null),
  constraint incident_reporters_name_form check (length(name) between 1 and 200),
  constraint incident_reporters_phone_form check (phone ~ '^\+?[0-9 ()-]{5,30}$')
);
call guard_table('incident_reporters');
comment on table incident_reporters is 'Who told us: personal data, for those who must call back, and for nobody else.';
comment on column incident_reporters.id is 'UUIDv7.';
comment on column incident_reporters.incident_id is 'The incident.';
comment on column incident_reporters.name is 'Name as given.';
comment on column incident_reporters.phone is 'Number as given.';

create table incident_entries (
  id uuid primary key default public.uuidv7(),
  incident_id uuid not null references incidents (id) on delete restrict,
  at timestamptz not null default clock_timestamp(),
  kind text not null,
  from_status text,
  to_status text,
  note text,
  actor_id uuid references people (id) on delete restrict,
  constraint incident_entries_kind check (kind in ('reported', 'status', 'edited', 'note')),
  constraint incident_entries_note_form check (length(note) between 1 and 2000),
  constraint incident_entries_status check ((kind = 'status') = (from_status is not null and to_status is not null))
);
create index incident_entries_incident_id on incident_entries (incident_id, at);
create index incident_entries_actor_id on incident_entries (actor_id);
call guard_table('incident_entries');
call keep_facts('incident_entries', 'final');
comment on table incident_entries is 'The timeline of an incident: what was done, when, by whom, and why.';
comment on column incident_entries.id is 'UUIDv7.';
comment on column incident_entries.incident_id is 'The incident.';
comment on column incident_entries.at is 'When it was done.';
comment on column incident_entries.kind is 'reported, status, edited or note.';
comment on column incident_entries.from_status is 'Status before, for a change of status.';
comment on column incident_entries.to_status is 'Status after, for a change of status.';
comment on column incident_entries.note is 'Why, in words.';
comment on column incident_entries.actor_id is 'Who did it.';
