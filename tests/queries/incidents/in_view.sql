select convert_to((
  select '{"nodes":[' || coalesce(string_agg(p5.j0, ',') filter (where p5.n <= $1::integer), '') || '],"pageInfo":{"hasNextPage":' || cast(count(*) > $1::integer as text) ||
  ',"endCursor":' || case when (least(count(*), $1::integer) > 0) then '"' || translate(encode(convert_to(cast(json_build_array('0a1c236372ec', to_char(timezone('UTC', (array_agg(p5.k0))[cast(least(count(*), $1::integer) as integer)]), 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'), cast((array_agg(p5.k1))[cast(least(count(*), $1::integer) as integer)] as text)) as text), 'UTF8'), 'base64'), e'\n', '') || '"' else 'null' end || ('}}') as json
  from (
    select p4.j0 as j0, p4.k0 as k0, p4.k1 as k1, row_number() over () as n
    from (
      select '{"id":"' || cast(t1.id as text) || '","reference":' || cast(to_json(t1.reference) as text) ||
      ',"title":' || cast(to_json(t1.title) as text) ||
      ',"kind":"' || upper(t1.kind collate "C") || '","severity":"' || upper(t1.severity collate "C") || '","status":"' || upper(t1.status collate "C") || '","reportedAt":' || to_char(timezone('UTC', t1.reported_at), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""') ||
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
      ), 'null') || '}' as j0, t1.reported_at as k0, t1.id as k1
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
