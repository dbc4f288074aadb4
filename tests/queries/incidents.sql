-- Three incidents: two in town, one on the lake; and what was said of them.
insert into incidents (id, kind, title, severity, certainty, urgency, location, occurred_at, reported_at, source, reported_by) values
  ('01900000-0000-7000-8000-000000001001', 'flood', 'Market street under water', 'severe', 'observed', 'immediate',
   st_point(34.7617, -0.0917, 4326), '2026-03-02T05:30:00Z', '2026-03-02T05:41:00Z', 'phone', '01900000-0000-7000-8000-000000000a01'),
  ('01900000-0000-7000-8000-000000001002', 'road_crash', 'Two matatus at the bridge', 'moderate', 'likely', 'expected',
   st_point(34.9189, -0.1723, 4326), '2026-03-02T06:10:00Z', '2026-03-02T06:12:00Z', 'radio', '01900000-0000-7000-8000-000000000a02'),
  ('01900000-0000-7000-8000-000000001003', 'boat_accident', 'Fishing boat adrift', 'extreme', 'observed', 'immediate',
   st_point(34.6, -0.2, 4326), '2026-03-02T08:00:00Z', '2026-03-02T08:02:00Z', 'field', '01900000-0000-7000-8000-000000000a01');
update incidents set status = 'verified' where id = '01900000-0000-7000-8000-000000001001';
update incidents set status = 'responding' where id = '01900000-0000-7000-8000-000000001001';
insert into incident_entries (id, incident_id, at, kind, from_status, to_status) values
  ('01900000-0000-7000-8000-000000002001', '01900000-0000-7000-8000-000000001001', '2026-03-02T05:45:00Z', 'status', 'reported', 'verified'),
  ('01900000-0000-7000-8000-000000002002', '01900000-0000-7000-8000-000000001001', '2026-03-02T05:59:00Z', 'status', 'verified', 'responding');
