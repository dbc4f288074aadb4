select convert_to((
  select '{"nodes":[' || coalesce(string_agg(p4.j0, ','), '') || (']}') as json
  from (
    select '{"code":' || cast(to_json(t1.code) as text) ||
    ',"name":' || cast(to_json(t1.name) as text) ||
    ',"population":' || cast(t1.population as text) ||
    ',"areaKm2":' || cast(to_json(t1.area_km2) as text) ||
    ',"boundary":' || t1.boundary_json ||
    ',"subCounty":' || coalesce(((
      select array_agg('{"code":' || cast(to_json(t2.code) as text) ||
      ',"name":' || cast(to_json(t2.name) as text) || '}' order by t2.id) as array_agg_1
      from sub_counties as t2
    ))[array_position((
      select array_agg(t3.id order by t3.id) as array_agg_2
      from sub_counties as t3
    ), t1.sub_county_id)], 'null') || '}' as j0
    from wards as t1
    order by t1.code asc, t1.id asc
    limit $1::integer
  ) as p4
), 'UTF8') as r0;
-- $1 = 100
