select convert_to((
  select '{"nodes":[' || coalesce(string_agg(p5.j0, ',' order by p5.n asc) filter (where p5.n <= $1::integer), '') || '],"pageInfo":{"hasNextPage":' || cast(count(*) > $1::integer as text) ||
  ',"endCursor":' || coalesce('"' || (array_agg(p5.cursor order by p5.n desc) filter (where p5.n <= $1::integer))[1] || '"', 'null') || '}}' as json
  from (
    select p4.j0 as j0, p4.cursor as cursor, row_number() over () as n
    from (
      select '{"id":' || '"' || cast(t1.id as text) || '"' ||
      ',"reference":' || cast(to_json(t1.reference) as text) ||
      ',"title":' || cast(to_json(t1.title) as text) ||
      ',"kind":' || '"' || upper(t1.kind) || '"' ||
      ',"severity":' || '"' || upper(t1.severity) || '"' ||
      ',"status":' || '"' || upper(t1.status) || '"' ||
      ',"reportedAt":' || to_char(timezone('UTC', t1.reported_at), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""') ||
      ',"location":' || st_asgeojson(t1.location, 7) ||
      ',"ward":' || coalesce((
        select '{"code":' || cast(to_json(t2.code) as text) ||
        ',"name":' || cast(to_json(t2.name) as text) ||
        ',"subCounty":' || coalesce((
          select '{"name":' || cast(to_json(t3.name) as text) || '}' as json
          from sub_counties as t3
          where t3.id = t2.sub_county_id
        ), 'null') || '}' as json
        from wards as t2
        where t2.id = t1.ward_id
      ), 'null') || '}' as j0, translate(encode(convert_to(cast(json_build_array('0a1c236372ec', to_char(timezone('UTC', t1.reported_at), 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'), cast(t1.id as text)) as text), 'UTF8'), 'base64'), e'\n', '') as cursor
      from incidents as t1
      where (t1.location && st_envelope(st_makeenvelope($2::float, $3::float, $4::float, $5::float, 4326))) and case when (st_x(t1.location) between $2::float and $4::float and st_y(t1.location) between $3::float and $5::float) then true else false end
      order by t1.reported_at desc, t1.id asc
      limit $1::integer + 1
    ) as p4
  ) as p5
), 'UTF8') as r0;
-- $1 = 50
-- $2 = 34.8
-- $3 = -0.3
-- $4 = 35.0
-- $5 = -0.1
