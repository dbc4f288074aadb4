select convert_to((
  select '{"nodes":[' || coalesce(string_agg(p3.j0, ','), '') || (']}') as json
  from (
    select '{"code":' || cast(to_json(t1.code) as text) || '}' as j0
    from wards as t1
    where exists (
      select 1
      from sub_counties as t2
      where t2.id = t1.sub_county_id and t2.name = $1::varchar
    )
    order by t1.code asc, t1.id asc
    limit $2::integer
  ) as p3
), 'UTF8') as r0, convert_to((
  select '{"nodes":[' || coalesce(string_agg(p6.j0, ','), '') || (']}') as json
  from (
    select '{"name":' || cast(to_json(t4.name) as text) || '}' as j0
    from sub_counties as t4
    where not (exists (
      select 1
      from wards as t5
      where t5.sub_county_id = t4.id and t5.area_km2 < $3::float
    ))
    order by t4.code asc, t4.id asc
    limit $4::integer
  ) as p6
), 'UTF8') as r1, convert_to((
  select '{"nodes":[' || coalesce(string_agg(p9.j0, ','), '') || (']}') as json
  from (
    select '{"name":' || cast(to_json(t7.name) as text) || '}' as j0
    from sub_counties as t7
    where exists (
      select 1
      from wards as t8
      where t8.sub_county_id = t7.id and t8.population >= $5::integer
    )
    order by t7.code asc, t7.id asc
    limit $6::integer
  ) as p9
), 'UTF8') as r2, convert_to((
  select '{"nodes":[' || coalesce(string_agg(p12.j0, ','), '') || (']}') as json
  from (
    select '{"name":' || cast(to_json(t10.name) as text) || '}' as j0
    from sub_counties as t10
    where not (exists (
      select 1
      from wards as t11
      where t11.sub_county_id = t10.id and not coalesce(t11.area_km2 > $7::float, false)
    ))
    order by t10.code asc, t10.id asc
    limit $8::integer
  ) as p12
), 'UTF8') as r3;
-- $1 = 'Seme'
-- $2 = 50
-- $3 = 5.0
-- $4 = 50
-- $5 = 40000
-- $6 = 50
-- $7 = 50.0
-- $8 = 50
