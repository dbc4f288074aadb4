select convert_to((
  select '{"nodes":[' || coalesce(string_agg(p5.j0, ','), '') || (']}') as json
  from (
    select '{"id":"' || cast(t1.id as text) || '","plate":' || cast(to_json(t1.plate) as text) ||
    ',"kind":"' || upper(t1.kind collate "C") || '","status":"' || upper(t1.status collate "C") || '","latestPosition":' || case when (t2.vehicle_id is not null) then '{"recordedAt":' || to_char(timezone('UTC', t2.recorded_at), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""') ||
    ',"location":' || st_asgeojson(t2.location, 7) ||
    ',"speedKmh":' || coalesce(cast(to_json(t2.speed_kmh) as text), 'null') ||
    ',"heading":' || coalesce(cast(to_json(t2.heading) as text), 'null') ||
    ',"ward":' || coalesce(((
      select array_agg('{"name":' || cast(to_json(t3.name) as text) || '}' order by t3.id) as array_agg_1
      from wards as t3
    ))[array_position((
      select array_agg(t4.id order by t4.id) as array_agg_2
      from wards as t4
    ), t2.ward_id)], 'null') || '}' else 'null' end || '}' as j0
    from vehicles as t1 left outer join latest_positions as t2 on t2.vehicle_id = t1.id
    order by t1.plate asc, t1.id asc
    limit $1::integer
  ) as p5
), 'UTF8') as r0;
-- $1 = 1000
