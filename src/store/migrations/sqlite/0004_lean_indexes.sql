-- A contact is found by address only on channels where it goes on by address.
drop index contact_address;
create index contact_address on contact (administration, address, channel, opened_at) where address is not null and channel in ('sms', 'webchat');
