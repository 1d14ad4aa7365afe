-- Whose word says how a message of unknown outcome ended: who and when, as JSON.
alter table message add column settled text;
