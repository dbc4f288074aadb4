select convert_to(coalesce((
  select '{"code":' || cast(to_json(t1.code) as text) ||
  ',"name":' || cast(to_json(t1.name) as text) ||
  ',"subCounty":' || coalesce((
    select '{"code":' || cast(to_json(t2.code) as text) ||
    ',"name":' || cast(to_json(t2.name) as text) || '}' as json
    from sub_counties as t2
    where t2.id = t1.sub_county_id
  ), 'null') || '}' as json
  from wards as t1
  where st_covers(t1.boundary, st_setsrid(st_makepoint($1::float, $2::float), 4326))
  order by t1.code, t1.id
  limit 1
), 'null'), 'UTF8') as r0;
-- $1 = 34.7617
-- $2 = -0.0917
