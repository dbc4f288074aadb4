select convert_to((
  select '{"nodes":[' || coalesce(string_agg(p3.j0, ','), '') || (']}') as json
  from (
    select '{"code":' || cast(to_json(t1.code) as text) ||
    ',"name":' || cast(to_json(t1.name) as text) ||
    ',"population":' || cast(t1.population as text) || '}' as j0
    from wards as t1
    where t1.population <= $1::integer and t1.population > $2::integer and not coalesce(exists (
      select 1
      from sub_counties as t2
      where t2.id = t1.sub_county_id and t2.code = any($3::text[])
    ), false) and (starts_with(lower(t1.name), lower($4::varchar)) or t1.code != all($5::text[]))
    order by t1.code asc, t1.id asc
    limit $6::integer
  ) as p3
), 'UTF8') as r0;
-- $1 = 25000
-- $2 = 20000
-- $3 = ['238', '239']
-- $4 = 'w'
-- $5 = ['1204']
-- $6 = 50
