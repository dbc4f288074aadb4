-- People, what they may do and where, timelines and who told us come under the journal. Runs as hub_owner.

-- What is final stays so for everybody but the journal's hand, which writes what its entries say: erased words, above all.
create or replace procedure keep_facts(named regclass, how text)
  language plpgsql
  set search_path = public, pg_temp
as $$
begin
  -- After the row, not before: only then do generated columns hold their value, so that old and new can be compared.
  execute format(
    'create or replace trigger append_only after update or delete on %s for each row '
    'when (current_user <> ''hub_journal'') execute function refuse_overwriting(%L)',
    named, how
  );
  execute format(
    'create or replace trigger append_only_whole before truncate on %s for each statement '
    'execute function refuse_overwriting(%L)',
    named, how
  );
  execute format('alter table %s enable always trigger append_only', named);
  execute format('alter table %s enable always trigger append_only_whole', named);
end
$$;
comment on procedure keep_facts(regclass, text) is
  'Makes a table append-only, also under replication: "closable" where a fact may be given its end, else "final". What must '
  'be forgotten by law is blanked by the journal alone.';
call keep_facts('incident_entries', 'final');

create or replace procedure keep_history(named regclass, ending text)
  language plpgsql
  set search_path = public, pg_temp
as $$
begin
  execute format(
    'create or replace trigger history_kept after update or delete on %s for each row '
    'when (current_user <> ''hub_journal'') execute function refuse_rewriting_history(%L)',
    named, ending
  );
  execute format(
    'create or replace trigger history_kept_whole before truncate on %s for each statement '
    'execute function refuse_rewriting_history(%L)',
    named, ending
  );
  execute format('alter table %s enable always trigger history_kept', named);
  execute format('alter table %s enable always trigger history_kept_whole', named);
end
$$;
comment on procedure keep_history(regclass, text) is
  'Makes the rows of a table final but for the column that ends them, also under replication. The journal alone may blank them.';
call keep_history('person_roles', 'revoked_at');
call keep_history('person_areas', 'until');

-- A person's entries touch every unit that the person answers for: whoever administers it is concerned.
call journal_table(
  'people', areas => 'array(select p.area_id from person_areas p where p.person_id = it.id and p.until is null)',
  audience => 'people', left_out => '{version}', occurred => 'created_at'
);
call journal_table(
  'person_roles', areas => 'array(select p.area_id from person_areas p where p.person_id = it.person_id and p.until is null)',
  audience => 'duties'
);
call journal_table('person_areas', areas => 'array[it.area_id]', audience => 'posts');
call journal_table(
  'incident_entries', areas => 'array(select i.ward_id from incidents i where i.id = it.incident_id)',
  audience => 'timelines', occurred => 'at'
);
call journal_table(
  'incident_reporters', areas => 'array(select i.ward_id from incidents i where i.id = it.incident_id)',
  audience => 'callers'
);

-- Whoever told us and is forgotten has neither name nor number.
alter table incident_reporters drop constraint incident_reporters_said;
