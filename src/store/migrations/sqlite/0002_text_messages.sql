-- Citizens' numbers that want no text messages: their last word, and when it was said. Keys, never the numbers themselves.
create table opt_out (
    administration text not null,
    channel text not null,
    address text not null,
    said_at integer not null,
    stopped_at integer,
    primary key (administration, channel, address)
) strict;

-- How the provider named what an attempt sent: its receipts know no other name.
alter table attempt add column provider_id text;
create index attempt_provider_id on attempt (administration, provider_id) where provider_id is not null;
