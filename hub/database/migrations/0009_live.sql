-- What goes on live: how far an answer has seen, for everybody who may hear of changes. Runs as hub_owner.

-- A citizen hears of what becomes of the incidents that they reported.
grant execute on function journal_head() to hub_own;

create function live_cursor() returns text
  language plpgsql
  stable
  set search_path = public, pg_temp
as $$
begin
  -- The public hears of nothing, and must not count from outside how much happens. It asks all the same: refused, the one
  -- field would take the rest of an answer away.
  if current_user = 'hub_public' then
    return null;
  end if;
  return (select replace(h.epoch::text, '-', '') || ':' || h.cursor from journal_head() h where h.epoch is not null);
end
$$;
comment on function live_cursor() is
  'How far the asking statement has seen, as clients name it (epoch:cursor): in the same snapshot as what stands beside it.';
grant execute on function live_cursor() to hub_public, hub_own, hub_area, hub_county;
