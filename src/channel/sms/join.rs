//! A message that comes in several parts, put together: whatever their order, repeated or not, with or without all of them. Pure.
//!
//! Which parts belong together is said by 3GPP TS 23.040, 9.2.3.24.1 and 9.2.3.24.8, by SMPP 3.4, 5.3.2.22 to 5.3.2.24 (`sar_…`), and
//! by the `concat…` fields of a provider. A sender may tear an escape or a surrogate pair apart, so bytes are joined before they are
//! read as text.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::provider::{Media, Received, Said};
use super::smpp::pdu;
use super::webhook::Taken;
use crate::model::id::AccountId;
use crate::model::time::Timestamp;

/// The most bytes of one part. The network's own have 140; what claims to be a part and is longer comes as a message of its own.
const PART_BYTES_MAX: usize = 1024;
/// The longest reference, in bytes.
const REFERENCE_MAX: usize = 64;

/// Which part of which message something received is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The same in all parts of one message.
    pub reference: String,
    /// How many there are, at least 2.
    pub total: u8,
    /// Which one this is, from 1 to `total`.
    pub number: u8,
    /// The bytes of its text, if that is how it came.
    pub coded: Option<Coded>,
}

/// Bytes of a text and SMPP's `data_coding` of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coded {
    /// `data_coding`
    pub coding: u8,
    /// Without the header.
    pub bytes: Vec<u8>,
}

impl Part {
    /// A part whose numbers make sense; none: what came is a message of its own. `text` is it read alone.
    pub fn new(reference: &str, total: u64, number: u64, coded: Option<Coded>, text: &str) -> Option<Self> {
        let (total, number) = (u8::try_from(total).ok()?, u8::try_from(number).ok()?);
        let bytes = coded.as_ref().map_or(text.len(), |coded| coded.bytes.len());
        let is_good = total > 1 && (1..=total).contains(&number) && bytes <= PART_BYTES_MAX;
        let is_named = !reference.is_empty() && reference.len() <= REFERENCE_MAX;
        (is_good && is_named).then(|| Self { reference: reference.to_owned(), total, number, coded })
    }
}

/// What came of one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The id under which it came.
    pub id: String,
    /// When.
    pub at: Timestamp,
    text: String,
    media: Vec<Media>,
    coded: Option<Coded>,
}

impl Piece {
    /// Whether they say the same, whenever and under whatever id they came.
    fn says_the_same(&self, other: &Self) -> bool {
        (&self.text, &self.media, &self.coded) == (&other.text, &other.media, &other.coded)
    }

    /// What it says, as a digest.
    pub fn digest(&self) -> String {
        let said = serde_json::to_vec(&(&self.text, &self.media, &self.coded)).expect("texts and numbers are JSON");
        hex::encode(&Sha256::digest(said)[..16])
    }
}

/// A message of which some parts have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joining {
    /// Names the whole message: the same whenever it is handed on, for it comes of the part that came first.
    pub id: String,
    account: AccountId,
    from: String,
    to: String,
    total: u8,
    /// What has come, by number.
    pub pieces: BTreeMap<u8, Piece>,
}

/// What a part did to the message it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It was missing.
    New,
    /// It was there.
    Repeated,
    /// Another text has its place: the sender has begun another message with the same reference.
    Other,
}

impl Joining {
    /// The message that begins with a part; none if it is not a part.
    pub fn begin(taken: &Taken) -> Option<Self> {
        let (received, part) = part_of(taken)?;
        let id = Sha256::digest([key(taken)?.as_bytes(), b"\0", received.id.as_bytes()].concat());
        Some(Self {
            id: format!("parts-{}", hex::encode(&id[..16])),
            account: taken.account.clone(),
            from: received.from.clone(),
            to: received.to.clone(),
            total: part.total,
            pieces: [(part.number, piece(taken)?.1)].into(),
        })
    }

    /// Takes a part of the same key.
    pub fn add(&mut self, number: u8, piece: Piece) -> Added {
        match self.pieces.get(&number) {
            Some(known) if known.id == piece.id || known.says_the_same(&piece) => Added::Repeated,
            Some(_) => Added::Other,
            None => {
                self.pieces.insert(number, piece);
                Added::New
            }
        }
    }

    /// Whether nothing is missing.
    pub fn is_whole(&self) -> bool {
        self.pieces.len() >= usize::from(self.total)
    }

    /// Whose it is.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// When the last part came.
    pub fn last_at(&self) -> Timestamp {
        self.pieces.values().map(|piece| piece.at).max().unwrap_or_default()
    }

    /// The one message, filed when its first part came. Where parts are missing stands which: `[… 2/3 …]`, `[… 2-4/5 …]`.
    pub fn taken(&self) -> Taken {
        let said = Said::Received(Received {
            id: self.id.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            text: self.text(),
            media: self.pieces.values().flat_map(|piece| piece.media.clone()).collect(),
            part: None,
        });
        let at = self.pieces.values().map(|piece| piece.at).min().unwrap_or_default();
        Taken { account: self.account.clone(), at, said, fingerprint: None }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // bytes of one coding in a row, not read yet
        let mut run: Option<Coded> = None;
        let read = |run: Option<Coded>| run.map(|run| pdu::decode(&run.bytes, run.coding)).unwrap_or_default();
        let mut expected = 1;
        for (number, piece) in &self.pieces {
            if *number > expected {
                text += &read(run.take());
                text += &self.gap(expected, number - 1);
            }
            expected = number.saturating_add(1);
            match (&piece.coded, &mut run) {
                (Some(coded), Some(run)) if run.coding == coded.coding => run.bytes.extend(&coded.bytes),
                (coded, run) => {
                    text += &read(std::mem::replace(run, coded.clone()));
                    if coded.is_none() {
                        text += &piece.text;
                    }
                }
            }
        }
        text += &read(run);
        if !self.pieces.contains_key(&self.total) {
            text += &self.gap(expected, self.total);
        }
        text
    }

    fn gap(&self, first: u8, last: u8) -> String {
        if first == last { format!("[… {first}/{} …]", self.total) } else { format!("[… {first}-{last}/{} …]", self.total) }
    }
}

/// What remains of a message that was handed on, for a while: enough to know a part of it that comes again or late, and no text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// The message's id.
    pub id: String,
    /// When it was handed on.
    pub at: Timestamp,
    ids: BTreeSet<String>,
    digests: BTreeMap<u8, String>,
    is_whole: bool,
}

impl Gone {
    /// Of a message handed on now.
    pub fn of(joining: &Joining, at: Timestamp) -> Self {
        Self {
            id: joining.id.clone(),
            at,
            ids: joining.pieces.values().map(|piece| piece.id.clone()).collect(),
            digests: joining.pieces.iter().map(|(number, piece)| (*number, piece.digest())).collect(),
            is_whole: joining.is_whole(),
        }
    }

    /// Whether this very part was in it, by its id.
    pub fn had(&self, piece: &Piece) -> bool {
        self.ids.contains(&piece.id)
    }

    /// Whether a part that says this was in it.
    pub fn said(&self, number: u8, piece: &Piece) -> bool {
        self.digests.get(&number).is_some_and(|digest| *digest == piece.digest())
    }

    /// Whether this part was missing when it was handed on.
    pub fn missed(&self, number: u8) -> bool {
        !self.is_whole && !self.digests.contains_key(&number)
    }

    /// The part that was missing has come.
    pub fn note(&mut self, number: u8, piece: &Piece) {
        self.ids.insert(piece.id.clone());
        self.digests.insert(number, piece.digest());
    }
}

/// The part that something taken is, if it is one.
fn part_of(taken: &Taken) -> Option<(&Received, &Part)> {
    match &taken.said {
        Said::Received(received) => Some((received, received.part.as_ref()?)),
        _ => None,
    }
}

/// A part's number and what came of it.
pub fn piece(taken: &Taken) -> Option<(u8, Piece)> {
    let (received, part) = part_of(taken)?;
    let piece = Piece {
        id: received.id.clone(),
        at: taken.at,
        text: received.text.clone(),
        media: received.media.clone(),
        coded: part.coded.clone(),
    };
    Some((part.number, piece))
}

/// What all parts of one message have in common, as a digest: account, sender, recipient, reference, how many there are.
pub fn key(taken: &Taken) -> Option<String> {
    let (received, part) = part_of(taken)?;
    let common = (&taken.account, &received.from, &received.to, &part.reference, part.total);
    let common = serde_json::to_vec(&common).expect("texts and numbers are JSON");
    Some(hex::encode(&Sha256::digest(common)[..16]))
}

#[cfg(test)]
pub(in crate::channel::sms) mod tests;
