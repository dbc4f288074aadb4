select convert_to((
  select '{"nodes":[' || coalesce(string_agg(p3.j0, ','), '') || ']}' as json
  from (
    select '{"code":' || cast(to_json(t1.code) as text) ||
    ',"name":' || cast(to_json(t1.name) as text) ||
    ',"population":' || cast(t1.population as text) ||
    ',"areaKm2":' || cast(to_json(t1.area_km2) as text) ||
    ',"boundary":' || t1.boundary_json ||
    ',"subCounty":' || coalesce((
      select '{"code":' || cast(to_json(t2.code) as text) ||
      ',"name":' || cast(to_json(t2.name) as text) || '}' as json
      from sub_counties as t2
      where t2.id = t1.sub_county_id
    ), 'null') || '}' as j0
    from wards as t1
    order by t1.code asc, t1.id asc
    limit $1::integer
  ) as p3
), 'UTF8') as r0;
-- $1 = 100
