select convert_to((
  select '{"totalCount":' || cast((
    select count(*) as count_1
    from wards as t4
    where (t4.boundary && st_expand(st_setsrid(st_makepoint($1::float, $2::float), 4326), $3::float / cast(110000.0 as double precision))) and st_dwithin(cast(t4.boundary as geography(geometry,4326)), cast(st_setsrid(st_makepoint($1::float, $2::float), 4326) as geography(geometry,4326)), $3::float)
  ) as text) ||
  ',"nodes":[' || coalesce(string_agg(p3.j0, ',') filter (where p3.n <= $4::integer), '') || '],"pageInfo":{"hasNextPage":' || cast(count(*) > $4::integer as text) ||
  ',"hasPreviousPage":false,"startCursor":' || case when (least(count(*), $4::integer) > 0) then '"' || translate(encode(convert_to(cast(json_build_array($5::varchar, (array_agg(p3.k0))[1], cast((array_agg(p3.k1))[1] as text)) as text), 'UTF8'), 'base64'), e'\n', '') || '"' else 'null' end ||
  ',"endCursor":' || case when (least(count(*), $4::integer) > 0) then '"' || translate(encode(convert_to(cast(json_build_array($5::varchar, (array_agg(p3.k0))[cast(least(count(*), $4::integer) as integer)], cast((array_agg(p3.k1))[cast(least(count(*), $4::integer) as integer)] as text)) as text), 'UTF8'), 'base64'), e'\n', '') || '"' else 'null' end || ('}}') as json
  from (
    select p2.j0 as j0, p2.k0 as k0, p2.k1 as k1, row_number() over () as n
    from (
      select '{"code":' || cast(to_json(t1.code) as text) ||
      ',"name":' || cast(to_json(t1.name) as text) ||
      ',"distanceMeters":' || coalesce(cast(to_json(st_distance(cast(t1.boundary as geography(geometry,4326)), cast(st_setsrid(st_makepoint($6::float, $7::float), 4326) as geography(geometry,4326)))) as text), 'null') || '}' as j0, st_distance(cast(t1.boundary as geography(geometry,4326)), cast(st_setsrid(st_makepoint($8::float, $9::float), 4326) as geography(geometry,4326))) as k0, t1.id as k1
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
-- $5 = '5cf0ddd30d02'
-- $6 = 34.7617
-- $7 = -0.0917
-- $8 = 34.7617
-- $9 = -0.0917
