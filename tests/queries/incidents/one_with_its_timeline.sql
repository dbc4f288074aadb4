select convert_to(coalesce((
  select '{"reference":' || cast(to_json(t1.reference) as text) ||
  ',"version":' || cast(t1.version as text) ||
  ',"kind":"' || upper(t1.kind collate "C") || '","title":' || cast(to_json(t1.title) as text) ||
  ',"description":' || coalesce(cast(to_json(t1.description) as text), 'null') ||
  ',"severity":"' || upper(t1.severity collate "C") || '","certainty":"' || upper(t1.certainty collate "C") || '","urgency":"' || upper(t1.urgency collate "C") || '","status":"' || upper(t1.status collate "C") || '","place":' || coalesce(cast(to_json(t1.place) as text), 'null') ||
  ',"precision":"' || upper(t1.precision collate "C") || '","beyondBorder":' || cast(t1.beyond_border as text) ||
  ',"occurredAt":' || to_char(timezone('UTC', t1.occurred_at), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""') ||
  ',"reportedAt":' || to_char(timezone('UTC', t1.reported_at), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""') ||
  ',"source":"' || upper(t1.source collate "C") || '","ward":' || coalesce((
    select '{"code":' || cast(to_json(t2.code) as text) ||
    ',"name":' || cast(to_json(t2.name) as text) || '}' as json
    from wards as t2
    where t2.id = t1.ward_id
  ), 'null') ||
  ',"reporter":' || coalesce((
    select '{"name":' || coalesce(cast(to_json(t3.name) as text), 'null') ||
    ',"phone":' || coalesce(cast(to_json(t3.phone) as text), 'null') || '}' as json
    from incident_reporters as t3
    where t3.incident_id = t1.id
    order by t3.id
    limit 1
  ), 'null') ||
  ',"reportedBy":' || coalesce((
    select '{"name":' || cast(to_json(t4.name) as text) || '}' as json
    from people as t4
    where t4.id = t1.reported_by
  ), 'null') ||
  ',"timeline":' || (
    select '{"nodes":[' || coalesce(string_agg(p7.j0, ','), '') || (']}') as json
    from (
      select '{"at":' || to_char(timezone('UTC', t5.at), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""') ||
      ',"kind":"' || upper(t5.kind collate "C") || '","fromStatus":' || coalesce('"' || upper(t5.from_status collate "C") || '"', 'null') ||
      ',"toStatus":' || coalesce('"' || upper(t5.to_status collate "C") || '"', 'null') ||
      ',"note":' || coalesce(cast(to_json(t5.note) as text), 'null') ||
      ',"actor":' || case when (t6.id is not null) then '{"name":' || cast(to_json(t6.name) as text) || '}' else 'null' end || '}' as j0
      from incident_entries as t5 left outer join people as t6 on t6.id = t5.actor_id
      where t5.incident_id = t1.id
      order by t5.at asc, t5.id asc
      limit $1::integer
    ) as p7
  ) || '}' as json
  from incidents as t1
  where t1.reference = $2::varchar
  order by t1.reported_at, t1.id
  limit 1
), 'null'), 'UTF8') as r0;
-- $1 = 100
-- $2 = 'INC-2026-000001'
