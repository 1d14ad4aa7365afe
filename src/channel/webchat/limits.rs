//! What a citizen's browser may send, and how often: every number that comes from outside has a limit with a name here.

use std::time::Duration;

/// The longest frame from a browser, in bytes.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;
/// The longest frame that is read at all, in bytes: one a little too long is answered, one far too long cuts the connection.
pub const FRAME_BYTES_READ_MAX: usize = 2 * FRAME_BYTES_MAX;
/// The longest body of a request without a file, in bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// The longest name of a citizen, in characters.
pub const NAME_CHARACTERS_MAX: usize = 80;
/// The longest email address, in characters (RFC 5321).
pub const EMAIL_CHARACTERS_MAX: usize = 254;
/// The longest message, in characters.
pub const MESSAGE_CHARACTERS_MAX: usize = 4_000;
/// What a citizen sees of a closed queue's notice, in characters.
pub const NOTICE_CHARACTERS_MAX: usize = 500;
/// Files in one message.
pub const FILES_MAX: usize = 5;
/// The longest id that a browser makes, in characters.
pub const CLIENT_ID_CHARACTERS_MAX: usize = 64;
/// The longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 64;
/// Messages that may wait for the broker at one socket.
pub const UNPUBLISHED_MAX: usize = 16;
/// Events that may wait for one socket; a slower one is cut, and resumes.
pub const WAITING_EVENTS_MAX: usize = 256;
/// Messages in the welcome itself; further ones follow as frames of their own.
pub const WELCOME_MESSAGES_MAX: usize = 50;
/// Messages of one chat at once, and so many more each second.
pub const MESSAGES_AT_ONCE: u32 = 20;
/// Messages of one chat each second.
pub const MESSAGES_PER_SECOND: u32 = 2;
/// Other frames of one socket at once.
pub const FRAMES_AT_ONCE: u32 = 60;
/// Other frames of one socket each second.
pub const FRAMES_PER_SECOND: u32 = 5;
/// Frames refused in a row before a socket is closed.
pub const REFUSED_MAX: u32 = 50;
/// Files of one chat at once, and as many again per hour.
pub const UPLOADS_PER_HOUR: u32 = 30;
/// Tokens shown from one network address at once, by hellos and requests for files: so many, or as many as it may have sockets.
pub const TOKENS_AT_ONCE: usize = 60;
/// Tokens shown from one network address each second; enough in any case for all its sockets to come back every [`RETRY_SECONDS`].
pub const TOKENS_PER_SECOND: usize = 2;
/// Addresses that one chat may have its transcript sent to.
pub const TRANSCRIPT_ADDRESSES_MAX: u32 = 2;
/// Transcripts asked for from one network address at once, and as many again per hour.
pub const TRANSCRIPTS_PER_HOUR: u32 = 20;
/// Files of one chat on their way at once.
pub const UPLOADS_PER_CHAT_MAX: usize = 2;
/// Files on their way at once from one network address.
pub const UPLOADS_PER_ADDRESS_MAX: usize = 4;
/// So many files of the largest size fit into the memory that all files on their way share.
pub const UPLOADS_IN_MEMORY: usize = 8;
/// Sockets of one chat at once: tabs.
pub const SOCKETS_PER_CHAT_MAX: usize = 8;
/// How long a browser may take for its first frame.
pub const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// How long a write may take.
pub const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// How long a browser that is sent away, or whose file is refused, may go on sending: it is dropped, so that it reads why.
pub const FAREWELL_WITHIN: Duration = Duration::from_secs(2);
/// Frames dropped in that time.
pub const FAREWELL_FRAMES_MAX: usize = 1_000;
/// How long a request may take; an upload has as long.
pub const REQUEST_WITHIN: Duration = Duration::from_secs(60);
/// A body that has not ended must bring [`BODY_PROGRESS_BYTES`] more within this time: a line of 13 kbit/s does.
pub const BODY_PROGRESS_WITHIN: Duration = Duration::from_secs(10);
/// See [`BODY_PROGRESS_WITHIN`].
pub const BODY_PROGRESS_BYTES: usize = 16 * 1024;
/// How often a node says which chats it has connections of.
pub const PRESENT_EVERY: Duration = Duration::from_secs(10);
/// For how long that holds: a node that dies says nothing more.
pub const PRESENT_FOR: Duration = Duration::from_secs(15);
/// How often a waiting citizen's place in the queue is looked at.
pub const PLACE_EVERY: Duration = Duration::from_secs(4);
/// How long what is known of queues and operators is believed, and that it could not be read.
pub const ROOM_AGE_MAX: Duration = Duration::from_secs(2);
/// How long that may take to be read: a citizen's chat goes on without.
pub const ROOM_WITHIN: Duration = Duration::from_secs(1);
/// How long a message that was answered `later` is waited for before others go.
pub const LATER_WITHIN: Duration = Duration::from_secs(10);
/// What a client is told to wait, in seconds, when there is no place for it.
pub const RETRY_SECONDS: u32 = 30;
/// What a client is told to wait, in seconds, when its other files are still on their way.
pub const UPLOAD_RETRY_SECONDS: u64 = 5;
/// How long a chat that left an address is remembered: whoever answers it finds the address there.
pub const ANSWERABLE_FOR: Duration = Duration::from_secs(90 * 86_400);
