select convert_to((
  select '{"nodes":[' || coalesce(string_agg(p6.j0, ',') filter (where p6.n <= $1::integer), '') || '],"pageInfo":{"endCursor":' || case when (least(count(*), $1::integer) > 0) then '"' || translate(encode(convert_to(cast(json_build_array('aa3768dfe57e', (array_agg(p6.k0))[cast(least(count(*), $1::integer) as integer)], (array_agg(p6.k1))[cast(least(count(*), $1::integer) as integer)], cast((array_agg(p6.k2))[cast(least(count(*), $1::integer) as integer)] as text)) as text), 'UTF8'), 'base64'), e'\n', '') || '"' else 'null' end ||
  ',"hasNextPage":' || cast(count(*) > $1::integer as text) || ('}}') as json
  from (
    select p5.j0 as j0, p5.k0 as k0, p5.k1 as k1, p5.k2 as k2, row_number() over () as n
    from (
      select '{"name":' || cast(to_json(t1.name) as text) ||
      ',"areaKm2":' || cast(to_json(t1.area_km2) as text) ||
      ',"subCounty":' || coalesce((
        select '{"name":' || cast(to_json(t2.name) as text) || '}' as json
        from sub_counties as t2
        where t2.id = t1.sub_county_id
      ), 'null') || '}' as j0, (
        select t3.name
        from sub_counties as t3
        where t3.id = t1.sub_county_id
      ) as k0, t1.area_km2 as k1, t1.id as k2
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
