-- A morning's work, of which the cases say `# as:` who asks: 2 March 2026, with keys and times that never change.
insert into departments (id, name) values ('01900000-0000-7000-8000-000000000d01', 'Health'), ('01900000-0000-7000-8000-000000000d02', 'Enforcement');
insert into people (id, name, display_name, created_at) values
  ('01900000-0000-7000-8000-000000000a01', 'achieng', 'Achieng Ouma', '2026-01-01T06:00:00Z'),
  ('01900000-0000-7000-8000-000000000a02', 'baraka', 'Baraka Otieno', '2026-01-01T06:00:00Z');
insert into vehicles (id, plate, kind, call_sign, status, department_id) values
  ('01900000-0000-7000-8000-000000000e01', 'KDA 123B', 'ambulance', 'Lima 2', 'available', '01900000-0000-7000-8000-000000000d01'),
  ('01900000-0000-7000-8000-000000000e02', 'KDB 456C', 'patrol_car', null, 'assigned', '01900000-0000-7000-8000-000000000d02'),
  ('01900000-0000-7000-8000-000000000e03', 'KDC 789D', 'tipper', null, 'out_of_service', null);
insert into devices (id, vehicle_id, label, created_at) values
  ('01900000-0000-7000-8000-000000000f01', '01900000-0000-7000-8000-000000000e01', 'Teltonika FMB920', '2026-02-01T06:00:00Z'),
  ('01900000-0000-7000-8000-000000000f02', '01900000-0000-7000-8000-000000000e02', 'Telephone', '2026-02-01T06:00:00Z');
insert into vehicle_drivers (id, vehicle_id, person_id, since, until) values
  ('01900000-0000-7000-8000-000000000c01', '01900000-0000-7000-8000-000000000e01', '01900000-0000-7000-8000-000000000a01', '2026-03-01T04:00:00Z', '2026-03-02T04:00:00Z'),
  ('01900000-0000-7000-8000-000000000c02', '01900000-0000-7000-8000-000000000e01', '01900000-0000-7000-8000-000000000a02', '2026-03-02T04:00:00Z', null);
-- An ambulance from Ahero towards Kisumu, a fix every minute; and a patrol car on its beat.
select count(*) from take_fixes(
  array_fill('01900000-0000-7000-8000-000000000f01'::uuid, array[6]),
  array(select extract(epoch from '2026-03-03T05:00:00Z'::timestamptz) + n * 60 from generate_series(0, 5) n),
  array(select 34.9189 - n * 0.005 from generate_series(0, 5) n),
  array(select -0.1723 + n * 0.003 from generate_series(0, 5) n),
  array_fill(42::real, array[6]), array_fill(300::real, array[6]), array_fill(null::real, array[6]),
  array_fill(null::real, array[6]), array_fill(0.8::real, array[6]),
  array['', '', '', '', 'mock', ''], array_fill(null::jsonb, array[6])
);
select count(*) from take_fixes(
  array_fill('01900000-0000-7000-8000-000000000f02'::uuid, array[5]),
  array(select extract(epoch from '2026-03-02T06:00:00Z'::timestamptz) + n * 60 from generate_series(0, 4) n),
  array(select 34.75 + n * 0.0025 from generate_series(0, 4) n),
  array_fill(-0.1::float8, array[5]),
  array_fill(12::real, array[5]), array_fill(90::real, array[5]), array_fill(null::real, array[5]),
  array_fill(null::real, array[5]), array_fill(null::real, array[5]),
  array_fill(''::text, array[5]), array_fill(null::jsonb, array[5])
);
insert into units (id, name, call_sign) values ('01900000-0000-7000-8000-000000000b01', 'City enforcement', 'Echo 1');
insert into beats (id, name, line) values
  ('01900000-0000-7000-8000-000000000b02', 'Oginga Odinga Street', st_geomfromtext('MULTILINESTRING((34.75 -0.1, 34.77 -0.1))', 4326));
insert into checkpoints (beat_id, name, location) values
  ('01900000-0000-7000-8000-000000000b02', 'Bus park', st_point(34.755, -0.1, 4326)),
  ('01900000-0000-7000-8000-000000000b02', 'Market', st_point(34.769, -0.1, 4326));
insert into patrols (id, unit_id, beat_id, vehicle_id, planned_start, planned_end) values
  ('01900000-0000-7000-8000-000000000b03', '01900000-0000-7000-8000-000000000b01', '01900000-0000-7000-8000-000000000b02',
   '01900000-0000-7000-8000-000000000e02', '2026-03-02T06:00:00Z', '2026-03-02T08:00:00Z'),
  ('01900000-0000-7000-8000-000000000b04', '01900000-0000-7000-8000-000000000b01', null, null,
   '2026-03-02T09:00:00Z', '2026-03-02T10:00:00Z');
insert into patrol_members (patrol_id, person_id, leads) values
  ('01900000-0000-7000-8000-000000000b03', '01900000-0000-7000-8000-000000000a01', true);
update patrols set status = 'under_way', started_at = '2026-03-02T05:59:00Z' where id = '01900000-0000-7000-8000-000000000b03';
update patrols set status = 'completed', ended_at = '2026-03-02T07:00:00Z' where id = '01900000-0000-7000-8000-000000000b03';
