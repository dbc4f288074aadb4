-- The county's units as dated, sourced facts, and their projection for maps and filters.
-- Runs as hub_owner, in one transaction. PostGIS and btree_gist are there, as are the roles (hub/database/ground.py).

-- Functions are nobody's until they are granted by name.
alter default privileges revoke execute on functions from public;


-- ── What every migration builds on ─────────────────────────────────────────────────────────────────────────────────

create procedure guard_table(named regclass)
  language plpgsql
  set search_path = public, pg_temp
as $$
begin
  execute format('alter table %s enable row level security', named);
  execute format('alter table %s force row level security', named);
  -- Forced, the policies bind the owner too: without one of its own it could fill nothing. Everybody else's policies
  -- come from schema/access.py, after the migrations.
  execute format('create policy owner on %s to hub_owner using (true) with check (true)', named);
end
$$;
comment on procedure guard_table(regclass) is
  'Turns row security on, for the owner too, and lets the owner in. Every migration calls it for every table it makes.';

create table migration_log (
  entry bigint generated always as identity primary key,
  step text not null,
  digest text not null,
  applied_at timestamptz not null default now()
);
call guard_table('migration_log');
comment on table migration_log is 'What was done to this database and when: migrations by file name, and the access table.';
comment on column migration_log.entry is 'Order of the steps.';
comment on column migration_log.step is 'File name of a migration without its ending, or "access" for schema/access.py.';
comment on column migration_log.digest is 'SHA-256 of the SQL that ran: a file that was edited afterwards is found by it.';
comment on column migration_log.applied_at is 'When the step ran.';

-- The runner makes this one, before the first migration.
call guard_table('migrations');
comment on table migrations is 'The newest migration, kept by the runner (Alembic).';
comment on column migrations.version_num is 'File name of the newest migration without its ending.';

-- Named with its schema everywhere: from 18 on, the plain name finds the server's own function first.
create function public.uuidv7() returns uuid
  language sql
  volatile
  parallel safe
  return encode(
    set_bit(
      set_bit(
        overlay(
          uuid_send(gen_random_uuid())
          placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
          from 1 for 6
        ),
        52, 1
      ),
      53, 1
    ),
    'hex'
  )::uuid;
comment on function public.uuidv7() is 'A new key that sorts by the time of its making (RFC 9562, version 7). Our own: servers have it from 18 on.';
grant execute on function public.uuidv7() to hub_public, hub_own, hub_area, hub_county;

create function refuse_overwriting() returns trigger
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
    if rest is not distinct from old then
      return null;
    end if;
  end if;
  if tg_argv[0] = 'closable' then
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
  'Keeps a table append-only. Argument "closable": an open "valid" may be given its end, once.';

create procedure keep_facts(named regclass, how text)
  language plpgsql
  set search_path = public, pg_temp
as $$
begin
  -- After the row, not before: only then do generated columns hold their value, so that old and new can be compared.
  execute format(
    'create trigger append_only after update or delete on %s for each row execute function refuse_overwriting(%L)',
    named, how
  );
  execute format(
    'create trigger append_only_whole before truncate on %s for each statement execute function refuse_overwriting(%L)',
    named, how
  );
  execute format('alter table %s enable always trigger append_only', named);
  execute format('alter table %s enable always trigger append_only_whole', named);
end
$$;
comment on procedure keep_facts(regclass, text) is
  'Makes a table append-only, also under replication: "closable" where a fact may be given its end, else "final".';


-- ── Where figures and shapes come from ─────────────────────────────────────────────────────────────────────────────

create table sources (
  id uuid primary key default public.uuidv7(),
  slug text not null unique,
  title text not null,
  publisher text not null,
  published date,
  licence text,
  attribution text not null,
  note text,
  constraint sources_slug_form check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
  constraint sources_said check (title <> '' and publisher <> '' and attribution <> '')
);
call guard_table('sources');
comment on table sources is 'Who says so: a publication or data set that facts about the county rest on.';
comment on column sources.id is 'UUIDv7, the same on every installation for what the hub brings along.';
comment on column sources.slug is 'Short name for people and files.';
comment on column sources.title is 'Title of the publication or data set.';
comment on column sources.publisher is 'Who published it.';
comment on column sources.published is 'Day of publication, where it is known.';
comment on column sources.licence is 'Licence, as an SPDX name where there is one; null: none was stated.';
comment on column sources.attribution is 'The words that must stand beside what is shown of it.';
comment on column sources.note is 'What to know before relying on it.';


-- ── Facts ──────────────────────────────────────────────────────────────────────────────────────────────────────────

create table areas (
  id uuid primary key default public.uuidv7(),
  level text not null,
  code text not null,
  constraint areas_level check (level in ('county', 'sub_county', 'ward')),
  constraint areas_code_form check (code ~ '^[0-9]{3,4}$'),
  constraint areas_level_code_key unique (level, code)
);
call guard_table('areas');
call keep_facts('areas', 'final');
comment on table areas is 'A unit of the county as such: what stays when its name, shape or membership changes.';
comment on column areas.id is 'UUIDv7, the same on every installation.';
comment on column areas.level is 'county, sub_county or ward.';
comment on column areas.code is 'Code of the electoral commission (IEBC); leading zeros count.';

create table area_names (
  id uuid primary key default public.uuidv7(),
  area_id uuid not null references areas (id) on delete restrict,
  name text not null,
  kind text not null,
  valid daterange not null,
  source_id uuid not null references sources (id) on delete restrict,
  note text,
  constraint area_names_kind check (kind in ('official', 'alias')),
  constraint area_names_said check (name <> '' and name = btrim(name)),
  constraint area_names_valid_dated check (not isempty(valid) and not lower_inf(valid)),
  constraint area_names_one_official exclude using gist (area_id with =, valid with &&) where (kind = 'official'),
  constraint area_names_said_once exclude using gist (area_id with =, name with =, valid with &&)
);
create index area_names_area_id on area_names (area_id);
create index area_names_source_id on area_names (source_id);
call guard_table('area_names');
call keep_facts('area_names', 'closable');
comment on table area_names is 'What a unit is called: one official name on any day, and the other spellings people and data sets use.';
comment on column area_names.id is 'UUIDv7.';
comment on column area_names.area_id is 'The unit.';
comment on column area_names.name is 'The name as written.';
comment on column area_names.kind is 'official: the name that the hub shows. alias: found by search.';
comment on column area_names.valid is 'Days on which the name holds; open until the next one is known.';
comment on column area_names.source_id is 'Who says so.';
comment on column area_names.note is 'What to know about it.';

create table area_memberships (
  id uuid primary key default public.uuidv7(),
  area_id uuid not null references areas (id) on delete restrict,
  parent_id uuid not null references areas (id) on delete restrict,
  accepted boolean not null,
  valid daterange not null,
  source_id uuid not null references sources (id) on delete restrict,
  note text,
  constraint area_memberships_of_another check (area_id <> parent_id),
  constraint area_memberships_valid_dated check (not isempty(valid) and not lower_inf(valid)),
  constraint area_memberships_one_accepted exclude using gist (area_id with =, valid with &&) where (accepted)
);
create index area_memberships_area_id on area_memberships (area_id);
create index area_memberships_parent_id on area_memberships (parent_id);
create index area_memberships_source_id on area_memberships (source_id);
call guard_table('area_memberships');
call keep_facts('area_memberships', 'closable');
comment on table area_memberships is 'Which unit a unit belongs to. Sources disagree: one is accepted on any day, the others stay on record.';
comment on column area_memberships.id is 'UUIDv7.';
comment on column area_memberships.area_id is 'The unit that belongs.';
comment on column area_memberships.parent_id is 'The unit it belongs to.';
comment on column area_memberships.accepted is 'False: a source says so, the county does not follow it.';
comment on column area_memberships.valid is 'Days on which it holds, according to the source; open until the next one is known.';
comment on column area_memberships.source_id is 'Who says so.';
comment on column area_memberships.note is 'What to know about it.';

create table area_boundaries (
  id uuid primary key default public.uuidv7(),
  area_id uuid not null references areas (id) on delete restrict,
  boundary geometry(multipolygon, 4326) not null,
  label_point geometry(point, 4326) not null,
  generalised_meters integer,
  valid daterange not null,
  source_id uuid not null references sources (id) on delete restrict,
  note text,
  constraint area_boundaries_boundary_not_empty check (not st_isempty(boundary)),
  constraint area_boundaries_boundary_valid check (st_isvalid(boundary)),
  constraint area_boundaries_boundary_in_range check (
    st_xmin(boundary) >= 33 and st_xmax(boundary) <= 37 and st_ymin(boundary) >= -2 and st_ymax(boundary) <= 2
  ),
  constraint area_boundaries_label_point_not_empty check (not st_isempty(label_point)),
  constraint area_boundaries_label_point_inside check (st_covers(boundary, label_point)),
  constraint area_boundaries_generalised check (generalised_meters > 0),
  constraint area_boundaries_valid_dated check (not isempty(valid) and not lower_inf(valid)),
  constraint area_boundaries_one_at_a_time exclude using gist (area_id with =, valid with &&)
);
create index area_boundaries_area_id on area_boundaries (area_id);
create index area_boundaries_source_id on area_boundaries (source_id);
create index area_boundaries_boundary on area_boundaries using gist (boundary);
create index area_boundaries_label_point on area_boundaries using gist (label_point);
call guard_table('area_boundaries');
call keep_facts('area_boundaries', 'closable');
comment on table area_boundaries is 'The shape of a unit: one on any day. Shapes end at the shore; the county''s lake stands in waters.';
comment on column area_boundaries.id is 'UUIDv7.';
comment on column area_boundaries.area_id is 'The unit.';
comment on column area_boundaries.boundary is 'Land of the unit, WGS 84 longitude and latitude.';
comment on column area_boundaries.label_point is 'Where a label sits best: the point of the largest part that is farthest from its edge.';
comment on column area_boundaries.generalised_meters is 'How far the outline may lie from the surveyed one, in metres; null: as surveyed.';
comment on column area_boundaries.valid is 'Days on which the shape holds; open until the next one is known.';
comment on column area_boundaries.source_id is 'Who says so.';
comment on column area_boundaries.note is 'What to know about it.';

create table area_figures (
  id uuid primary key default public.uuidv7(),
  area_id uuid not null references areas (id) on delete restrict,
  figure text not null,
  value numeric not null,
  as_of date not null,
  source_id uuid not null references sources (id) on delete restrict,
  note text,
  constraint area_figures_figure check (figure in ('population', 'land_area_km2')),
  -- NaN counts as greater than infinity here, so that this refuses both.
  constraint area_figures_value_finite check (value >= 0 and value < 'infinity'),
  constraint area_figures_people_whole check (figure <> 'population' or value = trunc(value)),
  constraint area_figures_said_once unique (area_id, figure, as_of, source_id)
);
create index area_figures_area_id on area_figures (area_id);
create index area_figures_source_id on area_figures (source_id);
call guard_table('area_figures');
call keep_facts('area_figures', 'final');
comment on table area_figures is 'A number about a unit, with the day it speaks of. Sources may differ; none replaces another.';
comment on column area_figures.id is 'UUIDv7.';
comment on column area_figures.area_id is 'The unit.';
comment on column area_figures.figure is 'population (people) or land_area_km2 (gazetted, without the lake).';
comment on column area_figures.value is 'The number.';
comment on column area_figures.as_of is 'The day that the number speaks of: for a census its night.';
comment on column area_figures.source_id is 'Who says so.';
comment on column area_figures.note is 'What to know about it.';

create table waters (
  id uuid primary key default public.uuidv7(),
  county_id uuid not null references areas (id) on delete restrict,
  name text not null,
  boundary geometry(multipolygon, 4326) not null,
  boundary_json text not null generated always as (st_asgeojson(boundary, 7)) stored,
  area_km2 double precision not null,
  approximate boolean not null,
  valid daterange not null,
  source_id uuid not null references sources (id) on delete restrict,
  note text,
  constraint waters_said check (name <> '' and name = btrim(name)),
  constraint waters_boundary_not_empty check (not st_isempty(boundary)),
  constraint waters_boundary_valid check (st_isvalid(boundary)),
  constraint waters_boundary_in_range check (
    st_xmin(boundary) >= 33 and st_xmax(boundary) <= 37 and st_ymin(boundary) >= -2 and st_ymax(boundary) <= 2
  ),
  constraint waters_area_finite check (area_km2 > 0 and area_km2 < 'infinity'),
  constraint waters_valid_dated check (not isempty(valid) and not lower_inf(valid)),
  constraint waters_one_at_a_time exclude using gist (county_id with =, name with =, valid with &&)
);
create index waters_county_id on waters (county_id);
create index waters_source_id on waters (source_id);
create index waters_boundary on waters using gist (boundary);
call guard_table('waters');
call keep_facts('waters', 'closable');
comment on table waters is 'Waters of the county beyond its wards: people work, travel and drown there.';
comment on column waters.id is 'UUIDv7.';
comment on column waters.county_id is 'The county.';
comment on column waters.name is 'Name of the water.';
comment on column waters.boundary is 'Outline of the water, WGS 84 longitude and latitude.';
comment on column waters.boundary_json is 'The outline as GeoJSON with seven decimals, ready to send.';
comment on column waters.area_km2 is 'Area of the outline on the ellipsoid, in square kilometres.';
comment on column waters.approximate is 'True: drawn by a rule that the note states, not surveyed.';
comment on column waters.valid is 'Days on which the outline holds; open until the next one is known.';
comment on column waters.source_id is 'Who says so.';
comment on column waters.note is 'What to know about it.';


-- ── The projection: what maps and filters read ─────────────────────────────────────────────────────────────────────

create table counties (
  id uuid primary key references areas (id) on delete restrict,
  code text not null unique,
  name text not null,
  aliases text[] not null,
  population integer not null,
  population_year integer not null,
  area_km2 double precision not null,
  boundary geometry(multipolygon, 4326) not null,
  boundary_json text not null generated always as (st_asgeojson(boundary, 7)) stored,
  generalised_meters integer,
  label_point geometry(point, 4326) not null,
  constraint counties_boundary_not_empty check (not st_isempty(boundary)),
  constraint counties_boundary_valid check (st_isvalid(boundary)),
  constraint counties_boundary_in_range check (
    st_xmin(boundary) >= 33 and st_xmax(boundary) <= 37 and st_ymin(boundary) >= -2 and st_ymax(boundary) <= 2
  ),
  constraint counties_label_point_not_empty check (not st_isempty(label_point)),
  constraint counties_label_point_inside check (st_covers(boundary, label_point))
);
create index counties_boundary on counties using gist (boundary);
create index counties_label_point on counties using gist (label_point);
call guard_table('counties');
comment on table counties is 'The county on the day of the last refresh_areas().';

create table sub_counties (
  id uuid primary key references areas (id) on delete restrict,
  code text not null unique,
  name text not null,
  aliases text[] not null,
  county_id uuid not null references counties (id) on delete restrict,
  population integer not null,
  population_year integer not null,
  area_km2 double precision not null,
  boundary geometry(multipolygon, 4326) not null,
  boundary_json text not null generated always as (st_asgeojson(boundary, 7)) stored,
  generalised_meters integer,
  label_point geometry(point, 4326) not null,
  constraint sub_counties_boundary_not_empty check (not st_isempty(boundary)),
  constraint sub_counties_boundary_valid check (st_isvalid(boundary)),
  constraint sub_counties_boundary_in_range check (
    st_xmin(boundary) >= 33 and st_xmax(boundary) <= 37 and st_ymin(boundary) >= -2 and st_ymax(boundary) <= 2
  ),
  constraint sub_counties_label_point_not_empty check (not st_isempty(label_point)),
  constraint sub_counties_label_point_inside check (st_covers(boundary, label_point))
);
create index sub_counties_county_id on sub_counties (county_id);
create index sub_counties_boundary on sub_counties using gist (boundary);
create index sub_counties_label_point on sub_counties using gist (label_point);
call guard_table('sub_counties');
comment on table sub_counties is 'The sub-counties on the day of the last refresh_areas().';
comment on column sub_counties.county_id is 'The county it belongs to.';

create table wards (
  id uuid primary key references areas (id) on delete restrict,
  code text not null unique,
  name text not null,
  aliases text[] not null,
  sub_county_id uuid not null references sub_counties (id) on delete restrict,
  population integer not null,
  population_year integer not null,
  area_km2 double precision not null,
  boundary geometry(multipolygon, 4326) not null,
  boundary_json text not null generated always as (st_asgeojson(boundary, 7)) stored,
  generalised_meters integer,
  label_point geometry(point, 4326) not null,
  constraint wards_boundary_not_empty check (not st_isempty(boundary)),
  constraint wards_boundary_valid check (st_isvalid(boundary)),
  constraint wards_boundary_in_range check (
    st_xmin(boundary) >= 33 and st_xmax(boundary) <= 37 and st_ymin(boundary) >= -2 and st_ymax(boundary) <= 2
  ),
  constraint wards_label_point_not_empty check (not st_isempty(label_point)),
  constraint wards_label_point_inside check (st_covers(boundary, label_point))
);
create index wards_sub_county_id on wards (sub_county_id);
create index wards_boundary on wards using gist (boundary);
create index wards_label_point on wards using gist (label_point);
call guard_table('wards');
comment on table wards is 'The wards on the day of the last refresh_areas().';
comment on column wards.sub_county_id is 'The sub-county it belongs to: the membership that the county follows.';

do $$
declare
  unit text;
begin
  foreach unit in array array['counties', 'sub_counties', 'wards'] loop
    execute format('comment on column %I.id is %L', unit, 'The unit: the same id as in areas, on every installation.');
    execute format('comment on column %I.code is %L', unit, 'Code of the electoral commission (IEBC); leading zeros count.');
    execute format('comment on column %I.name is %L', unit, 'The official name.');
    execute format('comment on column %I.aliases is %L', unit, 'Other spellings, in alphabetical order.');
    execute format('comment on column %I.population is %L', unit, 'People counted by the census of population_year.');
    execute format('comment on column %I.population_year is %L', unit, 'Year of that census.');
    execute format('comment on column %I.area_km2 is %L', unit, 'Gazetted land area in square kilometres, without the lake.');
    execute format('comment on column %I.boundary is %L', unit, 'Land of the unit, WGS 84 longitude and latitude; it ends at the shore.');
    execute format('comment on column %I.boundary_json is %L', unit, 'The outline as GeoJSON with seven decimals, ready to send.');
    execute format('comment on column %I.generalised_meters is %L', unit, 'How far the outline may lie from the surveyed one, in metres.');
    execute format('comment on column %I.label_point is %L', unit, 'Where a label sits best.');
  end loop;
end
$$;

create function areas_on(on_day date)
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
  left join area_boundaries b on b.area_id = a.id and b.valid @> on_day
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

create function refresh_areas(on_day date) returns void
  language plpgsql
  volatile
  set search_path = public, pg_temp
as $$
declare
  lacking record;
begin
  -- Two refreshes at once would undo each other; readers are not held up.
  lock table counties, sub_counties, wards in share row exclusive mode;

  select a.level, a.code, a.name, concat_ws(', ',
      case when a.boundary is null then 'boundary' end,
      case when a.population is null then 'population' end,
      case when a.area_km2 is null then 'land area' end,
      case when a.level <> 'county' and p.id is null then 'unit that it belongs to' end
    ) as what
  into lacking
  from areas_on(on_day) a
  left join areas_on(on_day) p
    on p.id = a.parent_id and (a.level, p.level) in (('sub_county', 'county'), ('ward', 'sub_county'))
  where a.boundary is null or a.population is null or a.area_km2 is null or (a.level <> 'county' and p.id is null)
  order by a.level, a.code
  limit 1;
  if found then
    raise exception using
      errcode = 'integrity_constraint_violation',
      message = format(
        'the %s %s (%s) has a name on %s, but no %s',
        replace(lacking.level, '_', '-'), lacking.name, lacking.code, on_day, lacking.what
      ),
      hint = 'Add the missing fact, or close the name: a unit is shown whole or not at all.';
  end if;

  -- Rows that already say the same are left alone: a refresh that changes nothing writes nothing.
  insert into counties as kept
    (id, code, name, aliases, population, population_year, area_km2, boundary, generalised_meters, label_point)
  select id, code, name, aliases, population, population_year, area_km2, boundary, generalised_meters, label_point
  from areas_on(on_day) where level = 'county'
  on conflict (id) do update set
    (name, aliases, population, population_year, area_km2, boundary, generalised_meters, label_point) = (
      excluded.name, excluded.aliases, excluded.population, excluded.population_year, excluded.area_km2,
      excluded.boundary, excluded.generalised_meters, excluded.label_point
    )
  where (
    kept.name, kept.aliases, kept.population, kept.population_year, kept.area_km2,
    kept.boundary, kept.generalised_meters, kept.label_point
  ) is distinct from (
    excluded.name, excluded.aliases, excluded.population, excluded.population_year, excluded.area_km2,
    excluded.boundary, excluded.generalised_meters, excluded.label_point
  );

  insert into sub_counties as kept
    (id, code, name, aliases, county_id, population, population_year, area_km2, boundary, generalised_meters, label_point)
  select id, code, name, aliases, parent_id, population, population_year, area_km2, boundary, generalised_meters, label_point
  from areas_on(on_day) where level = 'sub_county'
  on conflict (id) do update set
    (name, aliases, county_id, population, population_year, area_km2, boundary, generalised_meters, label_point) = (
      excluded.name, excluded.aliases, excluded.county_id, excluded.population, excluded.population_year,
      excluded.area_km2, excluded.boundary, excluded.generalised_meters, excluded.label_point
    )
  where (
    kept.name, kept.aliases, kept.county_id, kept.population, kept.population_year,
    kept.area_km2, kept.boundary, kept.generalised_meters, kept.label_point
  ) is distinct from (
    excluded.name, excluded.aliases, excluded.county_id, excluded.population, excluded.population_year,
    excluded.area_km2, excluded.boundary, excluded.generalised_meters, excluded.label_point
  );

  insert into wards as kept
    (id, code, name, aliases, sub_county_id, population, population_year, area_km2, boundary, generalised_meters, label_point)
  select id, code, name, aliases, parent_id, population, population_year, area_km2, boundary, generalised_meters, label_point
  from areas_on(on_day) where level = 'ward'
  on conflict (id) do update set
    (name, aliases, sub_county_id, population, population_year, area_km2, boundary, generalised_meters, label_point) = (
      excluded.name, excluded.aliases, excluded.sub_county_id, excluded.population, excluded.population_year,
      excluded.area_km2, excluded.boundary, excluded.generalised_meters, excluded.label_point
    )
  where (
    kept.name, kept.aliases, kept.sub_county_id, kept.population, kept.population_year,
    kept.area_km2, kept.boundary, kept.generalised_meters, kept.label_point
  ) is distinct from (
    excluded.name, excluded.aliases, excluded.sub_county_id, excluded.population, excluded.population_year,
    excluded.area_km2, excluded.boundary, excluded.generalised_meters, excluded.label_point
  );

  -- Units that are no more on that day leave the projection, smallest first; their facts stay.
  delete from wards where id not in (select id from areas_on(on_day) where level = 'ward');
  delete from sub_counties where id not in (select id from areas_on(on_day) where level = 'sub_county');
  delete from counties where id not in (select id from areas_on(on_day) where level = 'county');
end
$$;
comment on function refresh_areas(date) is
  'Rewrites counties, sub_counties and wards from the facts that hold on a day. Refuses a unit that lacks a part.';
