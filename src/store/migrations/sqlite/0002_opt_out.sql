-- Citizens' numbers that want no text messages: their last word, and when it was said. Keys, never the numbers themselves.
create table opt_out (
    administration text not null,
    channel text not null,
    address text not null,
    said_at integer not null,
    stopped_at integer,
    primary key (administration, channel, address)
) strict;
