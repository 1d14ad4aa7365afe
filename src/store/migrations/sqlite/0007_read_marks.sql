-- How far each operator has read each conversation: everything recorded up to then.
create table read_mark (
    administration text not null,
    conversation text not null,
    operator text not null,
    until integer not null,
    primary key (administration, conversation, operator)
) strict;
