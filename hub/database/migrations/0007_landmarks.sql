-- Places that people name when they call, and how exactly an incident's place is known. Runs as hub_owner.

create table landmarks (
  id uuid primary key default public.uuidv7(),
  name text not null,
  kind text not null,
  location geometry(point, 4326) not null,
  accuracy_meters integer not null,
  source_id uuid not null references sources (id) on delete restrict,
  constraint landmarks_name_said check (name <> '' and name = btrim(name)),
  constraint landmarks_name_key unique (name),
  constraint landmarks_kind check (
    kind in ('town', 'market', 'hospital', 'beach', 'port', 'airport', 'bridge', 'junction', 'stadium', 'school', 'factory')
  ),
  constraint landmarks_accuracy_meters check (accuracy_meters > 0),
  constraint landmarks_location_not_empty check (not st_isempty(location)),
  constraint landmarks_location_valid check (st_isvalid(location)),
  constraint landmarks_location_in_range check (
    st_x(location) >= 33 and st_x(location) <= 37 and st_y(location) >= -2 and st_y(location) <= 2
  )
);
create index landmarks_location on landmarks using gist (location);
create index landmarks_source_id on landmarks (source_id);
call guard_table('landmarks');
comment on table landmarks is 'Places that people name when they report: towns, markets, hospitals, beaches, bridges.';
comment on column landmarks.id is 'UUIDv7, the same on every installation for what the hub brings along.';
comment on column landmarks.name is 'As people say it.';
comment on column landmarks.kind is 'What it is.';
comment on column landmarks.location is 'About where, WGS 84 longitude and latitude.';
comment on column landmarks.accuracy_meters is 'How far off it may be.';
comment on column landmarks.source_id is 'Who says so.';

alter table incidents
  add column precision text not null default 'point',
  add constraint incidents_precision check (precision in ('point', 'landmark', 'ward'));
comment on column incidents.precision is
  'How the place was given: point, on a map or by a device; landmark: near it; ward: somewhere in it, drawn in its middle.';
call journal_table(
  'incidents', areas => 'array[it.ward_id]', audience => 'incidents', left_out => '{version,ward_id,beyond_border}',
  occurred => 'occurred_at'
);
