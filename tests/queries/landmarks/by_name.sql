select convert_to((
  select '{"nodes":[' || coalesce(string_agg(p4.j0, ','), '') || (']}') as json
  from (
    select '{"id":"' || cast(t1.id as text) || '","name":' || cast(to_json(t1.name) as text) ||
    ',"kind":"' || upper(t1.kind collate "C") || '","location":' || st_asgeojson(t1.location, 7) ||
    ',"accuracyMeters":' || cast(t1.accuracy_meters as text) ||
    ',"ward":' || coalesce((
      select '{"code":' || cast(to_json(t2.code) as text) ||
      ',"name":' || cast(to_json(t2.name) as text) || '}' as json
      from wards as t2
      where st_covers(t2.boundary, t1.location)
      order by t2.code, t2.id
      limit 1
    ), 'null') ||
    ',"source":' || coalesce((
      select '{"attribution":' || cast(to_json(t3.attribution) as text) || '}' as json
      from sources as t3
      where t3.id = t1.source_id
    ), 'null') || '}' as j0
    from landmarks as t1
    where strpos(lower(t1.name), lower($1::varchar)) > 0
    order by t1.name asc, t1.id asc
    limit $2::integer
  ) as p4
), 'UTF8') as r0;
-- $1 = 'nyando'
-- $2 = 5
