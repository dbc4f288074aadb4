select convert_to((
  select '{"nodes":[' || coalesce(string_agg(p2.j0, ','), '') || (']}') as json
  from (
    select '{"code":' || cast(to_json(t1.code) as text) ||
    ',"name":' || cast(to_json(t1.name) as text) || '}' as j0
    from wards as t1
    where st_intersects(t1.boundary, st_envelope(st_makeenvelope($1::float, $2::float, $3::float, $4::float, 4326)))
    order by t1.code asc, t1.id asc
    limit $5::integer
  ) as p2
), 'UTF8') as r0;
-- $1 = 34.74
-- $2 = -0.11
-- $3 = 34.77
-- $4 = -0.09
-- $5 = 50
