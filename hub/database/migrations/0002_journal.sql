-- The journal: what was changed, by whom, when it happened and when it was learned; and beside it the order and the proof.
-- Runs as hub_owner, in one transaction. hub/docs/journal.md says how a table comes under it, and why it is as it is.


-- ── Which hub this is ──────────────────────────────────────────────────────────────────────────────────────────────

create table nodes (
  node text primary key,
  letter text not null unique,
  since timestamptz not null default now(),
  constraint nodes_node_form check (node ~ '^[a-z][a-z0-9_]*$'),
  constraint nodes_letter_form check (letter ~ '^[A-Z]$')
);
call guard_table('nodes');
comment on table nodes is 'The hubs that make entries: the county''s, and later those of its sub-counties.';
comment on column nodes.node is 'Name of the hub, for ever.';
comment on column nodes.letter is 'Its letter in references, so that two hubs never give out the same one.';
comment on column nodes.since is 'When this hub learned of it.';
insert into nodes (node, letter) values ('county', 'C');

-- Baked in, not a setting: a setting could be set by anybody, and every entry carries the name for ever.
create function public.hub_node() returns text
  language sql
  immutable
  parallel safe
  return 'county';
comment on function public.hub_node() is 'Name of this hub, baked in when its database was made.';
grant execute on function public.hub_node() to hub_public, hub_own, hub_area, hub_county, hub_service;

-- The hub's own chores make keys, too.
grant execute on function public.uuidv7() to hub_service;


-- ── The journal ────────────────────────────────────────────────────────────────────────────────────────────────────

create sequence journal_entry as bigint;

-- No foreign keys: an entry outlives what it speaks of, and each would be paid for at every change.
create table journal (
  node text not null default public.hub_node(),
  entry bigint not null,
  hlc bigint not null,
  effective_at timestamptz not null,
  recorded_at timestamptz not null,
  actor uuid,
  tbl text not null,
  object_id uuid not null,
  op text not null,
  before jsonb,
  after jsonb,
  areas uuid[] not null,
  audience text not null,
  schema_version integer not null,
  payload_hash bytea not null,
  salt bytea,
  xid xid8 not null default pg_current_xact_id(),
  arrived_at timestamptz not null default clock_timestamp(),
  arrival bigint not null default nextval('journal_entry'),
  primary key (node, entry),
  constraint journal_op check (op in ('insert', 'update', 'erase')),
  constraint journal_payload_hash_whole check (octet_length(payload_hash) = 32),
  -- Erased is erased whole: a payload without its salt proves nothing, a salt without its payload helps to guess it.
  constraint journal_erased_whole check ((salt is null) = (after is null) and (after is not null or before is null)),
  -- The chain hashes these as lines of text.
  constraint journal_lines check (strpos(tbl, e'\n') = 0 and strpos(audience, e'\n') = 0)
);
alter sequence journal_entry owned by journal.entry;
create index journal_xid on journal (xid);
create index journal_object_id on journal (object_id, hlc);
call guard_table('journal');
comment on table journal is
  'Every change that a person or a rule made, one row per changed row: audit, history and live stream in one. Append-only.';
comment on column journal.node is 'The hub where the change was made.';
comment on column journal.entry is 'Number of the entry at its hub; numbers of changes that were rolled back are missing.';
comment on column journal.hlc is
  'Hybrid clock: microseconds since 1970 by the hub''s clock, and always later than the object''s entry before.';
comment on column journal.effective_at is 'When it happened: as stated by whoever reported it, else the hybrid clock''s time.';
comment on column journal.recorded_at is 'When its hub learned it, by that hub''s clock.';
comment on column journal.actor is 'The person who made the change; null: a rule or a migration.';
comment on column journal.tbl is 'The table.';
comment on column journal.object_id is 'Key of the row, never used again.';
comment on column journal.op is 'insert, update, or erase: a person''s data was blanked, and the object goes on from what "after" says.';
comment on column journal.before is 'Fields that the change replaced, as they were; null for an insert, or erased.';
comment on column journal.after is 'Fields as the change left them: all for an insert, the changed ones for an update; null: erased.';
comment on column journal.areas is 'Areas that the object lay in before and after the change: whoever loses it must hear of it, too.';
comment on column journal.audience is 'The noun of schema/access.py whose changes these are: roles hear of nouns.';
comment on column journal.schema_version is 'Version of the table''s journalled columns (see journalled).';
comment on column journal.payload_hash is 'SHA-256 of salt, "before" and "after": what the chain proves, so that these can be erased.';
comment on column journal.salt is 'Sixteen random bytes, so that what was erased cannot be guessed from its hash; null: erased.';
comment on column journal.xid is 'Of this hub only: the transaction that brought the row in.';
comment on column journal.arrived_at is 'Of this hub only: when the row came here. What was known when means this.';
comment on column journal.arrival is 'Of this hub only: order of arrival. For own entries the same as "entry".';

create table journalled (
  tbl text primary key,
  version integer not null,
  columns text[] not null,
  left_out text[] not null,
  areas text,
  audience text not null,
  occurred text,
  stated text,
  since timestamptz not null default now()
);
call guard_table('journalled');
comment on table journalled is 'The tables whose changes the journal holds, written by journal_table().';
comment on column journalled.tbl is 'The table.';
comment on column journalled.version is 'How many times its journalling was said; each entry carries it.';
comment on column journalled.columns is 'Columns that the journal holds.';
comment on column journalled.left_out is 'Columns that never enter it: secrets, and what counts writes instead of saying what is.';
comment on column journalled.areas is 'Expression over the row "it" that gives the areas it lies in; null: none.';
comment on column journalled.audience is 'Audience of its entries.';
comment on column journalled.occurred is 'Column that says when the object came to be: the time of its first entry.';
comment on column journalled.stated is 'Column by which a change may say when it happened: it counts where the change sets it.';
comment on column journalled.since is 'When its journalling began.';

create function refuse_rewriting() returns trigger
  language plpgsql
  volatile
  set search_path = public, pg_temp
as $$
declare
  rest journal;
begin
  if tg_op = 'UPDATE' then
    rest := new;
    -- erase() and an erasure that arrives blank an entry, and change nothing else of it.
    if current_user = 'hub_journal' and new.before is null and new.after is null and new.salt is null then
      rest.before := old.before;
      rest.after := old.after;
      rest.salt := old.salt;
    end if;
    if rest *= old then
      return null;
    end if;
  end if;
  raise exception using
    errcode = 'restrict_violation',
    message = 'entries are added to the journal, never overwritten or removed',
    hint = 'What the law demands to be forgotten is blanked by erase().',
    table = 'journal';
end
$$;
comment on function refuse_rewriting() is 'Keeps the journal append-only, but for the blanking of erased entries.';

create trigger append_only after update or delete on journal for each row execute function refuse_rewriting();
create trigger append_only_whole before truncate on journal for each statement execute function refuse_rewriting();
alter table journal enable always trigger append_only;
alter table journal enable always trigger append_only_whole;

create function journal_known() returns trigger
  language plpgsql
  volatile
  set search_path = public, pg_temp
as $$
begin
  if exists (select from journal known where known.node = new.node and known.entry = new.entry) then
    return null;
  end if;
  if new.node = public.hub_node() then
    raise exception using
      errcode = 'restrict_violation',
      message = format('entry %s of this hub was not made by it', new.entry),
      hint = 'Entries of this hub are written by the triggers of its tables. One that comes from elsewhere and is not '
        'here was lost here: restore first.',
      table = 'journal';
  end if;
  if not exists (select from nodes where nodes.node = new.node) then
    raise exception using
      errcode = 'foreign_key_violation',
      message = format('no hub of the county is called %s', new.node),
      table = 'journal';
  end if;
  return new;
end
$$;
comment on function journal_known() is
  'What arrives twice is taken once, so that any delivery may be repeated; what nobody can have sent is refused.';

-- What journal_write() adds is new by its number, and the hub's own.
create trigger a_known before insert on journal
  for each row when (current_user <> 'hub_journal') execute function journal_known();
alter table journal enable always trigger a_known;

create function journal_write(
  of_table text,
  of_object uuid,
  deed text,
  was jsonb,
  became jsonb,
  touched uuid[],
  heard_as text,
  shape integer,
  stated timestamptz
) returns boolean
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
declare
  read_at timestamptz := clock_timestamp();
  clock bigint := (extract(epoch from read_at) * 1000000)::bigint;
  last bigint;
  number bigint;
  grain bytea := uuid_send(gen_random_uuid());
  late boolean := false;
begin
  -- The row is locked by now: what is read here is the object's last entry, and stays it until the end.
  select j.hlc into last from journal j
  where j.object_id = of_object and j.tbl = of_table order by j.hlc desc limit 1;
  if last is not null then
    if deed = 'insert' then
      raise exception using
        errcode = 'unique_violation',
        message = format('the id %s was used in %s before', of_object, of_table),
        hint = 'An id is never used again, not even after its row is gone: let the database make a new one.',
        table = of_table;
    end if;
    clock := greatest(clock, last + 1);
  end if;
  -- A stated time is somebody's word; without one, the hybrid clock's own time: a slow clock would lose to what it saw.
  if stated is null then
    stated := timestamptz 'epoch' + clock * interval '1 microsecond';
  elsif not isfinite(stated) or stated > timestamptz 'epoch' + clock * interval '1 microsecond' then
    raise exception using
      errcode = 'check_violation',
      message = 'what has not happened yet cannot have changed anything',
      detail = format('Stated time: %s.', stated),
      constraint = 'journal_stated_in_the_past',
      table = of_table;
  elsif last is not null then
    late := exists (
      select from journal j
      where j.object_id = of_object and j.tbl = of_table and (j.effective_at, j.hlc) > (stated, clock)
    );
  end if;
  number := nextval('journal_entry');
  insert into journal (
    node, entry, hlc, effective_at, recorded_at, actor, tbl, object_id, op, before, after, areas, audience,
    schema_version, payload_hash, salt, arrival
  ) values (
    public.hub_node(), number, clock, stated, read_at, nullif(current_setting('hub.person', true), '')::uuid, of_table,
    of_object, deed, was, became, touched, heard_as, shape,
    sha256(grain || convert_to(coalesce(was::text, '') || e'\n' || coalesce(became::text, ''), 'UTF8')), grain, number
  );
  return late;
end
$$;
comment on function journal_write(text, uuid, text, jsonb, jsonb, uuid[], text, integer, timestamptz) is
  'Adds an entry of this hub. True: it comes late, so that the object must be put together anew.';


-- ── From the journal back to the rows ──────────────────────────────────────────────────────────────────────────────

create function rebuilt(of_table text, of_object uuid) returns jsonb
  language sql
  stable
begin atomic
  select jsonb_object_agg(latest.field, latest.value) from (
    select distinct on (f.field) f.field, f.value
    from journal j, jsonb_each(j.after) f (field, value)
    where j.object_id = of_object and j.tbl = of_table
    order by f.field, j.effective_at desc, j.hlc desc, j.node collate "C" desc
  ) latest;
end;
comment on function rebuilt(text, uuid) is
  'The fields of an object as its entries leave them: each as of the last entry by (effective_at, hlc, node). Null: none.';
grant execute on function rebuilt(text, uuid) to hub_journal, hub_service;

create function project(of_table text, of_object uuid) returns void
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
declare
  known journalled;
  found_row boolean;
  fields jsonb;
  listed text;
  changeable text;
  theirs text;
begin
  select * into known from journalled j where j.tbl = of_table;
  if not found then
    return;  -- a table of another hub: its entries are kept until this one knows it
  end if;
  -- Lock first, read then: what was folded before the lock would overwrite a change in flight. A row that is not there
  -- cannot be locked; whoever makes it holds the object's own lock.
  execute format('select true from %I where id = $1 for update', of_table) into found_row using of_object;
  if found_row is null then
    perform pg_advisory_xact_lock(hashtextextended(of_table || of_object::text, 0));
    execute format('select true from %I where id = $1 for update', of_table) into found_row using of_object;
  end if;
  if found_row is null and not exists (
    select from journal j where j.object_id = of_object and j.tbl = of_table and j.op in ('insert', 'erase')
  ) then
    return;  -- a change that came before what it changes
  end if;
  fields := rebuilt(of_table, of_object);
  -- Only columns that the entries name: what an older hub does not know of keeps its default.
  select
    string_agg(format('%I', attname), ', ' order by attnum),
    string_agg(format('%I = p.%1$I', attname), ', ' order by attnum) filter (where attname <> 'id' and attidentity <> 'a'),
    string_agg(format('%I', attname), ', t.' order by attnum) filter (where attname <> 'id' and attidentity <> 'a')
  into listed, changeable, theirs
  from pg_attribute
  where attrelid = of_table::regclass and attname = any (known.columns) and not attisdropped and fields ? attname::text;
  if found_row is null then
    execute format(
      'insert into %I (%s) overriding system value select %2$s from jsonb_populate_record(null::%1$I, $1)',
      of_table, listed
    ) using fields;
  elsif changeable is not null then
    execute format(
      'update %1$I t set %2$s from jsonb_populate_record(null::%1$I, $2) p
       where t.id = $1 and row(t.%3$s)::record *<> row(p.%4$s)::record',
      of_table, changeable, theirs, replace(theirs, ', t.', ', p.')
    ) using of_object, fields;
  end if;
end
$$;
comment on function project(text, uuid) is
  'Writes an object''s row as its entries say, and leaves it alone where it says so already. The one way around the journal.';

create function differences(of_table text) returns setof uuid
  language plpgsql
  stable
  security definer
  set search_path = public, pg_temp
as $$
declare
  listed text;
begin
  select string_agg(format('%I', attname), ', t.' order by attnum) into listed
  from journalled j
  join pg_attribute on attrelid = j.tbl::regclass and attname = any (j.columns) and not attisdropped
  where j.tbl = of_table;
  if listed is null then
    raise exception using errcode = 'undefined_object', message = format('the journal does not hold %s', of_table);
  end if;
  return query execute format(
    'select coalesce(t.id, o.object_id)
     from %1$I t
     full join (select distinct object_id from journal where tbl = %1$L) o on o.object_id = t.id
     left join lateral jsonb_populate_record(null::%1$I, rebuilt(%1$L, o.object_id)) p on true
     where t.id is null or o.object_id is null or row(t.%2$s)::record *<> row(p.%3$s)::record
     order by 1',
    of_table, listed, replace(listed, ', t.', ', p.')
  );
end
$$;
comment on function differences(text) is
  'Objects whose row is not what their entries say, or that have a row without entries or entries without a row. '
  'There must be none.';
grant execute on function differences(text) to hub_service;

create function conflicts(of_table text, of_object uuid)
  returns table (field text, node text, entry bigint, expected jsonb, met jsonb)
  language sql
  stable
begin atomic
  select f.field, f.node, f.entry, f.expected, f.met
  from (
    select
      e.field, j.node, j.entry, j.effective_at, j.hlc, j.op, j.before -> e.field as expected,
      lag(e.value) over (
        partition by e.field order by j.effective_at, j.hlc, j.node collate "C"
      ) as met,
      lag(j.entry) over (
        partition by e.field order by j.effective_at, j.hlc, j.node collate "C"
      ) as follows
    from journal j, jsonb_each(j.after) e (field, value)
    where j.object_id = of_object and j.tbl = of_table
  ) f
  where f.op = 'update' and f.follows is not null and f.expected is distinct from f.met
  order by f.effective_at, f.hlc, f.node collate "C", f.field;
end;
comment on function conflicts(text, uuid) is
  'Changes made without knowing of the one before them: late ones, and those of two hubs at once. Nothing of them is lost.';
grant execute on function conflicts(text, uuid) to hub_area, hub_county, hub_service;

create function journal_arrived() returns trigger
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
begin
  if new.op = 'erase' then
    update journal j set before = null, after = null, salt = null
    where j.object_id = new.object_id and j.tbl = new.tbl and j.salt is not null
      and (j.effective_at, j.hlc, j.node collate "C") < (new.effective_at, new.hlc, new.node collate "C");
  end if;
  perform project(new.tbl, new.object_id);
  return null;
end
$$;
comment on function journal_arrived() is 'Puts what another hub changed into the rows, and forgets here what was erased there.';

create trigger arrived after insert on journal
  for each row when (new.node <> public.hub_node()) execute function journal_arrived();
alter table journal enable always trigger arrived;

create function erase(of_table text, of_object uuid, blanks jsonb) returns integer
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
declare
  known journalled;
  blanked integer;
  last journal;
begin
  select * into known from journalled j where j.tbl = of_table;
  if not found then
    raise exception using errcode = 'undefined_object', message = format('the journal does not hold %s', of_table);
  end if;
  if jsonb_typeof(blanks) is distinct from 'object' or exists (
    select from jsonb_object_keys(blanks) k (field) where field = 'id' or field <> all (known.columns)
  ) then
    raise exception using
      errcode = 'invalid_parameter_value',
      message = format('what is to stand in %s after the erasure must name columns that the journal holds', of_table),
      hint = 'Columns that are left out of the journal are blanked in the table itself.';
  end if;
  execute format('select from %I where id = $1 for update', of_table) using of_object;
  select * into last from journal j
  where j.object_id = of_object and j.tbl = of_table order by j.hlc desc limit 1;
  if not found then
    raise exception using errcode = 'no_data_found', message = format('%s has no %s', of_table, of_object);
  end if;
  -- The entry holds the whole object as it goes on, so that it can be rebuilt without what was.
  perform journal_write(
    of_table, of_object, 'erase', null, rebuilt(of_table, of_object) || blanks, last.areas, known.audience,
    known.version, null
  );
  update journal j set before = null, after = null, salt = null
  where j.object_id = of_object and j.tbl = of_table and j.salt is not null
    and not (j.op = 'erase' and j.hlc > last.hlc);
  get diagnostics blanked = row_count;
  perform project(of_table, of_object);
  return blanked;
end
$$;
comment on function erase(text, uuid, jsonb) is
  'Forgets what an object was: writes the blanks into its row, blanks its entries with their salts, and leaves an entry that '
  'says so. The chain still proves that they were there. Returns how many were blanked.';
grant execute on function erase(text, uuid, jsonb) to hub_service;

-- These alone write entries, and rows as the entries say: the triggers tell their owner by name and let them pass.
alter function journal_write(text, uuid, text, jsonb, jsonb, uuid[], text, integer, timestamptz) owner to hub_journal;
alter function project(text, uuid) owner to hub_journal;
alter function journal_arrived() owner to hub_journal;
alter function erase(text, uuid, jsonb) owner to hub_journal;
grant execute on function journal_write(text, uuid, text, jsonb, jsonb, uuid[], text, integer, timestamptz) to hub_owner;
grant execute on function project(text, uuid) to hub_owner;
grant select, insert, update (before, after, salt) on journal to hub_journal;
grant select on journalled, nodes to hub_journal;
grant usage on sequence journal_entry to hub_journal;
create policy journal on journal to hub_journal using (true) with check (true);
create policy journal on journalled for select to hub_journal using (true);
create policy journal on nodes for select to hub_journal using (true);


-- ── Bringing a table under the journal ─────────────────────────────────────────────────────────────────────────────

create function refuse_deleting() returns trigger
  language plpgsql
  volatile
  set search_path = public, pg_temp
as $$
begin
  raise exception using
    errcode = 'restrict_violation',
    message = format('rows of %s are never deleted', tg_table_name),
    hint = 'Deletion is a state: give the row one that says it is over. What must be forgotten is blanked by erase().',
    table = tg_table_name;
end
$$;
comment on function refuse_deleting() is 'Keeps the rows of a journalled table: deletion is a state.';

create function journal_form(named regclass, listed text[], of_row text) returns text
  language plpgsql
  stable
  set search_path = public, pg_temp
as $$
declare
  form text := '';
  pair text;
  counted integer := 0;
begin
  -- A function takes a hundred arguments at most: forty columns a piece, pieces joined.
  for pair in
    select format(
      -- Types of extensions as the text that their own output gives (geometry as hex EWKB): a cast to JSON of their own
      -- need not be exact.
      case when base.oid >= 16384 and base.typtype = 'b' then '%L, %s.%I::text' else '%L, %s.%I' end,
      attname, of_row, attname
    )
    from unnest(listed) with ordinality l (name, place)
    join pg_attribute on attrelid = named and attname = l.name
    join pg_type on pg_type.oid = atttypid
    join pg_type base on base.oid = case when pg_type.typtype = 'd' then pg_type.typbasetype else pg_type.oid end
    order by place
  loop
    form := form || case
      when counted % 40 > 0 then ', '
      when counted > 0 then ') || jsonb_build_object('
      else 'jsonb_build_object('
    end || pair;
    counted := counted + 1;
  end loop;
  return form || ')';
end
$$;
comment on function journal_form(regclass, text[], text) is 'Expression that gives columns of a row as the journal keeps them.';

create procedure journal_table(
  named regclass,
  areas text,
  audience text,
  left_out text[] default '{}',
  occurred text default null,
  stated text default null
)
  language plpgsql
  set search_path = public, pg_temp
  set timezone = 'UTC'
  set datestyle = 'ISO, YMD'
  set intervalstyle = 'postgres'
  set extra_float_digits = '1'
  set bytea_output = 'hex'
as $$
declare
  called text;
  kept text[];
  shape integer;
  earlier text[];
  added text[];
  odd record;
  one text;
  diffs text := '';
  json_nulls text := '';
  stated_form text := 'null';
  areas_form text := case
    when areas is null then '''{}''::uuid[]'
    else format('coalesce(array_remove((%s)::uuid[], null), ''{}'')', areas)
  end;
  body text;
  maker text;
begin
  select relname into called from pg_class
  where oid = named and relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname ~ '^[a-z][a-z0-9_]*$';
  if not found then
    raise exception using
      errcode = 'wrong_object_type', message = format('%s is no table that the journal can hold', named);
  end if;
  if not exists (
    select from pg_constraint join pg_attribute on attrelid = conrelid and attnum = conkey[1]
    where conrelid = named and contype = 'p' and cardinality(conkey) = 1 and attname = 'id' and atttypid = 'uuid'::regtype
  ) then
    raise exception using
      errcode = 'invalid_table_definition',
      message = format('the primary key of %s must be a uuid called id, for the journal to hold it', called);
  end if;
  if audience !~ '^[a-z][a-z0-9_]*$' then
    raise exception using
      errcode = 'invalid_parameter_value',
      message = format('"%s" is no audience: name a noun of schema/access.py', audience);
  end if;
  select l.name into one from unnest(left_out) l (name)
  where l.name = 'id' or not exists (
    select from pg_attribute where attrelid = named and attname = l.name and attnum > 0 and not attisdropped
  );
  if found then
    raise exception using
      errcode = 'undefined_column', message = format('%s cannot be left out: %s has no such column, or needs it', one, called);
  end if;

  select array_agg(attname::text order by attnum) into kept from pg_attribute
  where attrelid = named and attnum > 0 and not attisdropped and attgenerated = '' and attname::text <> all (left_out);
  select attname, format_type(atttypid, atttypmod) as type into odd
  from pg_attribute
  join pg_type said on said.oid = atttypid
  join pg_type t on t.oid = case when said.typtype = 'd' then said.typbasetype else said.oid end
  left join pg_type item on item.oid = t.typelem and t.typcategory = 'A'
  where attrelid = named and attname = any (kept) and (
    t.oid in ('json'::regtype, 'xml'::regtype, 'money'::regtype)
    or t.typtype = 'c'
    or item.typtype = 'c'
    or (item.oid >= 16384 and item.typtype in ('b', 'd'))
  )
  limit 1;
  if found then
    raise exception using
      errcode = 'feature_not_supported',
      message = format('the journal cannot keep %s.%s exactly: it is %s', called, odd.attname, odd.type),
      hint = 'Use jsonb instead of json; keep lists of geometries or records in a table of their own.';
  end if;

  select j.columns into earlier from journalled j where j.tbl = called;
  insert into journalled as j (tbl, version, columns, left_out, areas, audience, occurred, stated)
  values (
    called, 1, kept, journal_table.left_out, journal_table.areas, journal_table.audience, journal_table.occurred,
    journal_table.stated
  )
  on conflict (tbl) do update set
    version = j.version + 1, columns = excluded.columns, left_out = excluded.left_out, areas = excluded.areas,
    audience = excluded.audience, occurred = excluded.occurred, stated = excluded.stated
  returning version into shape;

  foreach one in array array_remove(array[stated, occurred], null) loop
    if not exists (
      select from pg_attribute
      where attrelid = named and attname = one and atttypid = 'timestamptz'::regtype and not attisdropped
    ) then
      raise exception using
        errcode = 'undefined_column',
        message = format('%s has no column %s that could say when (a timestamptz)', called, one);
    end if;
  end loop;
  -- A column states the time of the change that sets it, not of every later one. When the object came to be is the time of
  -- its first entry only: whoever corrects it later does so then, or the correction would lose to what it corrects.
  if stated is not null then
    stated_form := format('case when new.%I is distinct from old.%1$I then new.%1$I end', stated);
  end if;
  if occurred is not null then
    stated_form := format('coalesce(%s, case when tg_op = ''INSERT'' then new.%I end)', stated_form, occurred);
  end if;
  foreach one in array kept loop
    if one <> 'id' then
      -- Compared by their bytes: 1.0 and 1.00 are equal, and not the same.
      diffs := diffs || format(
        e'    if row(new.%1$I)::record *<> row(old.%1$I)::record then\n'
        '      was := was || %2$s;\n'
        '      became := became || %3$s;\n'
        '    end if;\n',
        one, journal_form(named, array[one], 'old'), journal_form(named, array[one], 'new')
      );
    end if;
  end loop;
  -- JSON's null and SQL's are one in a journal of JSON, and two in a row.
  select coalesce(string_agg(format(
    e'  if jsonb_typeof(new.%1$I) = ''null'' then\n'
    '    raise exception using errcode = ''check_violation'', table = %2$L, column = %1$L,\n'
    '      message = ''%1$s holds a JSON null: leave it without a value instead'';\n'
    '  end if;\n',
    attname, called
  ), '' order by attnum), '') into json_nulls
  from pg_attribute where attrelid = named and attname = any (kept) and atttypid = 'jsonb'::regtype;

  body := e'\ndeclare\n'
    || format(e'  it public.%I;\n', called)
    || e'  was jsonb;\n  became jsonb;\n  touched uuid[];\n  left_behind uuid[];\n'
    || e'begin\n'
    || json_nulls
    || e'  it := new;\n'
    || format(e'  touched := %s;\n', areas_form)
    || e'  if tg_op = ''INSERT'' then\n'
    || format(e'    became := %s;\n', journal_form(named, kept, 'new'))
    || e'  else\n'
    || e'    was := ''{}'';\n    became := ''{}'';\n'
    || e'    if new.id <> old.id then\n'
    || format(
      e'      raise exception using errcode = ''restrict_violation'', table = %L, column = ''id'',\n'
      '        message = ''an id of %s is never changed'';\n',
      called, called
    )
    || e'    end if;\n'
    || diffs
    || e'    if became = ''{}'' then\n      return null;\n    end if;\n'
    || e'    it := old;\n'
    || format(e'    left_behind := %s;\n', areas_form)
    || e'    if left_behind <> touched then\n'
    || e'      touched := array(select distinct a from unnest(touched || left_behind) a order by a);\n'
    || e'    end if;\n'
    || e'  end if;\n'
    || format(
      e'  if journal_write(%L, new.id, lower(tg_op), was, became, touched, %L, %s, %s) then\n'
      '    perform project(%1$L, new.id);\n'
      '  end if;\n',
      called, audience, shape, stated_form
    )
    || e'  return null;\nend\n';

  maker := format('journal_%s', called);
  -- With its owner's rights, because nobody may write into the journal. It is no way in: a trigger cannot be called.
  execute format(
    'create or replace function %I() returns trigger language plpgsql volatile security definer '
    'set search_path = public, pg_temp set timezone = ''UTC'' set datestyle = ''ISO, YMD'' '
    'set intervalstyle = ''postgres'' set extra_float_digits = ''1'' set bytea_output = ''hex'' as %L',
    maker, body
  );
  execute format('revoke execute on function %I() from public', maker);
  execute format(
    'comment on function %I() is %L', maker, format('Journals what changes in %s. Written by journal_table().', called)
  );
  execute format('create or replace trigger journal after insert or update on %I for each row '
    'when (current_user <> ''hub_journal'') execute function %I()', called, maker);
  execute format('create or replace trigger journal_keeps after delete on %I for each row '
    'execute function refuse_deleting()', called);
  execute format('create or replace trigger journal_keeps_whole before truncate on %I for each statement '
    'execute function refuse_deleting()', called);
  execute format('alter table %I enable always trigger journal', called);
  execute format('alter table %I enable always trigger journal_keeps', called);
  execute format('alter table %I enable always trigger journal_keeps_whole', called);
  execute format('grant select, insert, update on %I to hub_journal', called);
  execute format('drop policy if exists journal on %I', called);
  execute format('create policy journal on %I to hub_journal using (true) with check (true)', called);

  -- What was there before the journal began enters it as it is now.
  execute format(
    'select count(journal_write(%L, it.id, ''insert'', null, %s, %s, %L, %s, %s)) from %I it '
    'where not exists (select from journal j where j.object_id = it.id and j.tbl = %1$L)',
    called, journal_form(named, kept, 'it'), areas_form, audience, shape,
    case when occurred is null then 'null' else format('least(it.%I, now())', occurred) end, called
  );
  added := array(select k from unnest(kept) k where k <> all (earlier));
  if cardinality(added) > 0 then
    execute format(
      'select count(journal_write(%L, it.id, ''update'', ''{}'', %s, %s, %L, %s, null)) from %I it '
      'where jsonb_strip_nulls(%2$s) <> ''{}'' and not exists ('
      '  select from journal j where j.object_id = it.id and j.tbl = %1$L and j.schema_version = %5$s)',
      called, journal_form(named, added, 'it'), areas_form, audience, shape, called
    );
  end if;
end
$$;
comment on procedure journal_table(regclass, text, text, text[], text, text) is
  'Brings a table under the journal, or says anew how: called after the table is made and whenever it gets a column.';

create function unjournalled() returns table (tbl text, col text)
  language sql
  stable
begin atomic
  select j.tbl, a.attname::text
  from journalled j
  join pg_class c on c.relname = j.tbl and c.relnamespace = 'public'::regnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
  where a.attname::text <> all (j.columns || j.left_out)
  order by 1, a.attnum;
end;
comment on function unjournalled() is
  'Columns of journalled tables that are neither in the journal nor left out of it: nobody said. There must be none.';


-- ── Sealing: in which order everybody sees what was committed, and the proof ───────────────────────────────────────

create table chain (
  node text not null,
  seq bigint not null,
  entry bigint not null,
  hash bytea not null,
  primary key (node, seq),
  unique (node, entry),
  constraint chain_hash_whole check (octet_length(hash) = 32)
);
call guard_table('chain');
call keep_facts('chain', 'final');
comment on table chain is 'The proof: each hub''s entries in the order of their sealing, each hashed with its predecessor.';
comment on column chain.node is 'The hub.';
comment on column chain.seq is 'Place in the hub''s chain, without gaps.';
comment on column chain.entry is 'The entry that is proven.';
comment on column chain.hash is 'SHA-256 of the hash before (32 zero bytes for the first) and the entry''s text (journal_text).';

create table cursors (
  cursor bigint primary key,
  ends bigint not null,
  node text not null,
  entry bigint not null,
  sealed_at timestamptz not null,
  unique (node, entry),
  constraint cursors_ends check (ends >= cursor)
);
call guard_table('cursors');
call keep_facts('cursors', 'final');
comment on table cursors is
  'The order in which this hub shows what was committed: a reader at N has seen everything that was sealed up to N.';
comment on column cursors.cursor is 'Place in that order, without gaps.';
comment on column cursors.ends is 'Cursor of the last entry of the same transaction: whole transactions are shown at once.';
comment on column cursors.node is 'The hub that made the entry.';
comment on column cursors.entry is 'The entry.';
comment on column cursors.sealed_at is 'When it was shown. What was known at a time is what was sealed by then.';

create table epochs (
  number integer primary key,
  epoch uuid not null unique default gen_random_uuid(),
  after_cursor bigint not null,
  since timestamptz not null default now(),
  cause text not null,
  constraint epochs_cause check (cause in ('first', 'restart', 'restore'))
);
call guard_table('epochs');
call keep_facts('epochs', 'final');
comment on table epochs is
  'Stretches of the order between starts of the database. After a restore the same cursors may come to mean other entries: '
  'clients name the epoch beside the cursor, and one that ended before their cursor is refused.';
comment on column epochs.number is 'Order of the epochs.';
comment on column epochs.epoch is 'What clients name. Random: two restores of one backup must not make the same.';
comment on column epochs.after_cursor is 'The last cursor before the epoch.';
comment on column epochs.since is 'When it began.';
comment on column epochs.cause is
  'first; restart: the database was started, and nobody can tell whether on older files; restore: it is another one, or a '
  'promoted standby.';

create table sealer_state (
  one boolean primary key default true,
  snapshot pg_snapshot,
  cursor bigint not null,
  seq bigint not null,
  hash bytea not null,
  sealed_at timestamptz,
  system_identifier bigint,
  timeline text,
  database oid,
  started_at timestamptz,
  constraint sealer_state_one check (one)
) with (fillfactor = 20);
call guard_table('sealer_state');
comment on table sealer_state is 'How far sealing has come. One row, rewritten by seal() and by nothing else.';
comment on column sealer_state.one is 'There is one.';
comment on column sealer_state.snapshot is
  'What was committed when all of it had been sealed; null: unknown here, compare with the cursors instead.';
comment on column sealer_state.cursor is 'The last cursor.';
comment on column sealer_state.seq is 'Last place in this hub''s chain.';
comment on column sealer_state.hash is 'Its hash: the head.';
comment on column sealer_state.sealed_at is 'When something was sealed last.';
comment on column sealer_state.system_identifier is 'The cluster that the snapshot is of: in another one its numbers mean nothing.';
comment on column sealer_state.timeline is 'Its timeline: another one follows a restore or a promotion.';
comment on column sealer_state.database is 'The database in it: a copy is another one.';
comment on column sealer_state.started_at is 'When the database server was started.';
insert into sealer_state (cursor, seq, hash) values (0, 0, decode(repeat('00', 32), 'hex'));

create function journal_text(j journal) returns text
  language sql
  stable
  return concat_ws(
    e'\n', j.node, j.entry, j.hlc, (extract(epoch from j.effective_at) * 1000000)::bigint,
    (extract(epoch from j.recorded_at) * 1000000)::bigint, coalesce(j.actor::text, ''), j.tbl, j.object_id, j.op,
    array_to_string(j.areas, ','), j.audience, j.schema_version, encode(j.payload_hash, 'hex')
  );
comment on function journal_text(journal) is
  'What the chain proves of an entry, a line a column; times in microseconds since 1970. Instead of the payload its hash.';

create function seal(most integer) returns integer
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
declare
  state sealer_state;
  held pg_snapshot;
  present pg_snapshot;
  here record;
  unsealed refcursor;
  item record;
  whose bigint;
  last_of_transaction bigint;
  sealed integer := 0;
  own integer := 0;
  whole boolean := true;
  places bigint[] := '{}';
  ends bigint[] := '{}';
  nodes_ text[] := '{}';
  entries bigint[] := '{}';
  own_places bigint[] := '{}';
  own_entries bigint[] := '{}';
  hashes bytea[] := '{}';
begin
  if pg_is_in_recovery() then
    return 0;
  end if;
  select
    system_identifier, left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) as timeline,
    (select oid from pg_database where datname = current_database()) as database,
    pg_postmaster_start_time() as started_at
  into here from pg_control_system();

  -- A look without the lock first: nothing new is the common case, and must not cost a write.
  select * into strict state from sealer_state;
  held := state.snapshot;
  present := pg_current_snapshot();
  if held is not null
    and (state.system_identifier, state.timeline, state.database, state.started_at)
      is not distinct from (here.system_identifier, here.timeline, here.database, here.started_at)
    and not exists (
      select from journal j
      where j.xid >= pg_snapshot_xmin(held) and j.xid < pg_snapshot_xmax(present)
        and not pg_visible_in_snapshot(j.xid, held) and pg_visible_in_snapshot(j.xid, present)
        and not exists (select from cursors c where c.node = j.node and c.entry = j.entry)
    )
    -- Nor is there anything that each look would meet again, now that a transaction has ended that had long been open.
    and not exists (
      select from journal j where j.xid >= pg_snapshot_xmin(held) and j.xid < pg_snapshot_xmin(present)
    )
  then
    return 0;
  end if;

  -- One at a time: a second one waits here and goes on from where the first has come.
  select * into strict state from sealer_state for update;
  if (state.system_identifier, state.timeline, state.database, state.started_at)
    is distinct from (here.system_identifier, here.timeline, here.database, here.started_at)
  then
    insert into epochs (number, after_cursor, cause) values (
      coalesce((select max(number) from epochs), 0) + 1,
      state.cursor,
      case
        when state.system_identifier is null then 'first'
        when (state.system_identifier, state.timeline, state.database)
          is distinct from (here.system_identifier, here.timeline, here.database) then 'restore'
        else 'restart'
      end
    );
    -- Transaction numbers of another cluster mean nothing here: what has a cursor was sealed, the rest was not.
    if (state.system_identifier, state.timeline, state.database)
      is distinct from (here.system_identifier, here.timeline, here.database)
    then
      state.snapshot := null;
    end if;
    state.system_identifier := here.system_identifier;
    state.timeline := here.timeline;
    state.database := here.database;
    state.started_at := here.started_at;
  end if;

  -- Each statement here has a snapshot of its own. This one is the line: what it sees is sealed now, what committed
  -- after it is left for next time, whichever of the statements below could see it.
  held := state.snapshot;
  present := pg_current_snapshot();
  -- In the order of each transaction's last arrival: whoever waited for another's row wrote after it, so that a change
  -- never comes before the one it builds on.
  if held is null then
    open unsealed for
      select
        j.node, j.entry, journal_text(j) as said,
        max(j.arrival) over (partition by j.xid) as last, count(*) over (partition by j.xid) as size
      from journal j
      where not exists (select from cursors c where c.node = j.node and c.entry = j.entry)
      order by last, j.arrival;
  else
    open unsealed for
      select
        j.node, j.entry, journal_text(j) as said,
        max(j.arrival) over (partition by j.xid) as last, count(*) over (partition by j.xid) as size
      from journal j
      where j.xid >= pg_snapshot_xmin(held) and j.xid < pg_snapshot_xmax(present)
        and not pg_visible_in_snapshot(j.xid, held) and pg_visible_in_snapshot(j.xid, present)
        -- After a restore, numbers of the former cluster are met once more when this one has come as far.
        and not exists (select from cursors c where c.node = j.node and c.entry = j.entry)
      order by last, j.arrival;
  end if;
  loop
    fetch unsealed into item;
    exit when not found;
    if item.last is distinct from whose then
      if sealed >= most then
        whole := false;
        exit;
      end if;
      whose := item.last;
      last_of_transaction := state.cursor + item.size;
    end if;
    sealed := sealed + 1;
    state.cursor := state.cursor + 1;
    places[sealed] := state.cursor;
    ends[sealed] := last_of_transaction;
    nodes_[sealed] := item.node;
    entries[sealed] := item.entry;
    if item.node = public.hub_node() then
      state.seq := state.seq + 1;
      state.hash := sha256(state.hash || convert_to(item.said, 'UTF8'));
      own := own + 1;
      own_places[own] := state.seq;
      own_entries[own] := item.entry;
      hashes[own] := state.hash;
    end if;
  end loop;
  close unsealed;

  insert into cursors (cursor, ends, node, entry, sealed_at)
  select s.*, now() from unnest(places, ends, nodes_, entries) s;
  insert into chain (node, seq, entry, hash)
  select public.hub_node(), s.* from unnest(own_places, own_entries, hashes) s;
  -- The line moves only when everything before it was sealed.
  update sealer_state set
    snapshot = case when whole then present else state.snapshot end,
    cursor = state.cursor,
    seq = state.seq,
    hash = state.hash,
    sealed_at = case when sealed > 0 then now() else state.sealed_at end,
    system_identifier = state.system_identifier,
    timeline = state.timeline,
    database = state.database,
    started_at = state.started_at;
  if sealed > 0 then
    perform pg_notify('sealed', state.cursor::text);
  end if;
  return sealed;
end
$$;
comment on function seal(integer) is
  'Gives cursors and hashes to what was committed since the last time, in whole transactions until "most" entries are '
  'reached, and tells listeners of "sealed". Returns how many.';
grant execute on function seal(integer) to hub_service;

create function sealing()
  returns table (
    epoch uuid, cursor bigint, seq bigint, hash bytea, sealed_at timestamptz, waiting bigint, waiting_since timestamptz
  )
  language sql
  stable
begin atomic
  select
    (select e.epoch from epochs e order by e.number desc limit 1), s.cursor, s.seq, s.hash, s.sealed_at,
    unsealed.count, unsealed.since
  from sealer_state s
  left join lateral (
    select count(*), min(j.arrived_at) as since from journal j
    where j.xid >= coalesce(pg_snapshot_xmin(s.snapshot), '0')
      and not coalesce(pg_visible_in_snapshot(j.xid, s.snapshot), false)
      and not exists (select from cursors c where c.node = j.node and c.entry = j.entry)
  ) unsealed on true;
end;
comment on function sealing() is 'How far sealing has come, and what still waits for it since when.';
grant execute on function sealing() to hub_service;


-- ── Reading on from a cursor ───────────────────────────────────────────────────────────────────────────────────────

create function sealed_upto(asked_epoch uuid, asked_after bigint, asked_window integer) returns bigint
  language plpgsql
  stable
  security definer
  set search_path = public, pg_temp
as $$
declare
  head bigint := (select s.cursor from sealer_state s);
  kept bigint;
  upto bigint;
begin
  -- An epoch's cursors hold as far as it came before the next one began.
  select coalesce((select min(n.after_cursor) from epochs n where n.number > e.number), head)
  into kept from epochs e where e.epoch = asked_epoch;
  if not found or asked_after is null or asked_after < 0 or asked_after > kept then
    raise exception using
      errcode = 'HJ001',
      message = 'the cursor is of a course of events that this database does not know',
      hint = 'Read everything anew, then go on from the cursor that comes with it.';
  end if;
  if asked_window is null or asked_window < 1 then
    raise exception using errcode = 'invalid_parameter_value', message = 'a window holds one cursor or more';
  end if;
  if asked_after + asked_window >= head then
    return head;
  end if;
  -- Whole transactions: as far as the last one goes that ends within the window, or through the first where it is longer.
  select max(c.ends) into upto from cursors c
  where c.cursor > asked_after and c.cursor <= asked_after + asked_window and c.ends <= asked_after + asked_window;
  return coalesce(upto, (select c.ends from cursors c where c.cursor = asked_after + 1));
end
$$;
comment on function sealed_upto(uuid, bigint, integer) is
  'The cursor where a reader is who reads on from another one: at most a window farther, at the end of a transaction. '
  'Refuses (HJ001) a cursor of an unknown epoch, or from beyond its end.';
grant execute on function sealed_upto(uuid, bigint, integer) to hub_area, hub_county, hub_service;

create function sealed_between(asked_after bigint, asked_upto bigint)
  returns table (cursor bigint, ends bigint, node text, entry bigint, sealed_at timestamptz)
  language sql
  stable
  security definer
  rows 200
begin atomic
  select c.cursor, c.ends, c.node, c.entry, c.sealed_at from cursors c
  where c.cursor > asked_after and c.cursor <= asked_upto;
end;
comment on function sealed_between(bigint, bigint) is 'Which entries stand between two cursors, and nothing of what they say.';
grant execute on function sealed_between(bigint, bigint) to hub_area, hub_county, hub_service;

create function journal_head() returns table (epoch uuid, cursor bigint)
  language sql
  stable
  security definer
begin atomic
  select (select e.epoch from epochs e order by e.number desc limit 1), s.cursor from sealer_state s;
end;
comment on function journal_head() is 'The present epoch and the last cursor: where a reader begins who has just read everything.';
grant execute on function journal_head() to hub_area, hub_county, hub_service;

create function journal_after(asked_epoch uuid, asked_after bigint, asked_window integer)
  returns table (
    epoch uuid,
    upto bigint,
    cursor bigint,
    ends bigint,
    sealed_at timestamptz,
    node text,
    entry bigint,
    hlc bigint,
    effective_at timestamptz,
    recorded_at timestamptz,
    actor uuid,
    tbl text,
    object_id uuid,
    op text,
    before jsonb,
    after jsonb,
    areas uuid[],
    audience text,
    schema_version integer
  )
  language sql
  stable
begin atomic
  select
    h.epoch, place.upto, j.cursor, j.ends, j.sealed_at, j.node, j.entry, j.hlc, j.effective_at, j.recorded_at, j.actor,
    j.tbl, j.object_id, j.op, j.before, j.after, j.areas, j.audience, j.schema_version
  from journal_head() h
  cross join lateral sealed_upto(asked_epoch, asked_after, asked_window) place (upto)
  left join lateral (
    select
      s.cursor, s.ends, s.sealed_at, e.node, e.entry, e.hlc, e.effective_at, e.recorded_at, e.actor, e.tbl, e.object_id,
      e.op, e.before, e.after, e.areas, e.audience, e.schema_version
    from sealed_between(asked_after, place.upto) s
    -- Entry by entry, by its key: "offset 0" keeps the planner from reading the whole journal for a window of it.
    cross join lateral (
      select
        k.node, k.entry, k.hlc, k.effective_at, k.recorded_at, k.actor, k.tbl, k.object_id, k.op, k.before, k.after,
        k.areas, k.audience, k.schema_version
      from journal k where k.node = s.node and k.entry = s.entry offset 0
    ) e
  ) j on true
  order by j.cursor;
end;
comment on function journal_after(uuid, bigint, integer) is
  'What the caller may see of the entries after a cursor, in whole transactions. There is always a row, so that the reader '
  'learns where it stands (epoch, upto) also where it may see nothing.';
grant execute on function journal_after(uuid, bigint, integer) to hub_area, hub_county, hub_service;
