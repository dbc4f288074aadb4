select convert_to(coalesce((
  select '{"__typename":"County","id":"' || cast(t1.id as text) || '"}' as anon_1
  from counties as t1
  where t1.id = $1::uuid
), (
  select '{"__typename":"Water","id":"' || cast(t2.id as text) || '"}' as anon_2
  from waters as t2
  where t2.id = $1::uuid
), (
  select '{"__typename":"Source","id":"' || cast(t3.id as text) || '"}' as anon_3
  from sources as t3
  where t3.id = $1::uuid
), (
  select '{"__typename":"SubCounty","id":"' || cast(t4.id as text) || '"}' as anon_4
  from sub_counties as t4
  where t4.id = $1::uuid
), (
  select '{"__typename":"Ward","id":"' || cast(t5.id as text) || '"}' as anon_5
  from wards as t5
  where t5.id = $1::uuid
), (
  select '{"__typename":"Landmark","id":"' || cast(t6.id as text) || '"}' as anon_6
  from landmarks as t6
  where t6.id = $1::uuid
), (
  select '{"__typename":"Person","id":"' || cast(t7.id as text) || '"}' as anon_7
  from people as t7
  where t7.id = $1::uuid
), (
  select '{"__typename":"Incident","id":"' || cast(t8.id as text) || '","title":' || cast(to_json(t8.title) as text) ||
  ',"ward":' || coalesce((
    select '{"name":' || cast(to_json(t9.name) as text) || '}' as json
    from wards as t9
    where t9.id = t8.ward_id
  ), 'null') ||
  ',"timeline":' || (
    select '{"totalCount":' || cast((
      select count(*) as count_1
      from incident_entries as t10
      where t10.incident_id = t8.id
    ) as text) || ('}') as json
  ) || '}' as anon_8
  from incidents as t8
  where t8.id = $1::uuid
), (
  select '{"__typename":"IncidentEntry","id":"' || cast(t11.id as text) || '"}' as anon_9
  from incident_entries as t11
  where t11.id = $1::uuid
), (
  select '{"__typename":"Photo","id":"' || cast(t12.id as text) || '"}' as anon_10
  from photos as t12
  where t12.id = $1::uuid
), (
  select '{"__typename":"Vehicle","id":"' || cast(t13.id as text) || '","plate":' || cast(to_json(t13.plate) as text) || '}' as anon_11
  from vehicles as t13
  where t13.id = $1::uuid
), (
  select '{"__typename":"Department","id":"' || cast(t14.id as text) || '"}' as anon_12
  from departments as t14
  where t14.id = $1::uuid
), (
  select '{"__typename":"Device","id":"' || cast(t15.id as text) || '"}' as anon_13
  from devices as t15
  where t15.id = $1::uuid
), (
  select '{"__typename":"VehicleDriver","id":"' || cast(t16.id as text) || '"}' as anon_14
  from vehicle_drivers as t16
  where t16.id = $1::uuid
), (
  select '{"__typename":"QuarantinedFix","id":"' || cast(t17.id as text) || '"}' as anon_15
  from quarantined_fixes as t17
  where t17.id = $1::uuid
), (
  select '{"__typename":"Patrol","id":"' || cast(t18.id as text) || '"}' as anon_16
  from patrols as t18
  where t18.id = $1::uuid
), (
  select '{"__typename":"Unit","id":"' || cast(t19.id as text) || '"}' as anon_17
  from units as t19
  where t19.id = $1::uuid
), (
  select '{"__typename":"Beat","id":"' || cast(t20.id as text) || '"}' as anon_18
  from beats as t20
  where t20.id = $1::uuid
), (
  select '{"__typename":"Checkpoint","id":"' || cast(t21.id as text) || '"}' as anon_19
  from checkpoints as t21
  where t21.id = $1::uuid
), (
  select '{"__typename":"PatrolMember","id":"' || cast(t22.id as text) || '"}' as anon_20
  from patrol_members as t22
  where t22.id = $1::uuid
), 'null'), 'UTF8') as r0, convert_to(coalesce((
  select '{"id":"' || cast(t23.id as text) || '","__typename":"County"}' as anon_21
  from counties as t23
  where t23.id = $2::uuid
), (
  select '{"id":"' || cast(t24.id as text) || '","__typename":"Water"}' as anon_22
  from waters as t24
  where t24.id = $2::uuid
), (
  select '{"id":"' || cast(t25.id as text) || '","__typename":"Source"}' as anon_23
  from sources as t25
  where t25.id = $2::uuid
), (
  select '{"id":"' || cast(t26.id as text) || '","__typename":"SubCounty"}' as anon_24
  from sub_counties as t26
  where t26.id = $2::uuid
), (
  select '{"id":"' || cast(t27.id as text) || '","__typename":"Ward","code":' || cast(to_json(t27.code) as text) ||
  ',"name":' || cast(to_json(t27.name) as text) || '}' as anon_25
  from wards as t27
  where t27.id = $2::uuid
), (
  select '{"id":"' || cast(t28.id as text) || '","__typename":"Landmark"}' as anon_26
  from landmarks as t28
  where t28.id = $2::uuid
), (
  select '{"id":"' || cast(t29.id as text) || '","__typename":"Person"}' as anon_27
  from people as t29
  where t29.id = $2::uuid
), (
  select '{"id":"' || cast(t30.id as text) || '","__typename":"Incident","title":' || cast(to_json(t30.title) as text) || '}' as anon_28
  from incidents as t30
  where t30.id = $2::uuid
), (
  select '{"id":"' || cast(t31.id as text) || '","__typename":"IncidentEntry"}' as anon_29
  from incident_entries as t31
  where t31.id = $2::uuid
), (
  select '{"id":"' || cast(t32.id as text) || '","__typename":"Photo"}' as anon_30
  from photos as t32
  where t32.id = $2::uuid
), (
  select '{"id":"' || cast(t33.id as text) || '","__typename":"Vehicle","plate":' || cast(to_json(t33.plate) as text) ||
  ',"department":' || coalesce((
    select '{"name":' || cast(to_json(t34.name) as text) || '}' as json
    from departments as t34
    where t34.id = t33.department_id
  ), 'null') || '}' as anon_31
  from vehicles as t33
  where t33.id = $2::uuid
), (
  select '{"id":"' || cast(t35.id as text) || '","__typename":"Department"}' as anon_32
  from departments as t35
  where t35.id = $2::uuid
), (
  select '{"id":"' || cast(t36.id as text) || '","__typename":"Device"}' as anon_33
  from devices as t36
  where t36.id = $2::uuid
), (
  select '{"id":"' || cast(t37.id as text) || '","__typename":"VehicleDriver"}' as anon_34
  from vehicle_drivers as t37
  where t37.id = $2::uuid
), (
  select '{"id":"' || cast(t38.id as text) || '","__typename":"QuarantinedFix"}' as anon_35
  from quarantined_fixes as t38
  where t38.id = $2::uuid
), (
  select '{"id":"' || cast(t39.id as text) || '","__typename":"Patrol"}' as anon_36
  from patrols as t39
  where t39.id = $2::uuid
), (
  select '{"id":"' || cast(t40.id as text) || '","__typename":"Unit"}' as anon_37
  from units as t40
  where t40.id = $2::uuid
), (
  select '{"id":"' || cast(t41.id as text) || '","__typename":"Beat"}' as anon_38
  from beats as t41
  where t41.id = $2::uuid
), (
  select '{"id":"' || cast(t42.id as text) || '","__typename":"Checkpoint"}' as anon_39
  from checkpoints as t42
  where t42.id = $2::uuid
), (
  select '{"id":"' || cast(t43.id as text) || '","__typename":"PatrolMember"}' as anon_40
  from patrol_members as t43
  where t43.id = $2::uuid
), 'null'), 'UTF8') as r1, convert_to(coalesce((
  select '{"id":"' || cast(t44.id as text) || '"}' as anon_41
  from counties as t44
  where t44.id = $3::uuid
), (
  select '{"id":"' || cast(t45.id as text) || '"}' as anon_42
  from waters as t45
  where t45.id = $3::uuid
), (
  select '{"id":"' || cast(t46.id as text) || '"}' as anon_43
  from sources as t46
  where t46.id = $3::uuid
), (
  select '{"id":"' || cast(t47.id as text) || '"}' as anon_44
  from sub_counties as t47
  where t47.id = $3::uuid
), (
  select '{"id":"' || cast(t48.id as text) || '"}' as anon_45
  from wards as t48
  where t48.id = $3::uuid
), (
  select '{"id":"' || cast(t49.id as text) || '"}' as anon_46
  from landmarks as t49
  where t49.id = $3::uuid
), (
  select '{"id":"' || cast(t50.id as text) || '"}' as anon_47
  from people as t50
  where t50.id = $3::uuid
), (
  select '{"id":"' || cast(t51.id as text) || '"}' as anon_48
  from incidents as t51
  where t51.id = $3::uuid
), (
  select '{"id":"' || cast(t52.id as text) || '"}' as anon_49
  from incident_entries as t52
  where t52.id = $3::uuid
), (
  select '{"id":"' || cast(t53.id as text) || '"}' as anon_50
  from photos as t53
  where t53.id = $3::uuid
), (
  select '{"id":"' || cast(t54.id as text) || '"}' as anon_51
  from vehicles as t54
  where t54.id = $3::uuid
), (
  select '{"id":"' || cast(t55.id as text) || '"}' as anon_52
  from departments as t55
  where t55.id = $3::uuid
), (
  select '{"id":"' || cast(t56.id as text) || '"}' as anon_53
  from devices as t56
  where t56.id = $3::uuid
), (
  select '{"id":"' || cast(t57.id as text) || '"}' as anon_54
  from vehicle_drivers as t57
  where t57.id = $3::uuid
), (
  select '{"id":"' || cast(t58.id as text) || '"}' as anon_55
  from quarantined_fixes as t58
  where t58.id = $3::uuid
), (
  select '{"id":"' || cast(t59.id as text) || '"}' as anon_56
  from patrols as t59
  where t59.id = $3::uuid
), (
  select '{"id":"' || cast(t60.id as text) || '"}' as anon_57
  from units as t60
  where t60.id = $3::uuid
), (
  select '{"id":"' || cast(t61.id as text) || '"}' as anon_58
  from beats as t61
  where t61.id = $3::uuid
), (
  select '{"id":"' || cast(t62.id as text) || '"}' as anon_59
  from checkpoints as t62
  where t62.id = $3::uuid
), (
  select '{"id":"' || cast(t63.id as text) || '"}' as anon_60
  from patrol_members as t63
  where t63.id = $3::uuid
), 'null'), 'UTF8') as r2;
-- $1 = UUID('01900000-0000-7000-8000-000000001001')
-- $2 = UUID('01900000-0000-7000-8000-000000000e01')
-- $3 = UUID('01900000-0000-7000-8000-00000000ffff')
