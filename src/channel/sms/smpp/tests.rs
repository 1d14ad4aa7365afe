//! A session with an SMSC that answers when it is told to: how much is on its way at once, how long a rest is, what cannot be read, and
//! how it ends.

use rusmpp::pdus::{BindTransceiverResp, DeliverSm, SubmitSmResp};
use rusmpp::tokio_codec::CommandCodec;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::bytes::BytesMut;
use tokio_util::codec::Encoder as _;

use super::*;
use crate::channel::sms::spool::{self, Entry};

/// An SMSC to which one session is bound.
struct Peer {
    wire: Framed<TcpStream, CommandCodec>,
    smpp: Smpp,
    entries: mpsc::UnboundedReceiver<Entry>,
    run: JoinHandle<()>,
    shutdown: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Peer {
    async fn bound(window: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let folder = tempfile::tempdir().expect("a folder");
        let (spool, entries) = spool::open(folder.path(), 1 << 20).expect("opens");
        let options = SmppOptions {
            address: listener.local_addr().expect("bound").to_string(),
            user: "sportello".into(),
            password: "segreto".to_owned().into(),
            system_type: String::new(),
            window,
            alphabet: ShortAlphabet::Gsm7,
        };
        let shutdown = CancellationToken::new();
        let (smpp, session) = session(options, AccountId::new("urp-sms").expect("a name"), spool, &[], Arc::default());
        let run = tokio::spawn(session.run(shutdown.clone()));
        let (stream, _) = listener.accept().await.expect("a connection");
        let wire = Framed::new(stream, CommandCodec::new());
        let mut peer = Self { wire, smpp, entries, run, shutdown, _folder: folder };
        let bind = peer.hear().await;
        peer.say(CommandStatus::EsmeRok, bind.sequence_number(), BindTransceiverResp::default()).await;
        peer.enquire().await;
        peer
    }

    async fn say(&mut self, status: CommandStatus, sequence: u32, pdu: impl Into<Pdu>) {
        self.wire.send(Command::new(status, sequence, pdu)).await.expect("sent");
    }

    /// The next PDU. A question whether it is there is answered beside.
    async fn hear(&mut self) -> Command {
        loop {
            let command = timeout(ANSWER_WITHIN, self.wire.next()).await.expect("in time").expect("no end").expect("a PDU");
            if !matches!(command.pdu(), Some(Pdu::EnquireLink)) {
                return command;
            }
            self.say(CommandStatus::EsmeRok, command.sequence_number(), Pdu::EnquireLinkResp).await;
        }
    }

    /// Asks whether anybody is there. What is heard before the answer: nothing, or this fails.
    async fn enquire(&mut self) {
        self.say(CommandStatus::EsmeRok, 1000, Pdu::EnquireLink).await;
        assert!(matches!(self.hear().await.pdu(), Some(Pdu::EnquireLinkResp)));
    }

    /// The sequence number of the next order.
    async fn order(&mut self) -> u32 {
        let command = self.hear().await;
        assert!(matches!(command.pdu(), Some(Pdu::SubmitSm(_))), "{command:?}");
        command.sequence_number()
    }

    async fn take(&mut self, sequence: u32) {
        let id = COctetString::from_vec(format!("{sequence:x}\0").into_bytes()).expect("short");
        self.say(CommandStatus::EsmeRok, sequence, SubmitSmResp::new(id, Vec::new())).await;
    }

    async fn throttle(&mut self, sequence: u32) {
        self.say(CommandStatus::EsmeRthrottled, sequence, SubmitSmResp::default()).await;
    }

    /// Somebody sends a message.
    fn send(&self) -> JoinHandle<Result<String, SubmitError>> {
        let smpp = self.smpp.clone();
        tokio::spawn(async move { smpp.order().submit(SubmitSm::default()).await })
    }
}

#[tokio::test]
async fn as_many_orders_as_the_window_wait_for_their_answers() {
    for window in [1, 6] {
        let mut peer = Peer::bound(window).await;
        let sent: Vec<_> = (0..window + 2).map(|_| peer.send()).collect();
        let mut waiting = Vec::new();
        for _ in 0..window {
            waiting.push(peer.order().await);
        }
        // an order beyond the window would come before this answer
        peer.enquire().await;
        for _ in 0..2 {
            peer.take(waiting.pop().expect("one waits")).await;
            waiting.push(peer.order().await);
            peer.enquire().await;
        }
        for sequence in waiting {
            peer.take(sequence).await;
        }
        for sent in sent {
            sent.await.expect("no panic").expect("taken");
        }
    }
}

#[tokio::test]
async fn too_much_is_told_to_each_and_the_session_rests_once() {
    let mut peer = Peer::bound(3).await;
    let sent: Vec<_> = (0..3).map(|_| peer.send()).collect();
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(peer.order().await);
    }
    let began = Instant::now();
    for sequence in waiting {
        peer.throttle(sequence).await;
    }
    for sent in sent {
        assert_eq!(sent.await.expect("no panic"), Err(SubmitError::Throttled));
    }
    // who rests answers all the same
    peer.enquire().await;
    let again = peer.send();
    let sequence = peer.order().await;
    assert!(began.elapsed() >= THROTTLE_MIN);
    peer.take(sequence).await;
    assert_eq!(again.await.expect("no panic"), Ok(format!("{sequence:x}")));
}

/// A message from an address that is none, as it goes over the wire.
fn odd(sequence: u32) -> BytesMut {
    let mut bytes = BytesMut::new();
    let message = DeliverSm::builder().short_message(rusmpp::types::OctetString::from_slice(b"ciao").expect("short")).build();
    CommandCodec::new().encode(Command::new(CommandStatus::EsmeRok, sequence, message), &mut bytes).expect("encodes");
    // behind the head and three fields of one byte
    bytes[19] = 0xe0;
    bytes
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_and_answered_and_the_session_goes_on() {
    let mut peer = Peer::bound(1).await;
    let order = peer.send();
    let sequence = peer.order().await;
    peer.wire.get_mut().write_all(&odd(41)).await.expect("sent");
    let answer = peer.hear().await;
    assert!(matches!(answer.pdu(), Some(Pdu::DeliverSmResp(_))), "{answer:?}");
    assert_eq!((answer.status(), answer.sequence_number()), (CommandStatus::EsmeRok, 41));
    let entry = peer.entries.recv().await.expect("an entry");
    let taken: Taken = serde_json::from_slice(&entry.content).expect("reads back");
    assert_eq!(taken.said, Said::Unreadable(hex::encode(odd(41))));
    // another question that cannot be read, and one that nobody knows
    let mut question = odd(42);
    question[4..8].copy_from_slice(&0x103_u32.to_be_bytes());
    let mut unknown = odd(43);
    unknown[4..8].copy_from_slice(&0x1ff_u32.to_be_bytes());
    for (question, sequence) in [(question, 42), (unknown, 43)] {
        peer.wire.get_mut().write_all(&question).await.expect("sent");
        let answer = peer.hear().await;
        assert!(matches!(answer.pdu(), Some(Pdu::GenericNack)), "{answer:?}");
        assert_eq!((answer.status(), answer.sequence_number()), (CommandStatus::EsmeRinvcmdid, sequence));
    }
    peer.take(sequence).await;
    assert_eq!(order.await.expect("no panic"), Ok(format!("{sequence:x}")), "what was on its way");
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_the_answer_of_nobody_else() {
    let mut peer = Peer::bound(1).await;
    let order = peer.send();
    let sequence = peer.order().await;
    let mut bytes = odd(sequence);
    bytes[4..8].copy_from_slice(&0x8000_0004_u32.to_be_bytes());
    bytes.truncate(20);
    bytes[16..].copy_from_slice(b"\xe0abc");
    bytes[..4].copy_from_slice(&20_u32.to_be_bytes());
    peer.wire.get_mut().write_all(&bytes).await.expect("sent");
    assert_eq!(order.await.expect("no panic"), Err(SubmitError::Unknown), "taken under an id that nobody knows");
    peer.enquire().await;
}

/// Two parts, of which the second waits to be told.
fn two_parts(peer: &Peer) -> (JoinHandle<[Result<String, SubmitError>; 2]>, oneshot::Sender<()>) {
    let (go, told) = oneshot::channel();
    let mut order = peer.smpp.order();
    let sent = tokio::spawn(async move {
        let first = order.submit(SubmitSm::default()).await;
        let _ = told.await;
        [first, order.submit(SubmitSm::default()).await]
    });
    (sent, go)
}

#[tokio::test]
async fn a_stop_waits_for_answers_and_for_the_rest_of_a_long_text() {
    let mut peer = Peer::bound(4).await;
    let (long, go) = two_parts(&peer);
    let first = peer.order().await;
    peer.take(first).await;
    let short = peer.send();
    let waiting = peer.order().await;
    peer.shutdown.cancel();
    while !peer.smpp.state.is_leaving.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    assert_eq!(peer.send().await.expect("no panic"), Err(SubmitError::NotBound), "nothing is begun any more");
    peer.wire.get_mut().write_all(&odd(50)).await.expect("sent");
    assert!(matches!(peer.hear().await.pdu(), Some(Pdu::DeliverSmResp(_))), "what comes is taken");
    peer.take(waiting).await;
    assert_eq!(short.await.expect("no panic"), Ok(format!("{waiting:x}")));
    peer.enquire().await;
    go.send(()).expect("waits");
    let second = peer.order().await;
    peer.take(second).await;
    assert_eq!(long.await.expect("no panic"), [first, second].map(|sequence| Ok(format!("{sequence:x}"))));
    assert!(matches!(peer.hear().await.pdu(), Some(Pdu::Unbind)));
    peer.run.await.expect("no panic");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let mut peer = Peer::bound(1).await;
    let order = peer.send();
    peer.order().await;
    tokio::time::pause();
    peer.shutdown.cancel();
    assert_eq!(order.await.expect("no panic"), Err(SubmitError::Unknown));
    peer.run.await.expect("no panic");
}

#[test]
fn a_rest_grows_once_for_all_that_was_on_its_way() {
    let start = Instant::now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let mut rest = Rest::none(start);
    assert!(rest.is_over(start));
    for answered in [100, 110, 120] {
        rest.throttled(at(50), at(answered));
    }
    assert!(!rest.is_over(at(599)) && rest.is_over(at(600)), "half a second, three times told");
    rest.taken(at(60));
    assert!(!rest.is_over(at(599)), "one that was on its way, too, is no reason to hurry");
    rest.throttled(at(650), at(700));
    assert!(!rest.is_over(at(1699)) && rest.is_over(at(1700)), "twice as long");
    for round in 2..12 {
        rest.throttled(at(round * 100_000), at(round * 100_000));
    }
    assert_eq!(rest.time, THROTTLE_MAX);
    rest.taken(at(2_000_000));
    rest.throttled(at(2_000_001), at(2_000_001));
    assert_eq!(rest.time, THROTTLE_MIN, "it took something: from the beginning");
}
