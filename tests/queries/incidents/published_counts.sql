select convert_to((
  select '{"totalCount":' || cast((
    select count(*) as count_1
    from incident_counts as t4
    where t4.kind = $1::varchar
  ) as text) ||
  ',"nodes":[' || coalesce(string_agg(p3.j0, ','), '') || (']}') as json
  from (
    select '{"day":' || cast(to_json(t1.day) as text) ||
    ',"kind":"' || upper(t1.kind collate "C") || '","count":' || cast(t1.count as text) ||
    ',"ward":' || coalesce((
      select '{"code":' || cast(to_json(t2.code) as text) ||
      ',"name":' || cast(to_json(t2.name) as text) || '}' as json
      from wards as t2
      where t2.id = t1.ward_id
    ), 'null') || '}' as j0
    from incident_counts as t1
    where t1.kind = $1::varchar
    order by t1.day desc, t1.id asc
    limit $2::integer
  ) as p3
), 'UTF8') as r0;
-- $1 = 'flood'
-- $2 = 10
