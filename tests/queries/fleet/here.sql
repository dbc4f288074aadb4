select convert_to(coalesce((
  select '{"code":' || cast(to_json(t1.code) as text) ||
  ',"name":' || cast(to_json(t1.name) as text) ||
  ',"subCounty":' || coalesce((
    select '{"name":' || cast(to_json(t2.name) as text) || '}' as json
    from sub_counties as t2
    where t2.id = t1.sub_county_id
  ), 'null') || '}' as json
  from wards as t1
  where st_covers(t1.boundary, st_setsrid(st_makepoint($1::float, $2::float), 4326))
  order by t1.code, t1.id
  limit 1
), 'null'), 'UTF8') as r0, convert_to((
  select '[' || coalesce(string_agg(q10.item, ',' order by q10.meters, q10.key), '') || ']' as anon_1
  from (
    select '{"distanceMeters":' || cast(to_json(st_distance(cast(t8.location as geography(geometry,4326)), cast(st_setsrid(st_makepoint($3::float, $4::float), 4326) as geography(geometry,4326)))) as text) ||
    ',"vehicle":' || '{"plate":' || cast(to_json(t7.plate) as text) ||
    ',"kind":"' || upper(t7.kind collate "C") || '","latestPosition":' || coalesce((
      select '{"recordedAt":' || to_char(timezone('UTC', t9.recorded_at), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""') || '}' as json
      from latest_positions as t9
      where t9.vehicle_id = t7.id
    ), 'null') || '}' || '}' as item, st_distance(cast(t8.location as geography(geometry,4326)), cast(st_setsrid(st_makepoint($3::float, $4::float), 4326) as geography(geometry,4326))) as meters, t7.id as key
    from latest_positions as t8 join vehicles as t7 on t7.id = t8.vehicle_id join (
      select max(st_distance(cast(q5.location as geography(geometry,4326)), cast(st_setsrid(st_makepoint($3::float, $4::float), 4326) as geography(geometry,4326)))) + 0.01 as meters
      from (
        select t4.location as location
        from latest_positions as t4 join vehicles as t3 on t3.id = t4.vehicle_id
        where t3.status = $5::varchar
        order by t4.location <-> st_setsrid(st_makepoint($3::float, $4::float), 4326)
        limit $6::integer
      ) as q5
    ) as q6 on (t8.location && st_expand(st_setsrid(st_makepoint($3::float, $4::float), 4326), q6.meters / cast(110000.0 as double precision))) and st_dwithin(cast(t8.location as geography(geometry,4326)), cast(st_setsrid(st_makepoint($3::float, $4::float), 4326) as geography(geometry,4326)), q6.meters)
    where t7.status = $5::varchar
    order by meters, t7.id
    limit $6::integer
  ) as q10
), 'UTF8') as r1;
-- $1 = 34.7617
-- $2 = -0.0917
-- $3 = 34.7617
-- $4 = -0.0917
-- $5 = 'available'
-- $6 = 5
