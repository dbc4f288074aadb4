-- People who sign in, what they may do and where, and what proves that they are who they say.
-- Secrets stand here as digests only, in tables that nobody but the hub's own chores (hub_service) may read.

grant execute on function public.uuidv7() to hub_service;


-- ── What every table with an end needs ─────────────────────────────────────────────────────────────────────────────

create function refuse_rewriting_history() returns trigger
  language plpgsql
  volatile
  set search_path = public, pg_temp
as $$
declare
  ending text := tg_argv[0];
begin
  if tg_op = 'UPDATE' then
    if to_jsonb(new) = to_jsonb(old) then
      return null;
    end if;
    if to_jsonb(new) - ending = to_jsonb(old) - ending and to_jsonb(old) ->> ending is null then
      return null;
    end if;
  end if;
  raise exception using
    errcode = 'restrict_violation',
    message = format('rows of %s are ended, never rewritten or removed', tg_table_name),
    hint = format('Give "%s" its time, once, and add the next row.', ending),
    table = tg_table_name;
end
$$;
comment on function refuse_rewriting_history() is
  'Keeps the history of a table whose rows are ended: its argument names the column that may be filled, once.';

create procedure keep_history(named regclass, ending text)
  language plpgsql
  set search_path = public, pg_temp
as $$
begin
  execute format(
    'create trigger history_kept after update or delete on %s for each row execute function refuse_rewriting_history(%L)',
    named, ending
  );
  execute format(
    'create trigger history_kept_whole before truncate on %s for each statement execute function refuse_rewriting_history(%L)',
    named, ending
  );
  execute format('alter table %s enable always trigger history_kept', named);
  execute format('alter table %s enable always trigger history_kept_whole', named);
end
$$;
comment on procedure keep_history(regclass, text) is
  'Makes the rows of a table final but for the column that ends them, also under replication.';


-- ── People ─────────────────────────────────────────────────────────────────────────────────────────────────────────

create table people (
  id uuid primary key default public.uuidv7(),
  name text not null,
  display_name text not null,
  created_at timestamptz not null default now(),
  disabled_at timestamptz,
  version integer not null default 1,
  node text not null default 'county',
  constraint people_name_key unique (name),
  constraint people_name_form check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}[a-z0-9]$'),
  constraint people_display_name_said check (
    display_name <> '' and display_name = btrim(display_name) and char_length(display_name) <= 120
  ),
  constraint people_version_counts check (version > 0),
  constraint people_node_form check (node ~ '^[a-z0-9][a-z0-9_-]{0,62}$')
);
call guard_table('people');
comment on table people is 'Somebody who may sign in. Nobody is deleted: an account that is closed is disabled, what its person did stays theirs.';
comment on column people.id is 'UUIDv7.';
comment on column people.name is 'What the person types to sign in: lower case, never changed, never given to another.';
comment on column people.display_name is 'What the others read, as the person wants to be called.';
comment on column people.created_at is 'When the account was made.';
comment on column people.disabled_at is 'Since when the person may no longer sign in; null: may.';
comment on column people.version is 'Counts the changes of this row, so that a stale one is noticed.';
comment on column people.node is 'The hub that made the row.';

create table person_roles (
  id uuid primary key default public.uuidv7(),
  person_id uuid not null references people (id) on delete restrict,
  role text not null,
  granted_at timestamptz not null default now(),
  granted_by uuid references people (id) on delete restrict,
  revoked_at timestamptz,
  constraint person_roles_role check (role in (
    'citizen', 'field_officer', 'dispatcher', 'coordinator', 'fleet_manager', 'enforcement_supervisor',
    'ward_administrator', 'sub_county_administrator', 'planner', 'auditor', 'administrator'
  )),
  constraint person_roles_in_order check (revoked_at >= granted_at)
);
create index person_roles_person_id on person_roles (person_id);
create index person_roles_granted_by on person_roles (granted_by);
create unique index person_roles_one_open on person_roles (person_id, role) where revoked_at is null;
call guard_table('person_roles');
call keep_history('person_roles', 'revoked_at');
comment on table person_roles is 'Which roles a person holds or held. What a role may do stands in schema/access.py.';
comment on column person_roles.id is 'UUIDv7.';
comment on column person_roles.person_id is 'Who holds it.';
comment on column person_roles.role is 'The role, by its name in schema/access.py.';
comment on column person_roles.granted_at is 'Since when.';
comment on column person_roles.granted_by is 'Who gave it; null: the command line on the hub''s machine.';
comment on column person_roles.revoked_at is 'Until when; null: the person holds it.';

create table person_areas (
  id uuid primary key default public.uuidv7(),
  person_id uuid not null references people (id) on delete restrict,
  area_id uuid not null references areas (id) on delete restrict,
  since timestamptz not null default now(),
  until timestamptz,
  constraint person_areas_in_order check (until >= since)
);
create index person_areas_person_id on person_areas (person_id);
create index person_areas_area_id on person_areas (area_id);
create unique index person_areas_one_open on person_areas (person_id, area_id) where until is null;
call guard_table('person_areas');
call keep_history('person_areas', 'until');
comment on table person_areas is 'The units of the county that a person answers for or did: a sub-county takes in its wards.';
comment on column person_areas.id is 'UUIDv7.';
comment on column person_areas.person_id is 'Who answers for it.';
comment on column person_areas.area_id is 'The unit.';
comment on column person_areas.since is 'Since when.';
comment on column person_areas.until is 'Until when; null: still.';


-- ── What proves who somebody is ────────────────────────────────────────────────────────────────────────────────────

create table credentials (
  person_id uuid primary key references people (id) on delete restrict,
  password_hash text not null,
  changed_at timestamptz not null default now(),
  constraint credentials_password_hash_argon2id check (password_hash like '$argon2id$v=19$%')
);
call guard_table('credentials');
comment on table credentials is 'Passwords, apart from people: whoever reads people reads none of these.';
comment on column credentials.person_id is 'Whose password.';
comment on column credentials.password_hash is 'Argon2id, with its salt and parameters.';
comment on column credentials.changed_at is 'When the person chose it.';

create table sign_ins (
  id uuid primary key default public.uuidv7(),
  person_id uuid not null references people (id) on delete restrict,
  token_digest bytea not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  revoked_at timestamptz,
  revoked_reason text,
  constraint sign_ins_token_digest_key unique (token_digest),
  constraint sign_ins_token_digest_sha256 check (octet_length(token_digest) = 32),
  constraint sign_ins_in_order check (expires_at > created_at),
  constraint sign_ins_revoked_why check ((revoked_at is null) = (revoked_reason is null)),
  constraint sign_ins_revoked_reason check (
    revoked_reason in ('signed_out', 'replaced', 'password', 'rights', 'disabled')
  )
);
create index sign_ins_person_id on sign_ins (person_id);
call guard_table('sign_ins');
comment on table sign_ins is 'Tokens that were given out, and how they ended. A token says itself when it expires; the rest is asked here.';
comment on column sign_ins.id is 'UUIDv7.';
comment on column sign_ins.person_id is 'Who signed in.';
comment on column sign_ins.token_digest is 'SHA-256 of the token, which nobody can be given again.';
comment on column sign_ins.created_at is 'When the person signed in.';
comment on column sign_ins.expires_at is 'When the token ends by itself.';
comment on column sign_ins.revoked_at is 'When it was ended before that.';
comment on column sign_ins.revoked_reason is
  'signed_out; replaced: signed in again in the same browser; password: it was changed; rights: roles or areas changed; disabled.';

create table invitations (
  id uuid primary key default public.uuidv7(),
  person_id uuid not null references people (id) on delete restrict,
  digest bytea not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz,
  constraint invitations_digest_key unique (digest),
  constraint invitations_digest_sha256 check (octet_length(digest) = 32),
  constraint invitations_in_order check (expires_at >= created_at)
);
create index invitations_person_id on invitations (person_id);
call guard_table('invitations');
comment on table invitations is 'One-time links by which a person chooses a password: the first one, or a new one.';
comment on column invitations.id is 'UUIDv7.';
comment on column invitations.person_id is 'Whose link.';
comment on column invitations.digest is 'SHA-256 of the code in the link, which is shown once.';
comment on column invitations.created_at is 'When it was made.';
comment on column invitations.expires_at is 'Until when it opens; a newer link of the same person ends it.';
comment on column invitations.used_at is 'When it was used; null: not yet.';

create table token_keys (
  id text primary key,
  secret bytea not null,
  made_at timestamptz not null default now(),
  signs_from timestamptz not null,
  valid_until timestamptz,
  constraint token_keys_id_form check (id ~ '^[0-9a-f]{8}$'),
  constraint token_keys_secret_256_bits check (octet_length(secret) = 32)
);
call guard_table('token_keys');
comment on table token_keys is
  'Keys that mark tokens as ours, so that a forged one is refused unasked. A key alone opens nothing: sign_ins decides.';
-- The first one, so that no worker is ever without. Two random UUIDs hold 244 random bits.
insert into token_keys (id, secret, signs_from) values (
  substr(md5(gen_random_uuid()::text), 1, 8), sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), now()
);
comment on column token_keys.id is 'Stands in the tokens that the key marked.';
comment on column token_keys.secret is 'The key (HMAC-SHA-256).';
comment on column token_keys.made_at is 'When it was made.';
comment on column token_keys.signs_from is 'From when tokens are marked by it: later than made, so that every worker knows it by then.';
comment on column token_keys.valid_until is 'Until when its tokens are taken; null: no end yet.';

create table sign_in_failures (
  kind text,
  subject bytea,
  tries integer not null,
  tried_at timestamptz not null,
  free_at timestamptz not null,
  constraint sign_in_failures_pkey primary key (kind, subject),
  constraint sign_in_failures_kind check (kind in ('account', 'address')),
  constraint sign_in_failures_subject_sha256 check (octet_length(subject) = 32),
  constraint sign_in_failures_counts check (tries >= 0)
);
create index sign_in_failures_tried_at on sign_in_failures (tried_at);
call guard_table('sign_in_failures');
comment on table sign_in_failures is 'How often signing in failed, by account and by address: all workers of the hub wait alike. Old rows are removed.';
comment on column sign_in_failures.kind is 'account or address.';
comment on column sign_in_failures.subject is 'SHA-256 of the name that was typed (people type passwords there) or of the network address.';
comment on column sign_in_failures.tries is 'Tries in a row that did not succeed.';
comment on column sign_in_failures.tried_at is 'When the last one was.';
comment on column sign_in_failures.free_at is 'When the next one is taken.';
