select convert_to((
  select '{"nodes":[' || coalesce(string_agg(p3.j0, ',') filter (where p3.n <= $1::integer), '') || '],"pageInfo":{"hasNextPage":' || cast(count(*) > $1::integer as text) ||
  ',"endCursor":' || case when (least(count(*), $1::integer) > 0) then '"' || translate(encode(convert_to(cast(json_build_array('a8cccf08a34b', (array_agg(p3.k0))[cast(least(count(*), $1::integer) as integer)], (array_agg(p3.k1))[cast(least(count(*), $1::integer) as integer)], cast((array_agg(p3.k2))[cast(least(count(*), $1::integer) as integer)] as text)) as text), 'UTF8'), 'base64'), e'\n', '') || '"' else 'null' end || ('}}') as json
  from (
    select p2.j0 as j0, p2.k0 as k0, p2.k1 as k1, p2.k2 as k2, row_number() over () as n
    from (
      select '{"code":' || cast(to_json(t1.code) as text) ||
      ',"name":' || cast(to_json(t1.name) as text) ||
      ',"areaKm2":' || cast(to_json(t1.area_km2) as text) || '}' as j0, t1.area_km2 as k0, t1.name as k1, t1.id as k2
      from wards as t1
      order by t1.area_km2 desc, t1.name asc, t1.id asc
      limit $1::integer + 1
    ) as p2
  ) as p3
), 'UTF8') as r0;
-- $1 = 3
