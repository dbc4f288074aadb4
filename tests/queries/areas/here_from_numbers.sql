select convert_to(coalesce((
  select '{"code":' || cast(to_json(t1.code) as text) || '}' as json
  from wards as t1
  where st_covers(t1.boundary, st_setsrid(st_makepoint($1::float, $2::float), 4326))
  order by t1.code, t1.id
  limit 1
), 'null'), 'UTF8') as r0, convert_to(coalesce((
  select '{"code":' || cast(to_json(t2.code) as text) || '}' as json
  from wards as t2
  where t2.id = (
    select candidates.id
    from (
      select candidate.id as id, candidate.boundary as boundary
      from wards as candidate
      order by candidate.boundary <-> st_setsrid(st_makepoint($3::float, $4::float), 4326)
      limit 9
    ) as candidates
    order by st_distance(cast(candidates.boundary as geography(geometry,4326)), cast(st_setsrid(st_makepoint($3::float, $4::float), 4326) as geography(geometry,4326))), candidates.id
    limit 1
  )
), 'null'), 'UTF8') as r1;
-- $1 = 34.7617
-- $2 = -0.0917
-- $3 = 34.7617
-- $4 = -0.0917
