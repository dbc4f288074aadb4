select convert_to((
  select '{"nodes":[' || coalesce(string_agg(p4.j0, ','), '') || ']}' as json
  from (
    select '{"id":' || '"' || cast(t1.id as text) || '"' ||
    ',"plate":' || cast(to_json(t1.plate) as text) ||
    ',"kind":' || '"' || upper(t1.kind) || '"' ||
    ',"status":' || '"' || upper(t1.status) || '"' ||
    ',"latestPosition":' || coalesce((
      select '{"recordedAt":' || to_char(timezone('UTC', t2.recorded_at), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""') ||
      ',"location":' || st_asgeojson(t2.location, 7) ||
      ',"speedKmh":' || coalesce(cast(to_json(t2.speed_kmh) as text), 'null') ||
      ',"heading":' || coalesce(cast(to_json(t2.heading) as text), 'null') ||
      ',"ward":' || coalesce((
        select '{"name":' || cast(to_json(t3.name) as text) || '}' as json
        from wards as t3
        where t3.id = t2.ward_id
      ), 'null') || '}' as json
      from latest_positions as t2
      where t2.vehicle_id = t1.id
    ), 'null') || '}' as j0
    from vehicles as t1
    order by t1.plate asc, t1.id asc
    limit $1::integer
  ) as p4
), 'UTF8') as r0;
-- $1 = 1000
