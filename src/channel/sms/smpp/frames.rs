//! PDUs on the wire: cut out by their length and read each by itself, so that one that cannot be read is one PDU and not the session.

use std::io::{Error, ErrorKind};

use bytes::{Buf as _, Bytes, BytesMut};
use rusmpp::tokio_codec::CommandCodec;
use rusmpp::{Command, CommandId, CommandStatus};
use tokio_util::codec::{Decoder, Encoder};

/// Length, command, status, sequence number.
const HEAD_BYTES: usize = 16;
/// The longest PDU that is read, in bytes.
const PDU_BYTES_MAX: usize = 64 * 1024;

/// A PDU that came.
#[derive(Debug)]
pub enum Frame {
    /// It could be read.
    Read(Box<Command>),
    /// It is as long as it says, and that is all that is right about it.
    Unreadable(Unreadable),
}

/// A PDU of which only the head could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// What it is.
    pub id: CommandId,
    /// What an answer says.
    pub status: CommandStatus,
    /// Its number in the session.
    pub sequence: u32,
    /// All of it.
    pub bytes: Bytes,
}

impl Unreadable {
    /// What stands behind the head: the same when it is sent again.
    pub fn body(&self) -> &[u8] {
        &self.bytes[HEAD_BYTES..]
    }
}

/// Cuts and reads, and writes.
#[derive(Debug, Default)]
pub struct Frames;

impl Decoder for Frames {
    type Item = Frame;
    type Error = Error;

    /// An error is a length that cannot be: nothing behind it can be found.
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, Error> {
        let Some(mut head) = src.first_chunk::<HEAD_BYTES>().map(|head| &head[..]) else { return Ok(None) };
        let length = usize::try_from(head.get_u32()).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
        if !(HEAD_BYTES..=PDU_BYTES_MAX).contains(&length) {
            return Err(Error::new(ErrorKind::InvalidData, format!("a PDU of {length} bytes")));
        }
        let (id, status, sequence) = (head.get_u32().into(), head.get_u32().into(), head.get_u32());
        if src.len() < length {
            src.reserve(length - src.len());
            return Ok(None);
        }
        let bytes = src.split_to(length).freeze();
        // a copy: what reads beyond the end of this one does not take from the next
        let read = CommandCodec::new().with_max_length(PDU_BYTES_MAX).decode(&mut BytesMut::from(&bytes[..]));
        Ok(Some(match read {
            Ok(Some(command)) => Frame::Read(Box::new(command)),
            Ok(None) | Err(_) => Frame::Unreadable(Unreadable { id, status, sequence, bytes }),
        }))
    }
}

impl Encoder<Command> for Frames {
    type Error = Error;

    fn encode(&mut self, command: Command, dst: &mut BytesMut) -> Result<(), Error> {
        CommandCodec::new().encode(command, dst).map_err(Error::other)
    }
}

#[cfg(test)]
mod tests {
    use rusmpp::Pdu;
    use rusmpp::pdus::DeliverSm;

    use super::*;

    fn written(command: Command) -> BytesMut {
        let mut bytes = BytesMut::new();
        Frames.encode(command, &mut bytes).expect("encodes");
        bytes
    }

    /// A `deliver_sm` from an address that is none.
    fn odd() -> BytesMut {
        let mut bytes = written(Command::new(CommandStatus::EsmeRok, 7, DeliverSm::default()));
        // service type, type and plan of the number: then the address
        bytes[HEAD_BYTES + 3] = 0xe0;
        bytes
    }

    #[test]
    fn what_cannot_be_read_hides_nothing_behind_it() {
        let enquire = || written(Command::new(CommandStatus::EsmeRok, 8, Pdu::EnquireLink));
        let mut wire = [odd(), enquire(), odd()].concat();
        let last = wire.pop().expect("not empty");
        let mut source = BytesMut::from(&wire[..]);
        let Ok(Some(Frame::Unreadable(unreadable))) = Frames.decode(&mut source) else { panic!("cut out") };
        assert_eq!((unreadable.id, unreadable.sequence, &unreadable.bytes[..]), (CommandId::DeliverSm, 7, &odd()[..]));
        assert!(matches!(Frames.decode(&mut source), Ok(Some(Frame::Read(command))) if command.sequence_number() == 8));
        assert!(matches!(Frames.decode(&mut source), Ok(None)), "not whole yet");
        source.extend([last]);
        assert!(matches!(Frames.decode(&mut source), Ok(Some(Frame::Unreadable(_)))));
        assert!(source.is_empty() && matches!(Frames.decode(&mut source), Ok(None)));
    }

    #[test]
    fn a_length_that_cannot_be_is_the_end() {
        for length in [0_u32, 15, 64 * 1024 + 1, u32::MAX] {
            let mut source = BytesMut::from(&odd()[..]);
            source[..4].copy_from_slice(&length.to_be_bytes());
            assert!(Frames.decode(&mut source).is_err(), "{length}");
        }
    }
}
