select convert_to((
  select '{"totalCount":' || cast((
    select count(*) as count_1
    from wards as t3
    where st_coveredby(t3.boundary, st_setsrid(st_geomfromewkb($1::bytea), 4326))
  ) as text) ||
  ',"nodes":[' || coalesce(string_agg(p2.j0, ','), '') || (']}') as json
  from (
    select '{"code":' || cast(to_json(t1.code) as text) || '}' as j0
    from wards as t1
    where st_coveredby(t1.boundary, st_setsrid(st_geomfromewkb($1::bytea), 4326))
    order by t1.code asc, t1.id asc
    limit $2::integer
  ) as p2
), 'UTF8') as r0, convert_to((
  select '{"totalCount":' || cast((
    select count(*) as count_2
    from wards as t6
    where st_intersects(t6.boundary, st_setsrid(st_geomfromewkb($3::bytea), 4326))
  ) as text) ||
  ',"nodes":[' || coalesce(string_agg(p5.j0, ','), '') || (']}') as json
  from (
    select '{"code":' || cast(to_json(t4.code) as text) || '}' as j0
    from wards as t4
    where st_intersects(t4.boundary, st_setsrid(st_geomfromewkb($3::bytea), 4326))
    order by t4.code asc, t4.id asc
    limit $4::integer
  ) as p5
), 'UTF8') as r1;
-- $1 = b'\x01\x03\x00\x00\x00\x01\x00\x00\x00\x05\x00\x00\x00\x9a\x99\x99\x99\x99YA@{\x14\xaeG\xe1z\xc4\xbf)\\\x8f\xc2\xf5hA@{\x14\xaeG\xe1z\xc4\xbf)\\\x8f\xc2\xf5hA@{\x14\xaeG\xe1z\xa4\xbf\x9a\x99\x99\x99\x99YA@{\x14\xaeG\xe1z\xa4\xbf\x9a\x99\x99\x99\x99YA@{\x14\xaeG\xe1z\xc4\xbf'
-- $2 = 50
-- $3 = b'\x01\x03\x00\x00\x00\x01\x00\x00\x00\x05\x00\x00\x00\x9a\x99\x99\x99\x99YA@{\x14\xaeG\xe1z\xc4\xbf)\\\x8f\xc2\xf5hA@{\x14\xaeG\xe1z\xc4\xbf)\\\x8f\xc2\xf5hA@{\x14\xaeG\xe1z\xa4\xbf\x9a\x99\x99\x99\x99YA@{\x14\xaeG\xe1z\xa4\xbf\x9a\x99\x99\x99\x99YA@{\x14\xaeG\xe1z\xc4\xbf'
-- $4 = 50
