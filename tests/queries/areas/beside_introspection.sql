select convert_to(coalesce((
  select '{"name":' || cast(to_json(t1.name) as text) || '}' as json
  from wards as t1
  where t1.code = $1::varchar
  order by t1.code, t1.id
  limit 1
), 'null'), 'UTF8') as r0;
-- $1 = '1197'
