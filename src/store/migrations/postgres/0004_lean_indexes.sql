-- A contact changes a few times in its short life: room on its page keeps most of its versions there, so that no index has to
-- know of them. And it is found by address only on channels where it goes on by address.
alter table contact set (fillfactor = 50);
drop index contact_address;
create index contact_address on contact (administration, address, channel, opened_at) where address is not null and channel in ('sms', 'webchat');
