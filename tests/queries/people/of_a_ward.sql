select convert_to((
  select '{"totalCount":' || cast((
    select count(*) as count_1
    from people as t4
    where t4.disabled_at is null and (exists (
      select 1
      from areas as t5
      where t5.id in (
        select person_areas.area_id
        from person_areas
        where person_areas.person_id = t4.id and person_areas.until is null
      ) and t5.code = $1::varchar
    ))
  ) as text) ||
  ',"nodes":[' || coalesce(string_agg(p3.j0, ','), '') || (']}') as json
  from (
    select '{"displayName":' || cast(to_json(t1.display_name) as text) ||
    ',"roles":' || coalesce(cast(to_json(cast(upper(cast(array((
      select person_roles.role
      from person_roles
      where person_roles.person_id = t1.id and person_roles.revoked_at is null
      order by person_roles.role
    )) as text)) as text[])) as text), 'null') ||
    ',"version":' || cast(t1.version as text) || '}' as j0
    from people as t1
    where t1.disabled_at is null and (exists (
      select 1
      from areas as t2
      where t2.id in (
        select person_areas.area_id
        from person_areas
        where person_areas.person_id = t1.id and person_areas.until is null
      ) and t2.code = $1::varchar
    ))
    order by t1.name asc, t1.id asc
    limit $2::integer
  ) as p3
), 'UTF8') as r0;
-- $1 = '1208'
-- $2 = 20
