select convert_to(coalesce((
  select '{"__typename":"Ward","code":' || cast(to_json(t1.code) as text) ||
  ',"label":' || cast(to_json(t1.name) as text) ||
  ',"subCounty":' || coalesce((
    select '{"name":' || cast(to_json(t2.name) as text) || '}' as json
    from sub_counties as t2
    where t2.id = t1.sub_county_id
  ), 'null') ||
  ',"area":' || cast(to_json(t1.area_km2) as text) || '}' as json
  from wards as t1
  where t1.code = $1::varchar
  order by t1.code, t1.id
  limit 1
), 'null'), 'UTF8') as r0, convert_to(coalesce((
  select '{"__typename":"Ward","code":' || cast(to_json(t3.code) as text) ||
  ',"label":' || cast(to_json(t3.name) as text) ||
  ',"subCounty":' || coalesce((
    select '{"name":' || cast(to_json(t4.name) as text) || '}' as json
    from sub_counties as t4
    where t4.id = t3.sub_county_id
  ), 'null') || '}' as json
  from wards as t3
  where t3.code = $2::varchar
  order by t3.code, t3.id
  limit 1
), 'null'), 'UTF8') as r1, convert_to((
  select '{"__typename":"WardConnection","kind":"WardConnection","edges":[' || coalesce(string_agg(p7.j0, ','), '') || ('],"pageInfo":{"__typename":"PageInfo"}}') as json
  from (
    select '{"__typename":"WardEdge","node":' || '{"__typename":"Ward","code":' || cast(to_json(t5.code) as text) ||
    ',"label":' || cast(to_json(t5.name) as text) ||
    ',"subCounty":' || coalesce((
      select '{"name":' || cast(to_json(t6.name) as text) || '}' as json
      from sub_counties as t6
      where t6.id = t5.sub_county_id
    ), 'null') || '}' || '}' as j0
    from wards as t5
    order by t5.code asc, t5.id asc
    limit $3::integer
  ) as p7
), 'UTF8') as r2;
-- $1 = '1208'
-- $2 = '0000'
-- $3 = 1
