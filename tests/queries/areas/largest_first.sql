select convert_to((
  select '{"nodes":[' || coalesce(string_agg(p3.j0, ',' order by p3.n asc) filter (where p3.n <= $1::integer), '') || '],"pageInfo":{"hasNextPage":' || cast(count(*) > $1::integer as text) ||
  ',"endCursor":' || coalesce('"' || (array_agg(p3.cursor order by p3.n desc) filter (where p3.n <= $1::integer))[1] || '"', 'null') || '}}' as json
  from (
    select p2.j0 as j0, p2.cursor as cursor, row_number() over () as n
    from (
      select '{"code":' || cast(to_json(t1.code) as text) ||
      ',"name":' || cast(to_json(t1.name) as text) ||
      ',"areaKm2":' || cast(to_json(t1.area_km2) as text) || '}' as j0, translate(encode(convert_to(cast(json_build_array('a8cccf08a34b', t1.area_km2, t1.name, cast(t1.id as text)) as text), 'UTF8'), 'base64'), e'\n', '') as cursor
      from wards as t1
      order by t1.area_km2 desc, t1.name asc, t1.id asc
      limit $1::integer + 1
    ) as p2
  ) as p3
), 'UTF8') as r0;
-- $1 = 3
