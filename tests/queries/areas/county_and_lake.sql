select convert_to(coalesce((
  select '{"code":' || cast(to_json(t1.code) as text) ||
  ',"name":' || cast(to_json(t1.name) as text) ||
  ',"population":' || cast(t1.population as text) ||
  ',"populationYear":' || cast(t1.population_year as text) ||
  ',"areaKm2":' || cast(to_json(t1.area_km2) as text) ||
  ',"labelPoint":' || st_asgeojson(t1.label_point, 7) ||
  ',"waters":' || (
    select '{"nodes":[' || coalesce(string_agg(p3.j0, ','), '') || (']}') as json
    from (
      select '{"name":' || cast(to_json(t2.name) as text) ||
      ',"areaKm2":' || cast(to_json(t2.area_km2) as text) ||
      ',"approximate":' || cast(t2.approximate as text) ||
      ',"note":' || coalesce(cast(to_json(t2.note) as text), 'null') || '}' as j0
      from waters as t2
      where t2.county_id = t1.id
      order by t2.name asc, t2.id asc
      limit $1::integer
    ) as p3
  ) || '}' as json
  from counties as t1
  order by t1.code, t1.id
  limit 1
), 'null'), 'UTF8') as r0;
-- $1 = 50
