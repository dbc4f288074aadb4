select convert_to((
  select '{"nodes":[' || coalesce(string_agg(p14.j0, ','), '') || (']}') as json
  from (
    select '{"title":' || cast(to_json(t1.title) as text) ||
    ',"location":' || st_asgeojson(t1.location, 7) ||
    ',"nearestVehicles":' || (
      select '[' || coalesce(string_agg(q8.item, ',' order by q8.meters, q8.key), '') || ']' as anon_1
      from (
        select '{"distanceMeters":' || cast(to_json(st_distance(cast(t7.location as geography(geometry,4326)), cast(t1.location as geography(geometry,4326)))) as text) ||
        ',"vehicle":' || '{"plate":' || cast(to_json(t6.plate) as text) ||
        ',"kind":"' || upper(t6.kind collate "C") || '","status":"' || upper(t6.status collate "C") || '"}' || '}' as item, st_distance(cast(t7.location as geography(geometry,4326)), cast(t1.location as geography(geometry,4326))) as meters, t6.id as key
        from latest_positions as t7 join vehicles as t6 on t6.id = t7.vehicle_id join (
          select max(st_distance(cast(q4.location as geography(geometry,4326)), cast(t1.location as geography(geometry,4326)))) + 0.01 as meters
          from (
            select t3.location as location
            from latest_positions as t3 join vehicles as t2 on t2.id = t3.vehicle_id
            where t2.status != $1::varchar
            order by t3.location <-> t1.location
            limit $2::integer
          ) as q4
        ) as q5 on (t7.location && st_expand(t1.location, q5.meters / cast(110000.0 as double precision))) and st_dwithin(cast(t7.location as geography(geometry,4326)), cast(t1.location as geography(geometry,4326)), q5.meters)
        where t6.status != $1::varchar
        order by meters, t6.id
        limit $2::integer
      ) as q8
    ) ||
    ',"nearestLandmarks":' || (
      select '[' || coalesce(string_agg(q13.item, ',' order by q13.meters, q13.key), '') || ']' as anon_2
      from (
        select '{"distanceMeters":' || cast(to_json(st_distance(cast(t12.location as geography(geometry,4326)), cast(t1.location as geography(geometry,4326)))) as text) ||
        ',"landmark":' || '{"name":' || cast(to_json(t12.name) as text) || '}' || '}' as item, st_distance(cast(t12.location as geography(geometry,4326)), cast(t1.location as geography(geometry,4326))) as meters, t12.id as key
        from landmarks as t12 join (
          select max(st_distance(cast(q10.location as geography(geometry,4326)), cast(t1.location as geography(geometry,4326)))) + 0.01 as meters
          from (
            select t9.location as location
            from landmarks as t9
            where t9.kind = $3::varchar
            order by t9.location <-> t1.location
            limit $4::integer
          ) as q10
        ) as q11 on (t12.location && st_expand(t1.location, q11.meters / cast(110000.0 as double precision))) and st_dwithin(cast(t12.location as geography(geometry,4326)), cast(t1.location as geography(geometry,4326)), q11.meters)
        where t12.kind = $3::varchar
        order by meters, t12.id
        limit $4::integer
      ) as q13
    ) || '}' as j0
    from incidents as t1
    where t1.status != all($5::text[])
    order by t1.reported_at desc, t1.id asc
    limit $6::integer
  ) as p14
), 'UTF8') as r0;
-- $1 = 'out_of_service'
-- $2 = 2
-- $3 = 'hospital'
-- $4 = 1
-- $5 = ['closed', 'rejected']
-- $6 = 50
