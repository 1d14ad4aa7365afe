-- Citizens' words about text messages that were obeyed, by the id of what came, a key as well: one that comes again changes nothing.
create table opt_out_word (
    administration text not null,
    source text not null,
    primary key (administration, source)
) strict;
