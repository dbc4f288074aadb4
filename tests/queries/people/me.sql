select convert_to(coalesce((
  select '{"id":"' || cast(t1.id as text) || '","name":' || cast(to_json(t1.name) as text) ||
  ',"displayName":' || cast(to_json(t1.display_name) as text) ||
  ',"roles":' || coalesce(cast(to_json(cast(upper(cast(array((
    select person_roles.role
    from person_roles
    where person_roles.person_id = t1.id and person_roles.revoked_at is null
    order by person_roles.role
  )) as text)) as text[])) as text), 'null') ||
  ',"areas":' || (
    select '[' || coalesce(string_agg('{"code":' || cast(to_json(t2.code) as text) ||
    ',"name":' || coalesce(cast(to_json(coalesce((
      select wards.name
      from wards
      where wards.id = t2.id
    ), (
      select sub_counties.name
      from sub_counties
      where sub_counties.id = t2.id
    ), (
      select counties.name
      from counties
      where counties.id = t2.id
    ))) as text), 'null') || '}', ',' order by t2.level, t2.code, t2.id), '') || ']' as anon_1
    from areas as t2
    where t2.id in (
      select person_areas.area_id
      from person_areas
      where person_areas.person_id = t1.id and person_areas.until is null
    )
  ) || '}' as json
  from people as t1
  where t1.id = (select nullif(current_setting('hub.person', true), '')::uuid)
), 'null'), 'UTF8') as r0;
