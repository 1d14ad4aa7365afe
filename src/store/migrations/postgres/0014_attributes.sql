-- What the channel of a citizen's message knows of it that has no column: as JSON, null if nothing.
alter table message add column attributes text;
