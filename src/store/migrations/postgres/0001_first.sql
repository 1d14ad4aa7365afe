-- The first schema. The same tables, columns and versions as migrations/sqlite; times are microseconds UTC.
-- `administration` leads every key that is not the pool's. `record` is the engine's whole row as JSON text; the columns beside
-- it are projections for queries and constraints. What the engine promises is a CHECK or a unique index here.

-- The two views of the world that SQLite spells differently.
create view clock as select (extract(epoch from clock_timestamp()) * 1000000)::bigint as us;

create function json_each(document text) returns table (value json) language sql immutable
    as $$ select element.value from pg_catalog.json_array_elements(document::json) as element(value) $$;

create table installation (
    id bigint primary key check (id = 1),
    secret text not null check (length(secret) = 64)
);

-- ── a pool's own rows ───────────────────────────────────────────────────────────────────────────────────────────────

-- Two rows per pool: the lease is renewed and never touched by a commit; the epoch is share-locked by each commit and raised
-- by a take-over. Progress belongs to the leader alone.
create table lease (
    pool text primary key,
    epoch bigint not null,
    holder text not null,
    expires_at bigint not null
);
create table epoch (
    pool text primary key,
    epoch bigint not null check (epoch > 0)
);
create table progress (
    pool text primary key,
    epoch bigint not null,
    batch bigint not null,
    last_seq bigint not null,
    last_at bigint not null
) with (fillfactor = 50);

create table input (
    pool text not null,
    seq bigint not null check (seq > 0),
    at bigint not null,
    kind text not null,
    source text,
    contact text,
    administration text,
    outcome text not null,
    body text not null,
    primary key (pool, seq)
);
create unique index input_source on input (source, pool) where source is not null;

create table event (
    pool text not null,
    seq bigint not null check (seq > 0),
    input_seq bigint not null,
    at bigint not null,
    name text not null,
    administration text,
    contact text,
    operator text,
    body text not null,
    primary key (pool, seq)
);

create table relay_cursor (
    pool text not null,
    name text not null,
    seq bigint not null,
    primary key (pool, name)
);

create table operator (
    pool text not null,
    id text not null,
    enabled boolean not null,
    presence text not null check (presence in ('offline', 'ready', 'away')),
    version bigint not null,
    record text not null,
    primary key (pool, id)
);

create table queue_state (
    pool text not null,
    queue text not null,
    closed boolean not null,
    notice text,
    primary key (pool, queue)
);

-- Offers that ended. The one that is live, if any, is its contact's row: `state` is offered, `operator` says to whom.
create table offer (
    pool text not null,
    contact text not null,
    ordinal bigint not null check (ordinal > 0),
    operator text not null,
    state text not null check (state in ('accepted', 'rejected', 'expired', 'revoked', 'rescinded')),
    made_at bigint not null,
    deadline bigint not null,
    ended_at bigint not null,
    primary key (pool, contact, ordinal)
);

-- ── what belongs to an administration ───────────────────────────────────────────────────────────────────────────────

create table contact (
    administration text not null,
    id text not null,
    pool text not null,
    office text not null,
    queue text not null,
    conversation text not null,
    citizen text,
    address text,
    channel text not null,
    mode text not null check (mode in ('live', 'deferrable')),
    direction text not null check (direction in ('inbound', 'outbound')),
    state text not null check (state in ('queued', 'offered', 'active', 'pending', 'wrap_up', 'deferred', 'abandoned', 'closed')),
    operator text,
    helper text,
    tier bigint not null check (tier between 0 and 255),
    due bigint not null,
    key_seq bigint not null,
    filed_at bigint not null,
    opened_at bigint not null,
    queued_at bigint not null,
    changed_at bigint not null,
    finished_at bigint,
    abandoned_at bigint,
    version bigint not null check (version >= 0),
    record text not null,
    primary key (administration, id),
    constraint contact_operator check ((operator is not null) = (state in ('offered', 'active', 'pending', 'wrap_up'))),
    constraint contact_finished check ((finished_at is not null) = (state in ('abandoned', 'closed')))
) with (fillfactor = 70);
create index contact_conversation on contact (administration, conversation);
create index contact_address on contact (administration, address, channel, opened_at) where address is not null;
create index contact_citizen on contact (administration, citizen) where citizen is not null;
create index contact_open on contact (administration, queue) where finished_at is null;
create index contact_abandoned on contact (pool, abandoned_at) where abandoned_at is not null;

create table conversation (
    administration text not null,
    id text not null,
    citizen text,
    subject text,
    opened_at bigint not null,
    primary key (administration, id)
);

-- `place` orders what was recorded at the same time.
create table message (
    administration text not null,
    id text not null,
    pool text not null,
    conversation text not null,
    contact text not null,
    direction text not null check (direction in ('inbound', 'outbound')),
    channel text not null,
    account text not null,
    author text,
    at bigint not null,
    place bigint not null,
    filed_at bigint not null,
    sender text,
    recipients text not null,
    subject text,
    text text not null,
    html text,
    attachments text not null,
    raw text,
    automatic text,
    provider_id text,
    header_id text,
    delivery text check (delivery in ('queued', 'attempting', 'sent', 'failed', 'unknown', 'delivered', 'bounced')),
    attempts bigint not null default 0 check (attempts >= 0),
    due bigint not null default 0,
    failure text,
    origin text,
    primary key (administration, id)
);
create index message_conversation on message (administration, conversation, at);
create index message_open on message (pool) where delivery in ('queued', 'attempting');

create table note (
    administration text not null,
    id text not null,
    conversation text not null,
    contact text not null,
    author text not null,
    at bigint not null,
    text text not null,
    primary key (administration, id)
);
create index note_conversation on note (administration, conversation, at);

create table citizen_address (
    administration text not null,
    key text not null,
    citizen text not null,
    channel text not null,
    address text not null,
    name text,
    level text not null check (level in ('claimed', 'verified', 'spid')),
    seen_at bigint not null,
    primary key (administration, key, citizen)
);
create index citizen_address_citizen on citizen_address (citizen, administration);

create table attempt (
    administration text not null,
    message text not null,
    attempt bigint not null check (attempt > 0),
    begun_at bigint not null,
    primary key (administration, message, attempt)
);

-- Inputs whose content was erased: a message delivered again stays dead.
create table tombstone (
    administration text not null,
    source text not null,
    erased_at bigint not null,
    primary key (administration, source)
);

-- ── the installation's ──────────────────────────────────────────────────────────────────────────────────────────────

create table login (
    operator text primary key,
    pool text not null,
    login text not null constraint login_taken unique,
    name text not null,
    password_hash text not null,
    grants text not null,
    enabled boolean not null,
    language text not null
);
create table session (
    token_hash text primary key check (length(token_hash) = 64),
    operator text not null references login (operator) on delete cascade,
    created_at bigint not null,
    seen_at bigint not null,
    expires_at bigint not null
);
create index session_operator on session (operator);
create table token (
    token_hash text primary key check (length(token_hash) = 64),
    name text not null constraint token_name_taken unique,
    account text,
    operator text,
    created_at bigint not null,
    expires_at bigint
);
create table plan (
    version bigint primary key check (version > 0),
    toml text not null,
    stored_at bigint not null
);
create table node (
    node text primary key,
    seen_at bigint not null
);
create table watermark (
    account text primary key,
    uid_validity bigint not null,
    uid bigint not null
);
create table named_lease (
    name text primary key,
    holder text not null,
    expires_at bigint not null
);
create table quarantine (
    id bigint generated always as identity primary key,
    pool text,
    administration text,
    source text not null,
    key text not null,
    message_id text not null,
    reason text not null,
    body bytea not null,
    at bigint not null,
    state text not null check (state in ('held', 'retried', 'discarded')),
    constraint quarantine_once unique (source, message_id)
);
create index quarantine_held on quarantine (at) where state = 'held';

-- Commands of the command line for a pool's leader, and what became of them.
create table left_command (
    pool text not null,
    id text not null,
    left_at bigint not null,
    body text not null,
    answer text,
    primary key (pool, id)
);

-- ── row-level security ──────────────────────────────────────────────────────────────────────────────────────────────
-- A second belt beneath the WHERE of each statement. Every transaction names its scope: `sportello.administrations` (comma
-- separated) for the desk, intake and commits, or `sportello.pool` for a leader that rebuilds its engine. Without a scope there
-- are no rows. FORCE binds the tables' owner too; only superusers and BYPASSRLS roles pass, and the store warns about those.
-- The scope is a test of each row, not an index condition: as one, every index that begins with `administration` looked as good
-- to the planner as the one that holds the key, and was ten times as dear.

do $$
declare
    scoped text;
    by_administration constant text :=
        'strpos((select '','' || current_setting(''sportello.administrations'', true) || '',''), '','' || administration || '','') > 0';
    by_pool constant text := 'pool = (select current_setting(''sportello.pool'', true))';
    condition text;
begin
    foreach scoped in array array['contact', 'conversation', 'message', 'note', 'citizen_address', 'attempt', 'tombstone'] loop
        condition := by_administration;
        if scoped in ('contact', 'message') then
            condition := condition || ' or ' || by_pool;
        end if;
        execute format('alter table %I enable row level security', scoped);
        execute format('alter table %I force row level security', scoped);
        execute format('create policy %I on %I using (%s) with check (%s)', scoped || '_scope', scoped, condition, condition);
    end loop;
end
$$;
