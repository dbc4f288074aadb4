select convert_to((
  select '{"nodes":[' || coalesce(string_agg(p3.j0, ','), '') || (']}') as json
  from (
    select '{"code":' || cast(to_json(t1.code) as text) ||
    ',"name":' || cast(to_json(t1.name) as text) ||
    ',"aliases":' || cast(to_json(t1.aliases) as text) || '}' as j0
    from wards as t1
    where strpos(lower(t1.name), lower($1::varchar)) > 0 or (exists (
      select 1
      from unnest(t1.aliases) as u2(text)
      where strpos(lower(u2.text), lower($2::varchar)) > 0
    ))
    order by t1.code asc, t1.id asc
    limit $3::integer
  ) as p3
), 'UTF8') as r0;
-- $1 = 'shauri'
-- $2 = 'shauri'
-- $3 = 50
