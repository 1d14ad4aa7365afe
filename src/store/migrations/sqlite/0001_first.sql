-- The first schema. The same tables, columns and versions as migrations/postgres; times are microseconds UTC.
-- `administration` leads every key that is not the pool's. `record` is the engine's whole row as JSON text; the columns beside
-- it are projections for queries and constraints. What the engine promises is a CHECK or a unique index here.

-- The database's own clock; PostgreSQL spells it differently.
create view clock as select cast(unixepoch('subsec') * 1000000 as integer) as us;

create table installation (
    id integer primary key check (id = 1),
    secret text not null check (length(secret) = 64)
) strict;

-- ── a pool's own rows ───────────────────────────────────────────────────────────────────────────────────────────────

-- Two rows per pool: the lease is renewed and never touched by a commit; the epoch is share-locked by each commit and raised
-- by a take-over. Progress belongs to the leader alone.
create table lease (
    pool text primary key,
    epoch integer not null,
    holder text not null,
    expires_at integer not null
) strict;
create table epoch (
    pool text primary key,
    epoch integer not null check (epoch > 0)
) strict;
create table progress (
    pool text primary key,
    epoch integer not null,
    batch integer not null,
    last_seq integer not null,
    last_at integer not null
) strict;

create table input (
    pool text not null,
    seq integer not null check (seq > 0),
    at integer not null,
    kind text not null,
    source text,
    contact text,
    administration text,
    outcome text not null,
    body text not null,
    primary key (pool, seq)
) strict;
create unique index input_source on input (source, pool) where source is not null;

create table event (
    pool text not null,
    seq integer not null check (seq > 0),
    input_seq integer not null,
    at integer not null,
    name text not null,
    administration text,
    contact text,
    operator text,
    body text not null,
    primary key (pool, seq)
) strict;

create table relay_cursor (
    pool text not null,
    name text not null,
    seq integer not null,
    primary key (pool, name)
) strict;

create table operator (
    pool text not null,
    id text not null,
    enabled integer not null check (enabled in (0, 1)),
    presence text not null check (presence in ('offline', 'ready', 'away')),
    version integer not null,
    record text not null,
    primary key (pool, id)
) strict;

create table queue_state (
    pool text not null,
    queue text not null,
    closed integer not null check (closed in (0, 1)),
    notice text,
    primary key (pool, queue)
) strict;

-- Offers that ended. The one that is live, if any, is its contact's row: `state` is offered, `operator` says to whom.
create table offer (
    pool text not null,
    contact text not null,
    ordinal integer not null check (ordinal > 0),
    operator text not null,
    state text not null check (state in ('accepted', 'rejected', 'expired', 'revoked', 'rescinded')),
    made_at integer not null,
    deadline integer not null,
    ended_at integer not null,
    primary key (pool, contact, ordinal)
) strict;

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
    tier integer not null check (tier between 0 and 255),
    due integer not null,
    key_seq integer not null,
    filed_at integer not null,
    opened_at integer not null,
    queued_at integer not null,
    changed_at integer not null,
    finished_at integer,
    abandoned_at integer,
    version integer not null check (version >= 0),
    record text not null,
    primary key (administration, id),
    constraint contact_operator check ((operator is not null) = (state in ('offered', 'active', 'pending', 'wrap_up'))),
    constraint contact_finished check ((finished_at is not null) = (state in ('abandoned', 'closed')))
) strict;
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
    opened_at integer not null,
    primary key (administration, id)
) strict;

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
    at integer not null,
    place integer not null,
    filed_at integer not null,
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
    attempts integer not null default 0 check (attempts >= 0),
    due integer not null default 0,
    failure text,
    origin text,
    primary key (administration, id)
) strict;
create index message_conversation on message (administration, conversation, at);
create index message_open on message (pool) where delivery in ('queued', 'attempting');

create table note (
    administration text not null,
    id text not null,
    conversation text not null,
    contact text not null,
    author text not null,
    at integer not null,
    text text not null,
    primary key (administration, id)
) strict;
create index note_conversation on note (administration, conversation, at);

create table citizen_address (
    administration text not null,
    key text not null,
    citizen text not null,
    channel text not null,
    address text not null,
    name text,
    level text not null check (level in ('claimed', 'verified', 'spid')),
    seen_at integer not null,
    primary key (administration, key, citizen)
) strict;
create index citizen_address_citizen on citizen_address (citizen, administration);

create table attempt (
    administration text not null,
    message text not null,
    attempt integer not null check (attempt > 0),
    begun_at integer not null,
    primary key (administration, message, attempt)
) strict;

-- Inputs whose content was erased: a message delivered again stays dead.
create table tombstone (
    administration text not null,
    source text not null,
    erased_at integer not null,
    primary key (administration, source)
) strict;

-- ── the installation's ──────────────────────────────────────────────────────────────────────────────────────────────

create table login (
    operator text primary key,
    pool text not null,
    login text not null constraint login_taken unique,
    name text not null,
    password_hash text not null,
    grants text not null,
    enabled integer not null check (enabled in (0, 1)),
    language text not null
) strict;
create table session (
    token_hash text primary key check (length(token_hash) = 64),
    operator text not null references login (operator) on delete cascade,
    created_at integer not null,
    seen_at integer not null,
    expires_at integer not null
) strict;
create index session_operator on session (operator);
create table token (
    token_hash text primary key check (length(token_hash) = 64),
    name text not null constraint token_name_taken unique,
    account text,
    operator text,
    created_at integer not null,
    expires_at integer
) strict;
create table plan (
    version integer primary key check (version > 0),
    toml text not null,
    stored_at integer not null
) strict;
create table node (
    node text primary key,
    seen_at integer not null
) strict;
create table watermark (
    account text primary key,
    uid_validity integer not null,
    uid integer not null
) strict;
create table named_lease (
    name text primary key,
    holder text not null,
    expires_at integer not null
) strict;
create table quarantine (
    id integer primary key autoincrement,
    pool text,
    administration text,
    source text not null,
    key text not null,
    message_id text not null,
    reason text not null,
    body blob not null,
    at integer not null,
    state text not null check (state in ('held', 'retried', 'discarded')),
    constraint quarantine_once unique (source, message_id)
) strict;
create index quarantine_held on quarantine (at) where state = 'held';
-- Commands of the command line for a pool's leader, and what became of them.
create table left_command (
    pool text not null,
    id text not null,
    left_at integer not null,
    body text not null,
    answer text,
    primary key (pool, id)
) strict;
