select convert_to(coalesce((
  select '{"code":' || cast(to_json(t1.code) as text) || '}' as json
  from wards as t1
  where st_covers(t1.boundary, st_setsrid(st_makepoint($1::float, $2::float), 4326))
  order by t1.code, t1.id
  limit 1
), 'null'), 'UTF8') as r0, convert_to(coalesce((
  select '{"code":' || cast(to_json(t2.code) as text) ||
  ',"name":' || cast(to_json(t2.name) as text) ||
  ',"distanceMeters":' || coalesce(cast(to_json(st_distance(cast(t2.boundary as geography(geometry,4326)), cast(st_setsrid(st_makepoint($3::float, $4::float), 4326) as geography(geometry,4326)))) as text), 'null') || '}' as json
  from wards as t2
  where t2.id = (
    select candidates.id
    from (
      select candidate.id as id, candidate.boundary as boundary
      from wards as candidate
      order by candidate.boundary <-> st_setsrid(st_makepoint($5::float, $6::float), 4326)
      limit 9
    ) as candidates
    order by st_distance(cast(candidates.boundary as geography(geometry,4326)), cast(st_setsrid(st_makepoint($5::float, $6::float), 4326) as geography(geometry,4326))), candidates.id
    limit 1
  )
), 'null'), 'UTF8') as r1;
-- $1 = 34.6
-- $2 = -0.2
-- $3 = 34.6
-- $4 = -0.2
-- $5 = 34.6
-- $6 = -0.2
