select convert_to((
  select '{"totalCount":' || cast((
    select count(*) as count_1
    from wards as t4
    where (t4.boundary && st_expand(st_setsrid(st_makepoint($1::float, $2::float), 4326), $3::float / cast(110000.0 as double precision))) and st_dwithin(cast(t4.boundary as geography(geometry,4326)), cast(st_setsrid(st_makepoint($1::float, $2::float), 4326) as geography(geometry,4326)), $3::float)
  ) as text) ||
  ',"nodes":[' || coalesce(string_agg(p3.j0, ',' order by p3.n asc) filter (where p3.n <= $4::integer), '') || '],"pageInfo":{"hasNextPage":' || cast(count(*) > $4::integer as text) ||
  ',"hasPreviousPage":false,"startCursor":' || coalesce('"' || (array_agg(p3.cursor order by p3.n asc) filter (where p3.n <= $4::integer))[1] || '"', 'null') ||
  ',"endCursor":' || coalesce('"' || (array_agg(p3.cursor order by p3.n desc) filter (where p3.n <= $4::integer))[1] || '"', 'null') || '}}' as json
  from (
    select p2.j0 as j0, p2.cursor as cursor, row_number() over () as n
    from (
      select '{"code":' || cast(to_json(t1.code) as text) ||
      ',"name":' || cast(to_json(t1.name) as text) ||
      ',"distanceMeters":' || coalesce(cast(to_json(st_distance(cast(t1.boundary as geography(geometry,4326)), cast(st_setsrid(st_makepoint($5::float, $6::float), 4326) as geography(geometry,4326)))) as text), 'null') || '}' as j0, translate(encode(convert_to(cast(json_build_array($7::varchar, st_distance(cast(t1.boundary as geography(geometry,4326)), cast(st_setsrid(st_makepoint($8::float, $9::float), 4326) as geography(geometry,4326))), cast(t1.id as text)) as text), 'UTF8'), 'base64'), e'\n', '') as cursor
      from wards as t1
      where (t1.boundary && st_expand(st_setsrid(st_makepoint($1::float, $2::float), 4326), $3::float / cast(110000.0 as double precision))) and st_dwithin(cast(t1.boundary as geography(geometry,4326)), cast(st_setsrid(st_makepoint($1::float, $2::float), 4326) as geography(geometry,4326)), $3::float)
      order by st_distance(cast(t1.boundary as geography(geometry,4326)), cast(st_setsrid(st_makepoint($8::float, $9::float), 4326) as geography(geometry,4326))) asc, t1.id asc
      limit $4::integer + 1
    ) as p2
  ) as p3
), 'UTF8') as r0;
-- $1 = 34.7617
-- $2 = -0.0917
-- $3 = 1500.0
-- $4 = 5
-- $5 = 34.7617
-- $6 = -0.0917
-- $7 = '5cf0ddd30d02'
-- $8 = 34.7617
-- $9 = -0.0917
