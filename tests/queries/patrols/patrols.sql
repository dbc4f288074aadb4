select convert_to((
  select '{"nodes":[' || coalesce(string_agg(p4.j0, ','), '') || (']}') as json
  from (
    select '{"reference":' || cast(to_json(t1.reference) as text) ||
    ',"status":"' || upper(t1.status collate "C") || '","beat":' || coalesce((
      select '{"name":' || cast(to_json(t2.name) as text) ||
      ',"area":' || coalesce(st_asgeojson(t2.area, 7), 'null') || '}' as json
      from beats as t2
      where t2.id = t1.beat_id
    ), 'null') ||
    ',"route":' || coalesce(st_asgeojson(t1.route, 7), 'null') ||
    ',"track":' || coalesce(st_asgeojson(case when not st_isempty(st_simplify(st_multi(st_collectionextract(driven(t1.vehicle_id, t1.started_at, coalesce(t1.ended_at, 'infinity'::timestamptz)), 2)), 0.3515625 / cast(power(2.0::double precision, 14::double precision) as double precision), true)) then st_simplify(st_multi(st_collectionextract(driven(t1.vehicle_id, t1.started_at, coalesce(t1.ended_at, 'infinity'::timestamptz)), 2)), 0.3515625 / cast(power(2.0::double precision, 14::double precision) as double precision), true) end, 7), 'null') ||
    ',"coverage":' || coalesce((
      select '{"plannedMeters":' || coalesce(cast(to_json(t3.planned_meters) as text), 'null') ||
      ',"coveredMeters":' || coalesce(cast(to_json(t3.covered_meters) as text), 'null') ||
      ',"ratio":' || coalesce(cast(to_json(t3.ratio) as text), 'null') || '}' as json
      from patrol_coverages as t3
      where t3.patrol_id = t1.id
    ), 'null') || '}' as j0
    from patrols as t1
    where t1.day = $1::date
    order by t1.planned_start asc, t1.id asc
    limit $2::integer
  ) as p4
), 'UTF8') as r0;
-- $1 = datetime.date(2026, 3, 2)
-- $2 = 50
