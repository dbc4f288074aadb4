select convert_to((
  select '{"nodes":[' || coalesce(string_agg(p6.j0, ',' order by p6.n asc) filter (where p6.n <= $1::integer), '') || '],"pageInfo":{"endCursor":' || coalesce('"' || (array_agg(p6.cursor order by p6.n desc) filter (where p6.n <= $1::integer))[1] || '"', 'null') ||
  ',"hasNextPage":' || cast(count(*) > $1::integer as text) || '}}' as json
  from (
    select p5.j0 as j0, p5.cursor as cursor, row_number() over () as n
    from (
      select '{"name":' || cast(to_json(t1.name) as text) ||
      ',"areaKm2":' || cast(to_json(t1.area_km2) as text) ||
      ',"subCounty":' || coalesce((
        select '{"name":' || cast(to_json(t3.name) as text) || '}' as json
        from sub_counties as t3
        where t3.id = t1.sub_county_id
      ), 'null') || '}' as j0, translate(encode(convert_to(cast(json_build_array('aa3768dfe57e', (
        select t2.name
        from sub_counties as t2
        where t2.id = t1.sub_county_id
      ), t1.area_km2, cast(t1.id as text)) as text), 'UTF8'), 'base64'), e'\n', '') as cursor
      from wards as t1
      order by (
        select t4.name
        from sub_counties as t4
        where t4.id = t1.sub_county_id
      ) asc, t1.area_km2 desc, t1.id asc
      limit $1::integer + 1
    ) as p5
  ) as p6
), 'UTF8') as r0;
-- $1 = 3
